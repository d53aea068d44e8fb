"""Games with the Gymnasium interface, by name.

A game is one file with a class that takes the keyword options `action_kind`,
`time_limit` and `frames` (False: nothing needs to be drawn), and a `SPEC`
beside it; and one line in `_GAMES`.
"""

import dataclasses
import importlib

import gymnasium
import numpy as np

from nca_tf.environments.game import GameCrashed
from nca_tf.environments.game import GameSpec

__all__ = [
  'GameCrashed',
  'GameSpec',
  'episode_seed',
  'get_spec',
  'make',
  'names',
]

# name: (registered id, module, class)
_GAMES = {
  'vizdoom': ('nca_tf/TakeCover-v0', 'take_cover.take_cover', 'TakeCover'),
  'pommerman': (
    'nca_tf/Pommerman-v0',
    'pommerman.single_agent',
    'Pommerman',
  ),
}

for _id, _module, _class in _GAMES.values():
  if _id not in gymnasium.registry:
    gymnasium.register(_id, entry_point=f'{__name__}.{_module}:{_class}')


def names() -> tuple[str, ...]:
  """Returns the names of all games."""
  return tuple(_GAMES)


def _module_of(name: str):
  if name not in _GAMES:
    raise ValueError(f'name must be one of {", ".join(_GAMES)}, got {name!r}')
  return importlib.import_module(f'{__name__}.{_GAMES[name][1]}')


def make(name: str, **options) -> gymnasium.Env:
  """Makes a game without wrappers.

  Args:
    name: One of `names()`.
    **options: Passed to the game, such as `time_limit` or `action_kind`.

  Raises:
    ImportError: The game's engine is not installed; the message says how.
    ValueError: There is no such game, or an option is wrong.
  """
  return getattr(_module_of(name), _GAMES[name][2])(**options)


def get_spec(name: str, **options) -> GameSpec:
  """Returns what is known of a game made with `options`."""
  spec = _module_of(name).SPEC
  known = {field.name for field in dataclasses.fields(GameSpec)}
  changed = {key: options[key] for key in options if key in known}
  return dataclasses.replace(spec, **changed)


def episode_seed(seed: int, index: int) -> int:
  """Returns the seed of an episode: a function of its arguments alone."""
  words = np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)
  return int(words[0] >> np.uint64(1))  # 63 bits: signed integers hold it.
