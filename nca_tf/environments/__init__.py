"""Games with the Gymnasium interface, by name.

A game is one file (or folder) with a class that takes the keyword options
`action_kind`, `frame_skip`, `time_limit` and `frames` (False: nothing needs to
be drawn), and a `GameSpec` named `SPEC` beside it, and where an option of its
own changes what it shows, a function `specify` of the options that returns the
spec; and one line in `GAMES`.
Any game of Gymnasium's registry is one by the name `gym:` and its id, see
`gym_games`.
"""

import dataclasses
import importlib
from typing import Any

import gymnasium
import numpy as np

from nca_tf import checks
from nca_tf.environments import gym_games
from nca_tf.environments import gym_registry
from nca_tf.environments.game import WHOLE
from nca_tf.environments.game import GameCrashed
from nca_tf.environments.game import GameSpec
from nca_tf.environments.game import ResetNeeded

__all__ = [
  'GAMES',
  'WHOLE',
  'GameCrashed',
  'GameSpec',
  'ResetNeeded',
  'add',
  'engines',
  'entry',
  'episode_seed',
  'get_spec',
  'make',
  'names',
  'views',
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
  'rooms': ('nca_tf/Rooms-v0', 'nca_tf.environments.rooms_game', 'Rooms'),
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


def views() -> tuple[str, ...]:
  """Returns the names of all views, those of every game."""
  return tuple(dict.fromkeys(v for name in GAMES for v in get_spec(name).views))


def _find(name: str):
  """Returns the module and the class of a game of `GAMES`."""
  if name not in GAMES:
    raise ValueError(
      f'name must be one of {", ".join(GAMES)}, or {gym_registry.PREFIX}ID '
      f"with an id of Gymnasium's, got {name!r}"
    )
  _, module, class_name = GAMES[name]
  module = importlib.import_module(module)
  return module, getattr(module, class_name)


def make(name: str, **options) -> gymnasium.Env:
  """Makes a game without wrappers.

  Args:
    name: One of `names()`, or `gym:` and an id, see `gym_games`.
    **options: Of the game, such as `time_limit` or `action_kind`.

  Raises:
    ImportError: The game's engine is not installed; the message says how.
    ValueError: There is no such game, or an option is wrong.
  """
  if gym_games.owns(name):
    return gym_games.GymGame(name, **options)
  return _find(name)[1](**options)


def get_spec(name: str, **options) -> GameSpec:
  """Returns what is known of the game that `make` makes of the arguments.

  Raises:
    ImportError: A package that a Gymnasium game needs is not installed.
    ValueError: There is no such game, or an option is wrong.
  """
  known = {field.name for field in dataclasses.fields(GameSpec)}
  changed = {key: options[key] for key in options if key in known}
  if gym_games.owns(name):
    spec = gym_games.get_spec(name, options.get('raw', False))
  else:
    module, _ = _find(name)
    specify = getattr(module, 'specify', None)
    spec = specify(options) if specify else module.SPEC
  return dataclasses.replace(spec, **changed)


def entry(name: str) -> Any:
  """Returns what another process needs to know a game: for its `add`."""
  return gym_games.registration(name) if gym_games.owns(name) else GAMES[name]


def add(name: str, entry: Any) -> None:
  """Adds a game that another process knows, by its `entry`."""
  if gym_games.owns(name):
    gym_games.register(entry)
  else:
    GAMES[name] = entry


def episode_seed(seed: int, index: int) -> int:
  """Returns the seed of an episode: a function of its arguments alone."""
  seed = checks.integer('seed', seed, 0)
  index = checks.integer('index', index, 0)
  words = np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)
  return int(words[0] >> np.uint64(1))  # 63 bits: signed integers hold it.
