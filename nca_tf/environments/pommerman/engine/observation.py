"""What agents see, and the original's vector of integers.

Letters: G games, A agents, S rows and columns, N numbers of the vector.
"""

import numpy as np

from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.game_state import State
from nca_tf.environments.pommerman.engine.variants import Variant

MAPS = (
  'board',
  'bomb_blast_strength',
  'bomb_life',
  'bomb_moving_direction',
  'flame_life',
)


def observe(state: State) -> dict[str, np.ndarray]:
  """Returns what each agent sees, the dead ones too.

  Maps are [G, A, S, S] uint8: `board` (codes, FOG where it is not seen),
  `bomb_blast_strength`, `bomb_life`, `bomb_moving_direction` (the action that
  moves it, 0 at rest) and `flame_life` (3, 2, 1); where everything is seen,
  the agents share one read-only map. `position` [G, A, 2] int64 row and
  column; `ammo` and `blast_strength` [G, A] int64; `can_kick` [G, A] bool;
  `alive` [G, A] bool, of all agents and known to all; `step_count` [G] int64.
  `message` [G, A, 2] uint8, in the radio variants, is what the teammate sent.
  All are copies.
  """
  variant = state.variant
  shape = (state.games, variant.agents, *state.board.shape[1:])
  maps = {
    name: np.broadcast_to(values[:, None, 1:-1, 1:-1], shape)
    for name, values in _draw_maps(state).items()
  }
  _, row, column = state.locate(state.cell)
  if variant.view is not None:
    seen = _find_seen(variant, row, column)
    maps = {name: values * seen for name, values in maps.items()}
    maps['board'] += np.uint8(variants.FOG) * ~seen
  result = {
    **maps,
    'position': np.stack([row, column], -1),
    'ammo': state.ammo.copy(),
    'blast_strength': state.blast_strength.copy(),
    'can_kick': state.can_kick.copy(),
    'alive': state.alive.copy(),
    'step_count': state.step_count.copy(),
  }
  if variant.radio:
    result['message'] = state.messages[:, [2, 3, 0, 1]]
  return result


def _draw_maps(state):
  """Returns [G, P, P] maps of everything on the boards."""
  bombs, flames = state.bombs, state.flames
  maps = {name: np.zeros_like(state.grid) for name in MAPS[1:]}
  for name, cell, values in (
    ('bomb_blast_strength', bombs.cell, bombs.blast_strength),
    ('bomb_life', bombs.cell, bombs.life),
    ('bomb_moving_direction', bombs.cell, bombs.direction),
    # The newest flame comes last, and the last one is kept.
    ('flame_life', flames.cell, flames.life + 1),
  ):
    maps[name].reshape(-1)[cell] = values
  return {'board': state.grid.copy(), **maps}


def _find_seen(variant, row, column):
  """Returns [G, A, S, S], whether an agent sees a cell."""
  line = np.arange(variant.board_size)
  near = np.abs(line[:, None] - line) <= variant.view  # [S, S]
  return near[row][..., :, None] & near[column][..., None, :]


def featurize(
  observations: dict[str, np.ndarray], variant: Variant
) -> np.ndarray:
  """Returns the original's vectors, 372 integers on a board of 11 x 11.

  Board, blast strengths and lives of bombs, row, column, ammo, blast
  strength, whether the agent can kick, its teammate's code, its enemies', of
  what `observe` returned: [G, A, N] float32.
  """
  games, agents = observations['ammo'].shape
  area = variant.board_size**2
  enemies = [variant.enemies(agent) for agent in range(agents)]
  result = np.empty((games, agents, 3 * area + 6 + len(enemies[0])), np.float32)
  for number, name in enumerate(MAPS[:3]):
    part = result[..., number * area : (number + 1) * area]
    part.reshape(observations[name].shape)[...] = observations[name]
  rest = result[..., 3 * area :]
  rest[..., :2] = observations['position']
  rest[..., 2] = observations['ammo']
  rest[..., 3] = observations['blast_strength']
  rest[..., 4] = observations['can_kick']
  rest[..., 5] = [variant.teammate(agent) for agent in range(agents)]
  rest[..., 6:] = enemies
  return result
