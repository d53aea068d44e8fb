"""What a learner observes: a picture, a vector of integers, or maps."""

import gymnasium
import numpy as np

from nca_tf.environments.pommerman import drawing
from nca_tf.environments.pommerman.engine import observation
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.variants import Variant

SIZE = 64  # Rows and columns of a picture.
KINDS = ('frames', 'vector', 'maps')
_CODES = 14
_SINGLE = ('ammo', 'blast_strength', 'can_kick')


def make_space(kind: str, variant: Variant) -> gymnasium.Space:
  """Returns the space of one agent's observations of a kind of `KINDS`.

  Raises:
    ValueError: The kind is unknown.
  """
  if not isinstance(kind, str) or kind not in KINDS:
    raise ValueError(
      f'observation must be one of {", ".join(KINDS)}, got {kind!r}'
    )
  box, size = gymnasium.spaces.Box, variant.board_size
  if kind == 'frames':
    return box(0, 255, (SIZE, SIZE, 3), np.uint8)
  if kind == 'vector':
    count = 3 * size**2 + 6 + len(variant.enemies(0))
    return box(0, 255, (count,), np.float32)
  spaces = {
    name: box(0, 255, (size, size), np.uint8) for name in observation.MAPS
  }
  spaces['board'] = box(0, _CODES - 1, (size, size), np.uint8)
  spaces['position'] = box(0, size - 1, (2,), np.int64)
  spaces['abilities'] = box(0, 255, (len(_SINGLE),), np.int64)
  spaces['alive'] = gymnasium.spaces.MultiBinary(variant.agents)
  spaces['step_count'] = box(0, np.iinfo(np.int64).max, (1,), np.int64)
  if variant.radio:
    shape = (variants.WORDS,)
    spaces['message'] = box(0, variants.VOCABULARY - 1, shape, np.uint8)
  return gymnasium.spaces.Dict(spaces)


def make(kind: str, observations: dict, agent: int, variant: Variant):
  """Returns what an agent of each game sees, leading axis [G].

  `kind` is one of `KINDS`; `observations` are those of all agents,
  [G, A, ...].
  """
  if kind == 'frames':
    return drawing.to_rgb(observations, agent, SIZE)
  if kind == 'vector':
    return observation.featurize(observations, variant)[:, agent]
  view = {name: observations[name][:, agent] for name in observation.MAPS}
  view['position'] = observations['position'][:, agent].astype(np.int64)
  view['abilities'] = np.stack(
    [observations[name][:, agent].astype(np.int64) for name in _SINGLE], -1
  )
  view['alive'] = observations['alive'].astype(np.int8)
  view['step_count'] = observations['step_count'].astype(np.int64)[:, None]
  if variant.radio:
    view['message'] = observations['message'][:, agent].astype(np.uint8)
  return view


def first(view):
  """Returns the view of the first game, without the leading axis."""
  if isinstance(view, dict):
    return {name: values[0] for name, values in view.items()}
  return view[0]
