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
  """G games at one moment."""

  board: np.ndarray  # [G, S, S] codes as displayed
  items: np.ndarray  # [G, S, S] codes of hidden items, 0 elsewhere
  # [G, A, 6] row, column, ammo, blast strength, can kick, is alive
  agents: np.ndarray
  bomb_counts: np.ndarray  # [G] bombs of each game
  # [K, 6] row, column, life, blast strength, direction, owner; game by game, in
  # the order of the game's list
  bombs: np.ndarray
  flame_counts: np.ndarray  # [G] flames of each game
  flames: np.ndarray  # [F, 3] row, column, life; likewise
  step_count: np.ndarray  # [G]


def load(variant: Variant, snapshot: Snapshot) -> State:
  """Returns the state of the games; words that were sent are zeros."""
  games = len(snapshot.board)
  state = game_state.make_empty(variant, games)
  state.board[:] = snapshot.board
  state.items[:] = snapshot.items
  number = np.arange(games)
  agents = snapshot.agents.astype(np.int64)
  state.cell = state.find_cell(number[:, None], agents[..., 0], agents[..., 1])
  state.ammo = agents[..., 2].copy()
  state.blast_strength = agents[..., 3].copy()
  state.can_kick, state.alive = agents[..., 4] != 0, agents[..., 5] != 0
  for name, make, rows, counts in (
    ('bombs', Bombs, snapshot.bombs, snapshot.bomb_counts),
    ('flames', Flames, snapshot.flames, snapshot.flame_counts),
  ):
    row, column, *rest = rows.astype(np.int64).T.copy()
    cell = state.find_cell(np.repeat(number, counts), row, column)
    setattr(state, name, make(cell, *rest))
  state.step_count = snapshot.step_count.astype(np.int64)
  return state


def take(state: State) -> Snapshot:
  """Returns copies of what a state holds."""
  bombs, flames = state.bombs, state.flames
  agents = [state.row, state.column, state.ammo, state.blast_strength]
  agents += [state.can_kick, state.alive]
  bomb_counts, bomb_rows = _sort(state, bombs)
  flame_counts, flame_rows = _sort(state, flames)
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


def split(rows: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
  """Returns each game's rows of [K, ...], given how many [G] each has."""
  return np.split(rows, np.cumsum(counts, dtype=np.int64)[:-1])


def _sort(state, records):
  """Returns how many bombs or flames a game has, and rows game by game."""
  cell, *columns = vars(records).values()  # In the order of their fields.
  game, row, column = state.locate(cell)
  order = np.argsort(game, kind='stable')
  rows = np.stack([row, column, *columns], 1)[order]
  return np.bincount(game, minlength=state.games), rows
