"""The original Pommerman package, where it is installed, through shims only.

The package (MultiAgentLearning/playground) was written for an old gym and
Python 3.6 and imports much that games do not need. Shims take the place of
those imports while it is imported. Nothing in the package is changed except
the source of its random numbers.
"""

import functools
import importlib
import importlib.util
import random
import sys
import types

import numpy as np

from nca_tf.environments.pommerman.engine import observation
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.variants import Variant

MISSING = (
  "engine 'package' needs the original Pommerman: pip install --no-deps "
  'git+https://github.com/MultiAgentLearning/playground'
)
_SHIMMED = (
  'click',
  'docker',
  'flask',
  'gym',
  'gym.envs',
  'gym.envs.registration',
  'gym.logger',
  'gym.spaces',
  'gym.utils',
  'gym.utils.seeding',
  'jsonmerge',
  'pommerman.cli',
  'pommerman.network',
  'pyglet',
  'pyglet.gl',
  'pyglet.window',
  'requests',
  'ruamel',
  'ruamel.yaml',
  'websockets',
)


class _EveryName(type):
  """Gives a class any attribute: itself."""

  def __getattr__(cls, name):
    if name.startswith('__'):
      raise AttributeError(name)
    return cls


class _Anything(metaclass=_EveryName):
  """Serves as class, function and module; nothing ever uses it."""

  def __init__(self, *unused, **unused_too):
    pass


class _Shim(types.ModuleType):
  """A module that has every name."""

  __path__ = ()

  def __getattr__(self, name):
    return getattr(_Anything, name)


class _Random(random.Random):
  """The generator that the package draws from, instead of the global one."""

  def sample(self, population, k, **options):
    """Draws from sets as well, as Python before 3.11 did."""
    if isinstance(population, set):
      population = tuple(population)
    return super().sample(population, k, **options)


_RANDOM = _Random(0)


def is_installed() -> bool:
  """Tells whether there is a package `pommerman`."""
  return importlib.util.find_spec('pommerman') is not None


def find_missing() -> str | None:
  """Returns how to install the package where it is not, or None."""
  return None if is_installed() else MISSING


@functools.cache
def load() -> types.ModuleType:
  """Imports the package.

  Raises:
    ImportError: It is not installed, or another package of its name is; the
      message says how to install it.
  """
  if not is_installed():
    raise ImportError(MISSING)
  kept = {name: sys.modules.get(name) for name in _SHIMMED}
  sys.modules.update({name: _Shim(name) for name in _SHIMMED})
  try:
    package = importlib.import_module('pommerman')
    package.utility.random = _RANDOM
    package.agents.simple_agent.random = _RANDOM
  except Exception as error:  # Foreign code raises anything.
    sys.modules.pop('pommerman', None)
    reason = ' '.join(f'{type(error).__name__}: {error}'.split())
    raise ImportError(f'{MISSING} (what is installed: {reason})') from error
  finally:
    for name, module in kept.items():
      if module is not None:
        sys.modules[name] = module
      else:
        del sys.modules[name]
  return package


def seed(number: int):
  """Starts the stream of random numbers of all games of the package."""
  _RANDOM.seed(number)


def make_game(variant: Variant):
  """Makes a game on the package's engine; its agents do nothing by themselves.

  The package's environment has `reset()` and `step(actions)`; `seed`
  determines what is random in it.
  """
  package = load()
  config = next(
    settings
    for name, function in vars(package.configs).items()
    if name.endswith('_env') and callable(function)
    for settings in [function()]
    if settings['env_id'] == variant.name
  )
  settings = {**config['env_kwargs'], 'max_steps': variant.max_steps}
  game = config['env'](**settings)
  agents = [package.agents.RandomAgent() for _ in range(variant.agents)]
  for number, agent in enumerate(agents):
    agent.init_agent(number, settings['game_type'])
  game.set_agents(agents)
  game.set_init_game_state(None)
  if variant.training_agent is not None:
    game.set_training_agent(variant.training_agent)
  return game


def show(game) -> list[dict]:
  """Returns the observations of one of its games without fog."""
  seen = game.model.get_observations(
    game._board,
    game._agents,
    game._bombs,
    game._flames,
    False,
    game._agent_view_size,
    game._game_type,
    game._env,
  )
  return [{**each, 'step_count': game._step_count} for each in seen]


def stack(games: list, variant: Variant) -> dict[str, np.ndarray]:
  """Turns lists of the package's observations, one per game, into arrays.

  Each list has a dict per agent; the arrays are [G, A, ...].
  """
  codes = range(variants.AGENT, variants.AGENT + variant.agents)
  names = (*observation.MAPS, 'position', 'ammo', 'blast_strength', 'can_kick')
  if variant.radio:
    names += ('message',)
  result = {
    name: np.array([[each[name] for each in seen] for seen in games])
    for name in names
    if name in games[0][0]
  }
  for name in observation.MAPS:
    result[name] = result[name].astype(np.uint8)
  result['alive'] = np.array(
    [np.isin(codes, seen[0]['alive']) for seen in games]
  )
  result['step_count'] = np.array([seen[0]['step_count'] for seen in games])
  return result


def unstack(
  observations: dict[str, np.ndarray], game: int, agent: int, variant: Variant
) -> dict:
  """Turns observations [G, A, ...] into one of the package's, of one agent."""
  item = load().constants.Item
  seen = {
    name: values[game, agent]
    for name, values in observations.items()
    if name not in ('alive', 'step_count')
  }
  for name in observation.MAPS[1:]:
    seen[name] = seen[name].astype(float)
  seen['position'] = tuple(seen['position'].tolist())
  seen['can_kick'] = bool(seen['can_kick'])
  alive = np.flatnonzero(observations['alive'][game])
  return {
    **seen,
    'alive': (variants.AGENT + alive).tolist(),
    'teammate': item(variant.teammate(agent)),
    'enemies': [item(code) for code in variant.enemies(agent)],
    'step_count': int(observations['step_count'][game]),
  }


class SimpleAgents:
  """The package's own SimpleAgents, to compare ours with.

  A drop-in for `simple_agent.SimpleAgents` that takes observations only. Its
  choices follow from `seed`; `rng` is ignored.
  """

  def __init__(self, variant: Variant):
    """Imports the package, which may be missing: ImportError."""
    self._variant = variant
    self._make = load().agents.SimpleAgent
    self._agents = {}

  def reset(self, where: np.ndarray | None = None):
    """Replaces the agents of games [G] bool that begin anew, or all."""
    for key in list(self._agents):
      if where is None or where[key[0]]:
        del self._agents[key]

  def act(self, seen, rng: np.random.Generator, who=None) -> np.ndarray:
    """Chooses actions, as ours does: [G, A]."""
    del rng
    actions = np.zeros(seen['alive'].shape, np.int64)
    who = seen['alive'] if who is None else who & seen['alive']
    for key in zip(*np.nonzero(who), strict=True):
      agent = self._agents.setdefault(key, self._make())
      actions[key] = agent.act(unstack(seen, *key, self._variant), None)
    return actions
