"""Games with the Gymnasium interface, by name.

A game is one file (or folder) with a class that takes the keyword options
`action_kind`, `frame_skip`, `time_limit` and `frames` (False: nothing needs to
be drawn), and a `GameSpec` named `SPEC` beside it; and one line in `GAMES`.
"""

import dataclasses
import importlib

import gymnasium
import numpy as np

from nca_tf import checks
from nca_tf.environments.game import GameCrashed
from nca_tf.environments.game import GameSpec
from nca_tf.environments.game import ResetNeeded

__all__ = [
  'GAMES',
  'GameCrashed',
  'GameSpec',
  'ResetNeeded',
  'engines',
  'episode_seed',
  'get_spec',
  'make',
  'names',
]

# name: (id in Gymnasium's registry, module, class)
GAMES = {
  'vizdoom': (
    'nca_tf/TakeCover-v0',
    'nca_tf.environments.take_cover.take_cover',
    'TakeCover',
  ),
  'pommerman': (
    'nca_tf/Pommerman-v0',
    'nca_tf.environments.pommerman.single_agent',
    'Pommerman',
  ),
  'pixel_copter': (
    'nca_tf/PixelCopter-v0',
    'nca_tf.environments.pixel_copter.pixel_copter',
    'PixelCopter',
  ),
}

for _id, _module, _class in GAMES.values():
  if _id not in gymnasium.registry:
    gymnasium.register(_id, entry_point=f'{_module}:{_class}')


def names() -> tuple[str, ...]:
  """Returns the names of all games."""
  return tuple(GAMES)


def engines() -> tuple[str, ...]:
  """Returns the names of all engines, those of every game."""
  return tuple(
    dict.fromkeys(e for name in GAMES for e in get_spec(name).engines)
  )


def _find(name: str):
  """Returns the module and the class of a game."""
  if name not in GAMES:
    raise ValueError(f'name must be one of {", ".join(GAMES)}, got {name!r}')
  _, module, class_name = GAMES[name]
  module = importlib.import_module(module)
  return module, getattr(module, class_name)


def make(name: str, **options) -> gymnasium.Env:
  """Makes a game without wrappers.

  Args:
    name: One of `names()`.
    **options: Of the game, such as `time_limit` or `action_kind`.

  Raises:
    ImportError: The game's engine is not installed; the message says how.
    ValueError: There is no such game, or an option is wrong.
  """
  return _find(name)[1](**options)


def get_spec(name: str, **options) -> GameSpec:
  """Returns what is known of the game that `make` makes of the arguments.

  Raises:
    ValueError: There is no such game, or an option is wrong.
  """
  known = {field.name for field in dataclasses.fields(GameSpec)}
  changed = {key: options[key] for key in options if key in known}
  return dataclasses.replace(_find(name)[0].SPEC, **changed)


def episode_seed(seed: int, index: int) -> int:
  """Returns the seed of an episode: a function of its arguments alone."""
  seed = checks.integer('seed', seed, 0)
  index = checks.integer('index', index, 0)
  words = np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)
  return int(words[0] >> np.uint64(1))  # 63 bits: signed integers hold it.
