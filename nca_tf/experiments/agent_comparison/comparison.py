"""What compare_agents compares, and what it asks of each training.

The original's learners of PixelCopter ended in a local optimum: a few ups, then
nothing. Whether one is there is seen from what whole episodes do, at regular
evaluations of the policy that learns.
"""

import typing
from collections.abc import Mapping, Sequence

from nca_tf.environments.pixel_copter import local_optimum

APPEARS = 0.5  # Share of episodes from which a policy is in the optimum.
LEFT = 0.1  # Share below which it is out of it.


class Setting(typing.NamedTuple):
  """A way to learn."""

  name: str  # As flags, tables and figures have it.
  changes: Mapping | None = None  # Of train_agent's flags; None: CMA-ES.

  def stage(self, seed: int) -> str:
    """Name of a training: of its stage, its records and its checkpoints."""
    return f'{self.name}-{seed}'


SETTINGS = (
  Setting('ppo', {}),
  Setting('ppo-rnd', {'rnd': True}),
  Setting('ppo-intrinsic', {'rnd': True, 'intrinsic_only': True}),
  Setting('reinforce', {'algorithm': 'reinforce'}),
  Setting('cma_es'),
)
# Optima that are known of an environment: modules with NAME, RETURNS (the mean
# returns of a policy in it) and `holds(actions, lengths)`, whether each episode
# is of it.
OPTIMA = {'pixel_copter': local_optimum}


class Stay(typing.NamedTuple):
  """How long one training stayed in a local optimum.

  Attributes:
    largest: Largest share of episodes in it, of all evaluations.
    appeared: Steps at the first evaluation in it, or None.
    left: Steps at the first evaluation after which it was out of it to the end,
      or None; without an appearance None as well.
    between: Steps at whose evaluations the mean return was that of the optimum.
  """

  largest: float
  appeared: int | None
  left: int | None
  between: int


def follow(
  steps: Sequence[int],
  shares: Sequence[float],
  means: Sequence[float],
  optimum,
) -> Stay:
  """Says how long a training stayed in an optimum.

  Args:
    steps: Of each evaluation, increasing.
    shares: Of the episodes of each evaluation that are of the optimum.
    means: Mean returns of each evaluation.
    optimum: Of `OPTIMA`.
  """
  appeared = next(
    (step for step, share in zip(steps, shares, strict=True) if _is_in(share)),
    None,
  )
  left = None
  if appeared is not None:
    for step, share in zip(reversed(steps), reversed(shares), strict=True):
      if share >= LEFT:
        break
      left = step
  low, high = optimum.RETURNS
  spans = [now - before for before, now in zip([0, *steps], steps)]  # noqa: B905
  return Stay(
    max(shares),
    appeared,
    left,
    sum(
      span
      for span, mean in zip(spans, means, strict=True)
      if low <= mean <= high
    ),
  )


def _is_in(share):
  return share >= APPEARS
