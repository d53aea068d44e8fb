"""What compare_cells compares, and the number that it compares by.

World Models (Ha and Schmidhuber, 2018) has M's hidden state against z alone;
here it is the DNC against the LSTM, with and without what its heads read, each
against the same network before it learned anything, and each in the dream of
the other: whether the dream makes a difference, or what is read.
"""

import typing
from collections.abc import Mapping, Sequence

import numpy as np

from nca_tf.analysis import intervals


class Setting(typing.NamedTuple):
  """A kind of agent."""

  name: str  # As flags, tables and figures have it.
  cell: str  # Of M.
  features: tuple[str, ...]  # That the controller reads.
  untrained: bool = False  # Whether M has learned nothing.
  dream: str = ''  # Cell of the M in whose dream it learns, if another's.

  @property
  def model(self) -> str:
    """Name of M, which settings with other features share."""
    return f'untrained-{self.cell}' if self.untrained else self.cell

  @property
  def cells(self) -> tuple[str, ...]:
    """Of all Ms that it needs."""
    return (self.cell, self.dream) if self.dream else (self.cell,)


SETTINGS = (
  Setting('dnc-reads', 'dnc', ('z', 'h', 'reads')),
  Setting('dnc', 'dnc', ('z', 'h')),
  Setting('lstm', 'lstm', ('z', 'h')),
  Setting('dnc-in-lstm-dream', 'dnc', ('z', 'h'), dream='lstm'),
  Setting('lstm-in-dnc-dream', 'lstm', ('z', 'h'), dream='dnc'),
  Setting('untrained-dnc-reads', 'dnc', ('z', 'h', 'reads'), untrained=True),
  Setting('untrained-lstm', 'lstm', ('z', 'h'), untrained=True),
)

# The first less the second.
DIFFERENCES = (
  ('dnc', 'lstm'),
  ('dnc-reads', 'lstm'),
  ('dnc-reads', 'dnc'),
  ('dnc', 'dnc-in-lstm-dream'),
  ('lstm-in-dnc-dream', 'lstm'),
  ('dnc-reads', 'untrained-dnc-reads'),
  ('lstm', 'untrained-lstm'),
)

# Of one seed: for each search of a controller, the scores of its final
# episodes by the seed of the episode.
Played = Sequence[Mapping[str, float]]


def means(runs: Played) -> list[float]:
  """Mean score of each search of one seed."""
  return [float(np.mean(list(scores.values()))) for scores in runs]


def score(played: Sequence[Played]) -> intervals.Interval:
  """The score of a setting: tics survived in the real game.

  Luck decides what a single search finds, so a seed counts with the mean of its
  searches; the interval is Student's, over seeds.
  """
  return intervals.student_mean([np.mean(means(runs)) for runs in played])


def best(played: Sequence[Played]) -> intervals.Interval:
  """As `score`, of the best search of each seed: by luck, above the mean."""
  return intervals.student_mean([max(means(runs)) for runs in played])


def difference(
  played: Sequence[Played], others: Sequence[Played]
) -> intervals.Interval:
  """Score of a setting less that of another, paired by seed.

  Raises:
    ValueError: The two were not played with the same seeds.
  """
  if _seeds(played) != _seeds(others):
    raise ValueError(
      'others must be of the seeds and episodes of played, got others'
    )
  pairs = zip(played, others, strict=True)
  return intervals.student_mean(
    [np.mean(means(ours)) - np.mean(means(theirs)) for ours, theirs in pairs]
  )


def _seeds(played):
  return [[set(scores) for scores in runs] for runs in played]
