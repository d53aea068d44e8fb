"""Games at one moment, as the rows that traces and files hold.

Letters: G games, A agents, S rows and columns, K bombs and F flames in all.
"""

import dataclasses

import numpy as np

from nca_tf.environments.pommerman.engine import game_state
from nca_tf.environments.pommerman.engine.game_state import Bombs
from nca_tf.environments.pommerman.engine.game_state import Flames
from nca_tf.environments.pommerman.engine.game_state import State
from nca_tf.environments.pommerman.engine.variants import Variant


@dataclasses.dataclass(frozen=True)
class Snapshot:
  """G games at one moment.

  Attributes:
    board: [G, S, S] codes as displayed.
    items: [G, S, S] codes of hidden items, 0 elsewhere.
    agents: [G, A, 6] row, column, ammo, blast strength, can kick, is alive.
    bomb_counts: [G] bombs of each game.
    bombs: [K, 6] row, column, life, blast strength, direction, owner; game by
      game, in the order of the game's list.
    flame_counts: [G] flames of each game.
    flames: [F, 3] row, column, life; likewise.
    step_count: [G].
  """

  board: np.ndarray
  items: np.ndarray
  agents: np.ndarray
  bomb_counts: np.ndarray
  bombs: np.ndarray
  flame_counts: np.ndarray
  flames: np.ndarray
  step_count: np.ndarray


def load(variant: Variant, snapshot: Snapshot) -> State:
  """Returns the state of the games; words that were sent are zeros."""
  games = len(snapshot.board)
  state = game_state.make_empty(variant, games)
  state.board[:] = snapshot.board
  state.items[:] = snapshot.items
  number = np.arange(games)
  agents = snapshot.agents.astype(np.int64)
  state.cell = state.find_cell(number[:, None], agents[..., 0], agents[..., 1])
  state.ammo, state.blast_strength = (
    agents[..., 2].copy(),
    agents[..., 3].copy(),
  )
  state.can_kick, state.alive = agents[..., 4] != 0, agents[..., 5] != 0
  bombs = snapshot.bombs.astype(np.int64)
  owners = np.repeat(number, snapshot.bomb_counts)
  cell = state.find_cell(owners, bombs[:, 0], bombs[:, 1])
  state.bombs = Bombs(cell, *bombs[:, 2:].T.copy())
  flames = snapshot.flames.astype(np.int64)
  owners = np.repeat(number, snapshot.flame_counts)
  cell = state.find_cell(owners, flames[:, 0], flames[:, 1])
  state.flames = Flames(cell, flames[:, 2].copy())
  state.step_count = snapshot.step_count.astype(np.int64)
  return state


def take(state: State) -> Snapshot:
  """Returns copies of what a state holds."""
  bombs, flames = state.bombs, state.flames
  agents = [state.row, state.column, state.ammo, state.blast_strength]
  agents += [state.can_kick, state.alive]
  bomb_counts, bomb_rows = _sort(
    state,
    bombs.cell,
    [bombs.life, bombs.blast_strength, bombs.direction, bombs.owner],
  )
  flame_counts, flame_rows = _sort(state, flames.cell, [flames.life])
  return Snapshot(
    board=state.board.copy(),
    items=state.items.copy(),
    agents=np.stack(agents, -1).astype(np.int64),
    bomb_counts=bomb_counts,
    bombs=bomb_rows,
    flame_counts=flame_counts,
    flames=flame_rows,
    step_count=state.step_count.copy(),
  )


def _sort(state, cell, columns):
  """Returns how many each game has, and their rows game by game."""
  game, row, column = state.locate(cell)
  order = np.argsort(game, kind='stable')
  rows = np.stack([row, column, *columns], 1)[order]
  return np.bincount(game, minlength=state.games), rows
