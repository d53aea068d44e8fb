"""Rings of the board that become rigid, from the outside in."""

import numpy as np

from nca_tf.environments.pommerman.engine import explosions
from nca_tf.environments.pommerman.engine import game_state
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.game_state import State


def collapse(state: State) -> None:
  """Makes a ring rigid in the games whose step count has reached it.

  Agents that the board shows there die, owners get their bombs back, flames and
  hidden items are lost. Rewards and ends of games take it into account in the
  next step only.
  """
  for ring, step in enumerate(state.variant.collapses):
    games = state.step_count == step
    if games.any():
      _collapse_ring(state, games, ring)


def _collapse_ring(state, games, ring):
  size = state.grid.shape[1]
  away = np.minimum(np.arange(size), np.arange(size)[::-1])
  distance = np.minimum(away[:, None], away)  # [P, P], 0 at the border.
  lost = (games[:, None, None] & (distance == ring + 1)).reshape(-1)
  grid = state.grid.reshape(-1)
  cell = state.cell
  codes = variants.AGENT + np.arange(state.variant.agents)
  state.alive &= ~(lost[cell] & (grid[cell] == codes))
  bombs, flames = state.bombs, state.flames
  gone = lost[bombs.cell]
  explosions.refund(state, bombs.cell[gone], bombs.owner[gone])
  state.bombs = game_state.select(bombs, ~gone)
  out = lost[flames.cell] & (grid[flames.cell] == variants.FLAMES)
  state.flames = game_state.select(flames, ~out)
  grid[lost] = variants.RIGID
  state.hidden.reshape(-1)[lost] = variants.PASSAGE
