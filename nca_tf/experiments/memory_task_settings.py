"""What each memory task is trained with where no flag says otherwise.

Found by trying on a small machine; the sizes are the least that were seen to
do, so that a run takes minutes on one core.
"""

from typing import NamedTuple


class Setting(NamedTuple):
  """Of one task; the fields are flags of bin/train_memory_task."""

  longest: int
  updates: int
  learning_rate: float
  memory_slots: int
  word_size: int
  read_heads: int = 1
  controller: str = 'lstm'


SETTINGS = {
  'copy': Setting(8, 5000, 5e-3, 20, 8),
  'repeat_copy': Setting(4, 8000, 5e-3, 16, 8),
  'associative_recall': Setting(6, 10000, 5e-3, 40, 12),
  'priority_sort': Setting(8, 8000, 5e-3, 20, 12, 2),
  'addition': Setting(12, 6000, 3e-3, 16, 8, 1, 'feedforward'),
  'addition_base10': Setting(6, 8000, 3e-3, 16, 8),
}

# Lengths tested beside multiples of the longest one trained on.
LENGTHS = {'addition': (24, 36, 50, 75, 100)}


def test_lengths(task: str, shortest: int, longest: int) -> tuple[int, ...]:
  """Lengths to test at: those trained on, up to twice the longest, or beyond.

  Args:
    task: its name.
    shortest: length there is.
    longest: length trained on.
  """
  # Each eighth, rounded; the longest and twice it are always among them.
  inside = {max(shortest, longest * i // 4) for i in range(1, 9)}
  return tuple(sorted(inside.union(LENGTHS.get(task, ()))))
