"""Default settings of each memory task, where no flag sets them.

Found by trial on a small machine; the sizes are the smallest found sufficient,
so that a run takes minutes on one core.
"""

from typing import NamedTuple


class Setting(NamedTuple):
  """Defaults of one task, for flags of bin/train_memory_task."""

  longest: int
  updates: int
  learning_rate: float
  memory_slots: int
  word_size: int
  read_heads: int = 1
  controller: str = 'lstm'
  units: int = 64
  clip: float = 1.0
  curriculum: float = 0.3


SETTINGS = {
  # A controller without a state of its own cannot count words, and so handles
  # sequences longer than those of training. It also writes during the answer:
  # 16 words and their answer take twice as many slots.
  'copy': Setting(8, 12000, 5e-3, 40, 8, controller='feedforward'),
  'repeat_copy': Setting(4, 8000, 5e-3, 16, 8),
  # 12 items of 2 words, with delimiters, query and answer, are 44 steps.
  'associative_recall': Setting(6, 20000, 5e-3, 48, 12),
  'priority_sort': Setting(8, 10000, 5e-3, 20, 12),
  # Few slots: training fills them, as longer sequences do. Many updates: the
  # erase gate has to be shut to within a thousandth.
  'addition': Setting(
    12,
    25000,
    1e-2,
    8,
    8,
    controller='feedforward',
    units=32,
    clip=10.0,
    curriculum=0.0,
  ),
  'addition_base10': Setting(6, 8000, 3e-3, 16, 8),
}

# Lengths tested beside multiples of the longest one trained on.
LENGTHS = {'addition': (24, 36, 50, 75, 100)}
