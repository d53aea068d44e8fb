"""Boards of Pommerman: our own, and the original's of a seed."""

import random

import numpy as np
import pytest

from nca_tf.environments.pommerman.engine import board
from nca_tf.environments.pommerman.engine import seeded_board
from nca_tf.environments.pommerman.engine import variants

FFA = variants.get_variant('PommeFFACompetition-v0')
ONE_VS_ONE = variants.get_variant('OneVsOne-v0')
BOTH = pytest.mark.parametrize('variant', [FFA, ONE_VS_ONE])


def draw_seeded(variant, count):
  drawn = [seeded_board.make(variant, seed) for seed in range(count)]
  return tuple(np.stack(each) for each in zip(*drawn, strict=True))


def flood(grid):
  """Cells reached from the last agent's corner, one by one."""
  size = len(grid)
  todo, reached = [(size - 2, size - 2)], set()
  while todo:
    cell = todo.pop()
    row, column = cell
    if (
      cell in reached
      or not (0 <= row < size and 0 <= column < size)
      or grid[cell] == variants.RIGID
    ):
      continue
    reached.add(cell)
    todo += [(row + 1, column), (row - 1, column)]
    todo += [(row, column + 1), (row, column - 1)]
  return reached


@BOTH
@pytest.mark.parametrize('seeded', [False, True])
def test_boards_are_as_specified(variant, seeded):
  if seeded:
    grids, items = draw_seeded(variant, 30)
  else:
    grids, items = board.make(variant, 300, np.random.default_rng(0))
  for code, count in (
    (variants.RIGID, variant.rigid),
    (variants.WOOD, variant.wood),
  ):
    assert np.all(np.count_nonzero(grids == code, (1, 2)) == count)
  walls = np.where(grids >= variants.AGENT, 0, grids)
  assert np.array_equal(walls, walls.transpose(0, 2, 1))
  assert np.all(np.diagonal(walls, axis1=1, axis2=2) == 0)
  for row, column in board.find_clear(variant):
    assert np.all(walls[:, row, column] == 0)
  for row, column in board.find_certain_wood(variant):
    assert np.all(walls[:, row, column] == variants.WOOD)
  assert np.all(np.count_nonzero(items, (1, 2)) == variant.items)
  assert np.all(grids[items > 0] == variants.WOOD)
  assert set(np.unique(items)) == {0, 6, 7, 8}
  assert board.find_passable(grids).all()


@BOTH
def test_accepted_boards_seal_at_most_four_passages(variant):
  rng = np.random.default_rng(1)
  grids = board._draw(variant, 200, rng)
  sealed = [
    sum(
      grid[cell] == variants.PASSAGE and cell not in reached
      for cell in np.ndindex(grid.shape)
    )
    for grid in grids
    for reached in [flood(grid)]
  ]
  accepted = board.find_passable(grids)
  assert np.array_equal(accepted, np.array(sealed) <= 4)
  assert 0 < np.count_nonzero(~accepted) < 100


@BOTH
def test_our_boards_are_drawn_as_the_originals(variant):
  ours, our_items = board.make(variant, 4000, np.random.default_rng(2))
  theirs, their_items = draw_seeded(variant, 400)
  for values, others in ((ours, theirs), (our_items, their_items)):
    for code in np.unique(others):
      share = np.mean(values == code, 0)
      error = np.sqrt(np.maximum(share * (1 - share), 1e-4) / 400)
      # 121 cells: the largest of as many normal deviates is near 3.
      assert (
        np.abs(np.mean(others == code, 0) - share).max() < 4.5 * error.max()
      )


def test_generator_gives_one_board_after_the_other():
  rng = random.Random(4)
  first, second = (seeded_board.make(ONE_VS_ONE, rng)[0] for _ in range(2))
  assert np.array_equal(first, seeded_board.make(ONE_VS_ONE, 4)[0])
  assert not np.array_equal(first, second)


def test_no_boards_are_no_arrays():
  grids, items = board.make(FFA, 0, np.random.default_rng(0))
  assert grids.shape == items.shape == (0, 11, 11)
