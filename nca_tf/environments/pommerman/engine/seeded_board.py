"""The original's board of a seed, to the last item.

The original draws with Python's global generator from a set of cells, in the
order in which CPython walks through that set. The order depends on the hashes
of pairs of integers, the same in every process, and on insertions and removals.
"""

import itertools
import random

import numpy as np

from nca_tf.environments.pommerman.engine import board as board_lib
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.variants import Variant


def make(
  variant: Variant, seed: int | random.Random
) -> tuple[np.ndarray, np.ndarray]:
  """Makes the board that the original makes after `random.seed(seed)`.

  A generator in place of the seed draws the next board. Returns [S, S] uint8
  codes as displayed, and [S, S] uint8 codes of hidden items.
  """
  rng = seed if isinstance(seed, random.Random) else random.Random(seed)
  while True:
    board = _draw(variant, rng)
    if board_lib.find_passable(board[None])[0]:
      return board, _hide_items(variant, board, rng)


def _draw(variant, rng):
  size = variant.board_size
  shared, taken, _ = board_lib.lay_out(variant)
  board = shared.copy()
  cells = set(
    [
      (row, column)
      for row, column in itertools.product(range(size), range(size))
      if row != column
    ]
  )
  for cell in taken:
    cells.discard(cell)
  wood = variant.wood - np.count_nonzero(board == variants.WOOD)
  for code, count in ((variants.RIGID, variant.rigid), (variants.WOOD, wood)):
    for _ in range(0, count, 2):
      (cell,) = rng.sample(tuple(cells), 1)
      for each in (cell, cell[::-1]):
        cells.discard(each)
        board[each] = code
  return board


def _hide_items(variant, board, rng):
  last = variant.board_size - 1
  items = np.zeros_like(board)
  missing = variant.items
  while missing:
    cell = rng.randint(0, last), rng.randint(0, last)
    if board[cell] == variants.WOOD and not items[cell]:
      items[cell] = rng.choice(variants.ITEMS)
      missing -= 1
  return items
