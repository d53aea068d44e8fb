"""Random boards: symmetric about the main diagonal, and passable.

Letters: B boards, S rows and columns, L pairs of cells that mirror each other.
"""

import functools
import itertools

import numpy as np

from nca_tf.environments.pommerman.engine import game_state
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.variants import Variant

_MOST_SEALED = 4  # Passages that the last agent need not be able to reach.


def make(
  variant: Variant, boards: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Draws B boards with the same probabilities as the original.

  Returns:
    [B, S, S] uint8 codes as displayed, and [B, S, S] uint8 codes of the items
    under wood, 0 elsewhere.
  """
  found = []
  missing = boards
  while missing:
    drawn = _draw(variant, missing, rng)
    found.append(drawn[find_passable(drawn)])
    missing -= len(found[-1])
  board = np.concatenate(found) if found else _draw(variant, 0, rng)
  return board, _hide_items(variant, board, rng)


def find_clear(variant: Variant) -> list[tuple[int, int]]:
  """Returns the cells next to the agents that no wall may take.

  With 4 agents some of them are listed twice.
  """
  far, size = variant.board_size - 2, variant.board_size
  clear = []
  for i in (2, 3):
    clear += [(1, i), (i, 1), (far, size - i - 1), (size - i - 1, far)]
    if variant.agents == 4:
      clear += [(1, size - i - 1), (size - i - 1, 1), (i, far), (far, i)]
  return clear


def find_certain_wood(variant: Variant) -> list[tuple[int, int]]:
  """Returns the cells between 4 agents that are always wood."""
  if variant.agents != 4:
    return []
  far, size = variant.board_size - 2, variant.board_size
  wood = []
  for i in range(4, size - 4):
    mirror = size - i - 1
    wood += [(1, i), (mirror, 1), (far, mirror), (mirror, far)]
  return wood


@functools.cache
def lay_out(
  variant: Variant,
) -> tuple[np.ndarray, list[tuple[int, int]], np.ndarray]:
  """Returns what all boards of a variant share.

  Returns:
    [S, S] codes of agents and of the wood that is always there; the cells that
    get no other wall; and the other cells below the diagonal, [L, 2], whose
    mirrors above it get the same wall.
  """
  size = variant.board_size
  shared = np.zeros((size, size), np.uint8)
  corners = game_state.get_corners(variant)
  for number, cell in enumerate(corners):
    shared[cell] = variants.AGENT + number
  wood = find_certain_wood(variant)
  for cell in wood:
    shared[cell] = variants.WOOD
  taken = [*corners, *find_clear(variant), *wood]
  pairs = [
    (row, column)
    for row, column in itertools.combinations(range(size), 2)
    if (row, column) not in taken
  ]
  room = 2 * len(pairs) + len(wood)
  if variant.rigid + variant.wood > room or variant.wood < len(wood):
    raise ValueError(
      f'rigid and wood must be {len(wood)} of wood at least and {room} in all '
      f'at most, got {variant.rigid} and {variant.wood}'
    )
  return shared, taken, np.array(pairs)


def _draw(variant, boards, rng):
  """Returns boards that may not be passable."""
  shared, _, pairs = lay_out(variant)
  board = np.repeat(shared[None], boards, 0)
  rigid = variant.rigid // 2
  wood = (variant.wood - len(find_certain_wood(variant))) // 2
  order = np.argsort(rng.random((boards, len(pairs)), np.float32), 1)
  code = np.zeros(len(pairs), np.uint8)
  code[:rigid] = variants.RIGID
  code[rigid : rigid + wood] = variants.WOOD
  codes = np.empty((boards, len(pairs)), np.uint8)
  np.put_along_axis(codes, order, code[None], 1)
  rows, columns = pairs.T
  board[:, rows, columns] = codes
  board[:, columns, rows] = codes
  return board


def find_passable(board: np.ndarray) -> np.ndarray:
  """Tells which boards [B, S, S] the original accepts: [B] bool.

  On those, all passages but 4 at most can be reached from the last agent's
  corner, where paths may go through wood and agents.
  """
  # All boards as the bits of one integer, which Python shifts at once. A row
  # and a column of walls keep each board from the next one.
  width = board.shape[1] + 1
  cells = np.zeros((2, len(board), width, width), bool)
  cells[0, :, :-1, :-1] = board != variants.RIGID
  cells[1, :, -3, -3] = True
  free, reached = (
    int.from_bytes(np.packbits(each, bitorder='little').tobytes(), 'little')
    for each in cells
  )
  before = 0
  while reached != before:
    before = reached
    near = reached << 1 | reached >> 1 | reached << width | reached >> width
    reached |= near & free
  bits = np.frombuffer(
    reached.to_bytes(-(-cells[1].size // 8), 'little'), np.uint8
  )
  bits = np.unpackbits(bits, count=cells[1].size, bitorder='little')
  sealed = (board == variants.PASSAGE) & (
    bits.reshape(cells[1].shape)[:, :-1, :-1] == 0
  )
  return np.count_nonzero(sealed, (1, 2)) <= _MOST_SEALED


def _hide_items(variant, board, rng):
  """Returns [B, S, S] items under wood."""
  boards = len(board)
  items = np.zeros_like(board)
  wood = np.flatnonzero(board == variants.WOOD).reshape(boards, variant.wood)
  order = np.argsort(rng.random(wood.shape, np.float32), 1)
  cell = np.take_along_axis(wood, order[:, : variant.items], 1)
  items.reshape(-1)[cell] = rng.choice(variants.ITEMS, cell.shape)
  return items
