"""Opens any Gymnasium game by its name here: `gym:`, an id, options.

What a stranger's game prints, warns and raises ends here: every fault is an
`ImportError` or a `ValueError` of one line.
"""

import ast
import contextlib
import difflib
import importlib
import io
import os
import warnings
from typing import Any

import gymnasium
import numpy as np

from nca_tf.environments import mini_grid

PREFIX = 'gym:'

# Many games draw with pygame, which greets, and looks for a screen and a sound
# card that they do not need.
_PYGAME = {
  'PYGAME_HIDE_SUPPORT_PROMPT': '1',
  'SDL_AUDIODRIVER': 'dummy',
  'SDL_VIDEODRIVER': 'dummy',
}

# By the beginning of their ids: the module, which is also the extra, and title.
_PACKAGES = {
  # Games of gym, before Gymnasium: gym:GymV21Environment-v0,env_id=ID.
  'GymV21Environment-': ('shimmy', 'Shimmy'),
  mini_grid.FAMILY: ('minigrid', 'MiniGrid'),
  'popgym-': ('popgym', 'POPGym'),
}


def _parse(name: str) -> tuple[str, dict[str, Any]]:
  """Returns Gymnasium's id and the options that a name holds."""
  identifier, *pairs = name.removeprefix(PREFIX).split(',')
  options = {}
  for pair in pairs:
    key, equals, text = pair.partition('=')
    if not (key.isidentifier() and equals and text):
      raise ValueError(
        f'options of a game must be like gym:CarRacing-v3,continuous=False, '
        f'got {pair!r} in {name!r}'
      )
    try:
      options[key] = ast.literal_eval(text)
    except (ValueError, SyntaxError):
      options[key] = text  # A word.
  return identifier, options


def _import_package(identifier):
  """Imports the package that registers an id, if the id says which it is."""
  for beginning, (module, _) in _PACKAGES.items():
    # Gymnasium has an entry for Shimmy's games that only says what to do.
    is_there = identifier in gymnasium.registry and module != 'shimmy'
    if identifier.startswith(beginning) and not is_there:
      importlib.import_module(module)


def open_game(
  name: str, render_mode: str | None = None, limited: bool = False
) -> gymnasium.Env:
  """Opens a game.

  Args:
    name: `gym:` and the rest, see `gym_games`.
    render_mode: Of the game, or None.
    limited: Whether Gymnasium truncates its episodes. `gym_games` counts in
      tics itself.

  Raises:
    ImportError: A package that the game needs is not installed.
    ValueError: There is no such game, or it cannot be made.
  """
  identifier, options = _parse(name)
  if render_mode:  # Not every game has such an option.
    options['render_mode'] = render_mode
  for variable, value in _PYGAME.items():
    os.environ.setdefault(variable, value)
  try:
    with (
      quiet(),
      warnings.catch_warnings(),
      contextlib.redirect_stderr(_Nowhere()),  # Old gym says how old it is.
    ):
      warnings.simplefilter('ignore')  # Of what the game imports.
      _import_package(identifier)
      env = gymnasium.make(
        identifier,
        max_episode_steps=None if limited else -1,
        disable_env_checker=True,
        **options,
      )
      return mini_grid.View(env) if mini_grid.owns(identifier) else env
  except (gymnasium.error.DependencyNotInstalled, ModuleNotFoundError) as error:
    raise ImportError(_say_how(name, identifier, error)) from error
  except (gymnasium.error.UnregisteredEnv, gymnasium.error.DeprecatedEnv) as e:
    raise ValueError(_suggest(name, identifier)) from e
  except Exception as error:  # Whatever a stranger's game does.
    if 'Malformed' in str(error):
      raise ValueError(_suggest(name, identifier)) from error
    raise ValueError(
      f'game {name!r} cannot be made: {shorten(error, 200)}'
    ) from error


def _say_how(name, identifier, error):
  """Returns a line about what to install."""
  entry = gymnasium.registry.get(identifier.rpartition(':')[2])
  if entry and str(entry.entry_point).startswith('gymnasium.envs.box2d'):
    return f"game {name!r} needs Box2D: pip install 'nca_tf[box2d]'"
  for beginning, (module, title) in _PACKAGES.items():
    is_missing = getattr(error, 'name', None) == module
    if identifier.startswith(beginning) and is_missing:
      return f"game {name!r} needs {title}: pip install 'nca_tf[{module}]'"
  return f'game {name!r} needs another package: {shorten(error, 200)}'


def _suggest(name, identifier):
  """Returns a line about an id that is not there, with those like it."""
  own = {found.lower(): found for found in gymnasium.registry}
  near = difflib.get_close_matches(identifier.lower(), own, n=4, cutoff=0.5)
  hint = ', '.join(PREFIX + own[each] for each in near)
  hint = f'near it: {hint}' if near else 'such as gym:CartPole-v1'
  return (
    f"{name!r} must be gym: and an id of Gymnasium's ({hint}); a game of "
    'another package is gym:PACKAGE:ID'
  )


def shorten(value, length: int = 100) -> str:
  """Returns the text of anything on one line of a limited length."""
  text = ' '.join(str(value).split())
  return text if len(text) <= length else f'{text[: length - 3]}...'


def find_fault(space: gymnasium.Space, observation) -> str:
  """Says what is wrong with the shape of an observation, or nothing.

  Whether its numbers are finite is for those who need them.
  """
  if isinstance(space, gymnasium.spaces.Box):
    try:
      shape = np.shape(observation)
    except ValueError:  # Rows of several lengths.
      shape = None
    if shape != space.shape:
      return f'of shape {shape}, not {space.shape},'
  return ''


class _Nowhere(io.TextIOBase):
  """Where text goes that nobody reads."""

  def write(self, text):
    return len(text)


@contextlib.contextmanager
def quiet():
  """Keeps what a game prints, and Gymnasium's advice, off the screen."""
  level = gymnasium.logger.min_level
  gymnasium.logger.min_level = gymnasium.logger.ERROR + 1
  try:
    with contextlib.redirect_stdout(_Nowhere()):
      yield
  finally:
    gymnasium.logger.min_level = level
