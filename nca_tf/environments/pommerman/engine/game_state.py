"""The state of many Pommerman games side by side, as arrays.

Boards carry a border of rigid cells, so that no step leaves them. A cell is a
number: index into the flattened grids of all games. Bombs and flames of all
games are in one list each: within a game in the original's order, the games in
any order.
"""

import dataclasses

import numpy as np

from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.variants import Variant

# What an action adds to a row and to a column: stop, up, down, left, right,
# bomb.
ROW_STEP = np.array([0, -1, 1, 0, 0, 0])
COLUMN_STEP = np.array([0, 0, 0, -1, 1, 0])


@dataclasses.dataclass
class Bombs:
  """Bombs of all games, K in all."""

  cell: np.ndarray  # [K] int64, see `State`
  life: np.ndarray  # [K] int64, steps until it explodes
  blast_strength: np.ndarray  # [K] int64, cells of a ray, its own included
  # [K] int64, the action that moves it, 0 for a bomb at rest
  direction: np.ndarray
  owner: np.ndarray  # [K] int64, number of the agent who laid it


@dataclasses.dataclass
class Flames:
  """Flames of all games, F in all; a cell may hold several."""

  cell: np.ndarray  # [F] int64, see `State`
  life: np.ndarray  # [F] int64, 2, 1 or 0


@dataclasses.dataclass
class State:
  """G games of one variant with A agents on S x S boards; P is S + 2.

  The engine changes the arrays in place, and replaces those of `bombs` and
  `flames`.
  """

  variant: Variant
  # [G, P, P] uint8 codes as displayed, a border of RIGID around them
  grid: np.ndarray
  # [G, P, P] uint8 codes of the items that wood (or flames) hides, 0 elsewhere
  hidden: np.ndarray
  cell: np.ndarray  # [G, A] int64 cells of the agents; a dead one's is its last
  ammo: np.ndarray  # [G, A] int64 bombs that an agent may lay
  blast_strength: np.ndarray  # [G, A] int64 of its next bomb
  can_kick: np.ndarray  # [G, A] bool
  alive: np.ndarray  # [G, A] bool
  bombs: Bombs
  flames: Flames
  step_count: np.ndarray  # [G] int64
  # [G, A, 2] uint8 words that each agent sent last (radio)
  messages: np.ndarray

  @property
  def games(self) -> int:
    """Number of games, G."""
    return len(self.grid)

  @property
  def board(self) -> np.ndarray:
    """[G, S, S] uint8 codes as displayed: a view."""
    return self.grid[:, 1:-1, 1:-1]

  @property
  def items(self) -> np.ndarray:
    """[G, S, S] uint8 codes of hidden items: a view."""
    return self.hidden[:, 1:-1, 1:-1]

  @property
  def row(self) -> np.ndarray:
    """[G, A] rows of the agents."""
    return self.locate(self.cell)[1]

  @property
  def column(self) -> np.ndarray:
    """[G, A] columns of the agents."""
    return self.locate(self.cell)[2]

  def locate(self, cell: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns the game, the row and the column of each cell, like `cell`."""
    width = self.grid.shape[1]
    rows, column = np.divmod(cell, width)
    game, row = np.divmod(rows, width)
    return game, row - 1, column - 1

  def find_cell(self, game, row, column) -> np.ndarray:
    """Returns the cells of some rows and columns; all broadcast."""
    width = self.grid.shape[1]
    return (np.asarray(game) * width + row + 1) * width + column + 1


def make_empty(variant: Variant, games: int) -> State:
  """Makes `games` empty boards, on which agents have no place yet."""
  size = variant.board_size
  grid = np.zeros((games, size + 2, size + 2), np.uint8)
  grid[:, [0, -1], :] = variants.RIGID
  grid[:, :, [0, -1]] = variants.RIGID
  shape = (games, variant.agents)
  none = np.zeros(0, np.int64)
  return State(
    variant=variant,
    grid=grid,
    hidden=np.zeros_like(grid),
    cell=np.zeros(shape, np.int64),
    ammo=np.full(shape, variants.DEFAULT_AMMO),
    blast_strength=np.full(shape, variants.DEFAULT_BLAST_STRENGTH),
    can_kick=np.zeros(shape, bool),
    alive=np.ones(shape, bool),
    bombs=Bombs(none, none, none, none, none),
    flames=Flames(none, none),
    step_count=np.zeros(games, np.int64),
    messages=np.zeros((*shape, variants.WORDS), np.uint8),
  )


def get_corners(variant: Variant) -> list[tuple[int, int]]:
  """Returns the row and column where each agent starts."""
  far = variant.board_size - 2
  corners = [(1, 1), (far, 1), (far, far), (1, far)]
  return corners if variant.agents == 4 else [corners[0], corners[2]]


def start(state: State, games: np.ndarray, board, items) -> None:
  """Puts games [G] bool at their start, in place; words that were sent stay.

  Their M boards [M, S, S] have the agents in the corners; likewise `items`.
  """
  number = np.flatnonzero(games)
  state.board[number] = board
  state.items[number] = items
  rows, columns = np.array(get_corners(state.variant)).T
  state.cell[number] = state.find_cell(number[:, None], rows, columns)
  state.ammo[number] = variants.DEFAULT_AMMO
  state.blast_strength[number] = variants.DEFAULT_BLAST_STRENGTH
  state.can_kick[number] = False
  state.alive[number] = True
  state.step_count[number] = 0
  area = state.grid[0].size
  keep = ~games
  state.bombs = select(state.bombs, keep[state.bombs.cell // area])
  state.flames = select(state.flames, keep[state.flames.cell // area])


def select(records: Bombs | Flames, which: np.ndarray) -> Bombs | Flames:
  """Returns some of the bombs or flames, [K] bool or indices."""
  return type(records)(*(field[which] for field in vars(records).values()))
