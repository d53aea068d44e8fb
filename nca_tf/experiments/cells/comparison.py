"""What compare_cells compares, and the number that it compares by.

World Models (Ha and Schmidhuber, 2018) has M's hidden state against z alone;
here it is the DNC against the LSTM, with and without what its heads read, and
each against the same network before it learned anything.
"""

import typing
from collections.abc import Mapping, Sequence

from nca_tf.analysis import intervals


class Setting(typing.NamedTuple):
  """A kind of agent."""

  name: str  # As flags, tables and figures have it.
  cell: str  # Of M.
  features: tuple[str, ...]  # That the controller reads.
  untrained: bool = False  # Whether M has learned nothing.

  @property
  def model(self) -> str:
    """Name of M, which settings with other features share."""
    return f'untrained-{self.cell}' if self.untrained else self.cell


SETTINGS = (
  Setting('dnc-reads', 'dnc', ('z', 'h', 'reads')),
  Setting('dnc', 'dnc', ('z', 'h')),
  Setting('lstm', 'lstm', ('z', 'h')),
  Setting('untrained-dnc-reads', 'dnc', ('z', 'h', 'reads'), untrained=True),
  Setting('untrained-lstm', 'lstm', ('z', 'h'), untrained=True),
)

# The first less the second.
DIFFERENCES = (
  ('dnc', 'lstm'),
  ('dnc-reads', 'lstm'),
  ('dnc-reads', 'dnc'),
  ('dnc-reads', 'untrained-dnc-reads'),
  ('lstm', 'untrained-lstm'),
)


def score(
  played: Sequence[Mapping[str, float]], seed: int = 0
) -> intervals.Interval:
  """The score of a setting: tics survived in the real game.

  Args:
    played: for each seed of the training, the scores of its agent's final
      episodes by the seed of the episode.
    seed: of the bootstrap.

  Returns:
    The mean over seeds with its interval: seeds are drawn again, and then the
    episodes of each; of a single seed the episodes alone.
  """
  return intervals.bootstrap_nested(
    [list(scores.values()) for scores in played], rng=seed
  )


def difference(
  played: Sequence[Mapping[str, float]],
  others: Sequence[Mapping[str, float]],
  seed: int = 0,
) -> intervals.Interval:
  """Score of a setting less that of another; arguments as of `score`.

  Raises:
    ValueError: The two were not played with the same seeds.
  """
  if [set(scores) for scores in played] != [set(scores) for scores in others]:
    raise ValueError(
      'others must be of the seeds and episodes of played, got others'
    )
  less = [
    [ours[episode] - theirs[episode] for episode in ours]
    for ours, theirs in zip(played, others, strict=True)
  ]
  return intervals.bootstrap_nested(less, rng=seed)
