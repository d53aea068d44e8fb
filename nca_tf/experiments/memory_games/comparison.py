"""What compare_memory plays, and the numbers that it compares by.

The card games are the diagnostic ones of POPGym (Morad et al., 2023) and one
that hardly needs a memory; memory_len is an experiment of bsuite (Osband et
al., 2020), which plays memory_chain at 23 lengths.
"""

from collections.abc import Sequence

import numpy as np

from nca_tf.analysis import intervals
from nca_tf.environments.memory_games import registry

# The first less the second.
DIFFERENCES = (('dnc', 'lstm'), ('dnc', 'none'), ('lstm', 'none'))
CHAIN = 'memory_chain'
# A length is learnt below this share of the regret of play by chance: bsuite's.
LEARNT = 0.75
_CHANCE = 0.5  # Share of wrong answers of play by chance in memory_chain.


def find_tasks(names: Sequence[str], lengths: Sequence[int]) -> list[str]:
  """Returns all games: those that need a length, and have none, at each."""
  return [
    task
    for name in names
    for task in (
      [f'{name}-{length}' for length in lengths]
      if name in registry.MOST_NUMBERS
      else [name]
    )
  ]


def find_length(task: str) -> int | None:
  """Returns the length in the name of a game, or None."""
  if not registry.owns(task):
    return None
  _, numbers = registry.parse(task)
  return numbers[0] if numbers else None


def difference(
  ours: Sequence[float], others: Sequence[float]
) -> intervals.Interval:
  """Returns the mean of differences, paired by seed, with its t interval.

  Raises:
    ValueError: The two have different numbers of seeds.
  """
  if len(ours) != len(others):
    raise ValueError(
      f'others must be {len(ours)} numbers as ours, got {len(others)}'
    )
  return intervals.student_mean(np.subtract(ours, others))


def regret(total: float, episodes: float) -> float:
  """Returns the share of wrong answers over that of play by chance.

  Args:
    total: Sum of the returns, 1 or -1, of all episodes of a training.
    episodes: How many there were.
  """
  return float((1 - total / episodes) / 2 / _CHANCE)


def memory_len_score(regrets: Sequence[float]) -> float:
  """Returns the share of lengths that were learnt: bsuite's score."""
  return float(np.mean(np.asarray(regrets) < LEARNT))
