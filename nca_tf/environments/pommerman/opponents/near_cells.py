"""The 24 cells within three steps, and the first step of a path to each.

Within three steps a shortest path is as long as rows plus columns, so each
cell has one or two predecessors; where it has two, a coin chooses.
"""

import typing

import numpy as np

from nca_tf.environments.pommerman.engine import variants

RADIUS = 3
_STEPS = {
  (-1, 0): variants.UP,
  (1, 0): variants.DOWN,
  (0, -1): variants.LEFT,
  (0, 1): variants.RIGHT,
}
# (row, column) of each cell from the middle, row by row.
OFFSETS = [
  (row, column)
  for row in range(-RADIUS, RADIUS + 1)
  for column in range(-RADIUS, RADIUS + 1)
  if 0 < abs(row) + abs(column) <= RADIUS
]
DISTANCES = np.array([abs(row) + abs(column) for row, column in OFFSETS])
_IS_CLOSED = np.isin(
  np.arange(14), (variants.RIGID, variants.FLAMES, variants.FOG)
)
_NUMBER = {offset: number for number, offset in enumerate(OFFSETS)}


def _predecessors(offset):
  """Numbers of the one or two cells before a cell; one counts twice."""
  row, column = offset
  found = []
  if row:
    found.append(_NUMBER[row - np.sign(row), column])
  if column:
    found.append(_NUMBER[row, column - np.sign(column)])
  return found[0], found[-1]


def _make_rings():
  """(cells, first predecessors, second ones) two and three steps away."""
  for distance in range(2, RADIUS + 1):
    cells = np.flatnonzero(DISTANCES == distance)
    yield cells, *np.array([_predecessors(OFFSETS[i]) for i in cells]).T


_FIRST = np.array([_NUMBER[offset] for offset in _STEPS])
_FIRST_MOVES = np.array(list(_STEPS.values()))
_RINGS = tuple(_make_rings())


class NearCells(typing.NamedTuple):
  """The surroundings of L agents, by the number of the cell in `OFFSETS`."""

  code: np.ndarray  # [L, 24] of the board, RIGID outside of it
  reached: np.ndarray  # [L, 24] bool, within three steps
  move: np.ndarray  # [L, 24] the first action of a path


def look_around(board, which, row, column, passable, rng) -> NearCells:
  """Searches the surroundings of L agents.

  Args:
    board: [B, P, P] codes with a border.
    which: [L] row of `board`.
    row: [L], with the border.
    column: [L], likewise.
    passable: [L, 24] -> [L, 24]; of the codes, where a path can go on.
    rng: Chooses between two paths of equal length.
  """
  margin = RADIUS - 1
  wide = np.pad(
    board,
    ((0, 0), (margin, margin), (margin, margin)),
    constant_values=variants.RIGID,
  )
  width = wide.shape[1]
  start = (which * width + row + margin) * width + column + margin
  steps = np.array([row * width + column for row, column in OFFSETS])
  code = wide.reshape(-1)[start[:, None] + steps]
  through = passable(code)
  reached = ~_IS_CLOSED[code]
  move = np.zeros(code.shape, np.int64)
  move[:, _FIRST] = _FIRST_MOVES
  coins = rng.integers(1 << len(OFFSETS), size=(len(code), 1))
  coins = coins >> np.arange(len(OFFSETS)) & 1 == 1
  for cells, one, other in _RINGS:
    by_one = reached[:, one] & through[:, one]
    by_other = reached[:, other] & through[:, other]
    reached[:, cells] &= by_one | by_other
    choice = by_one & (~by_other | coins[:, cells])
    move[:, cells] = np.where(choice, move[:, one], move[:, other])
  return NearCells(code, reached, move)


def move_to_nearest(near: NearCells, wanted: np.ndarray, radius: int):
  """The move towards the nearest wanted cell, [L]; STOP without one.

  Of several as near, the one with the highest code, and the last by rows.
  `wanted` is [L, 24] bool; the radius at most 3 steps.
  """
  number = np.arange(len(OFFSETS))
  rank = (RADIUS - DISTANCES) * 1000 + near.code.astype(np.int64) * 30 + number
  rank = np.where(wanted & near.reached & (DISTANCES <= radius), rank, -1)
  best = rank.argmax(1)
  lanes = np.arange(len(best))
  return np.where(rank[lanes, best] >= 0, near.move[lanes, best], variants.STOP)
