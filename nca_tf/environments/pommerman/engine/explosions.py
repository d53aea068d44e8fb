"""Ageing flames, exploding bombs, and the board that shows them."""

import numpy as np

from nca_tf.environments.pommerman.engine import game_state
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.game_state import Flames
from nca_tf.environments.pommerman.engine.game_state import State


def age_flames(state: State) -> None:
  """Step 1 of the rules: flames that end reveal items, others age."""
  grid, hidden = state.grid.reshape(-1), state.hidden.reshape(-1)
  flames = state.flames
  lasts = flames.life != 0
  over = flames.cell[~lasts]
  grid[over] = hidden[over]
  if np.any(hidden[over]):
    _bury_twice_burnt(grid, over)
    hidden[over] = 0
  cell = flames.cell[lasts]
  # Where a younger flame burns on, a revealed item is lost.
  grid[cell] = variants.FLAMES
  state.flames = Flames(cell, flames.life[lasts] - 1)


def _bury_twice_burnt(grid, over):
  """Clears cells where two flames end at once: the second finds no item.

  No game reaches such a state, but one may be made by hand.
  """
  last = np.empty(len(grid), np.int32)
  order = np.arange(len(over))
  last[over] = order
  grid[over[last[over] != order]] = variants.PASSAGE


def explode(state: State) -> None:
  """Steps 9 and 10: bombs tick and explode, agents die; paints the board."""
  bombs = state.bombs
  bombs.life = bombs.life - 1
  grid = state.grid.reshape(-1)
  bursts = (bombs.life == 0) | (grid[bombs.cell] == variants.FLAMES)
  if bursts.any():
    burning = np.zeros(len(grid), bool)
    while bursts.any():
      _burst(state, bursts, burning)
      state.bombs = game_state.select(state.bombs, ~bursts)
      bursts = burning[state.bombs.cell]
    new = np.flatnonzero(burning)
    flames = state.flames
    state.flames = Flames(
      np.concatenate([flames.cell, new]),
      np.concatenate([flames.life, np.full(len(new), variants.FLAME_LIFE)]),
    )
  _paint(state, grid)


def _burst(state, bursts, burning):
  """Marks the cells that bombs set on fire; owners get their bombs back."""
  grid = state.grid.reshape(-1)
  bombs = state.bombs
  cell = bombs.cell[bursts]
  refund(state, cell, bombs.owner[bursts])
  burning[cell] = True
  width = state.grid.shape[1]
  step = np.repeat([-width, width, -1, 1], len(cell))
  cell = np.tile(cell, 4)
  left = np.tile(bombs.blast_strength[bursts], 4)
  while True:
    left -= 1
    goes = left > 0
    cell, step, left = (cell + step)[goes], step[goes], left[goes]
    if not cell.size:
      return
    code = grid[cell]
    free = code != variants.RIGID
    burning[cell[free]] = True
    free &= code != variants.WOOD
    cell, step, left = cell[free], step[free], left[free]


def refund(state: State, cell: np.ndarray, owner: np.ndarray) -> None:
  """Gives the owners of the bombs in some cells one more bomb to lay."""
  who = cell // state.grid[0].size * state.variant.agents + owner
  ammo = state.ammo.reshape(-1)
  np.add.at(ammo, who, 1)
  ammo[who] = np.minimum(ammo[who], variants.MAX_AMMO)


def _paint(state, grid):
  """Paints bombs, flames over them, and agents over all; flames kill."""
  grid[state.bombs.cell] = variants.BOMB
  grid[state.flames.cell] = variants.FLAMES
  living = np.flatnonzero(state.alive)
  cell = state.cell.reshape(-1)[living]
  dies = grid[cell] == variants.FLAMES
  state.alive.reshape(-1)[living[dies]] = False
  stays = ~dies
  grid[cell[stays]] = variants.AGENT + living[stays] % state.variant.agents
