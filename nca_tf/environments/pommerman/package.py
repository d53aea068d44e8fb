"""The original Pommerman package, where it is installed, through shims only.

The package (MultiAgentLearning/playground) was written for an old gym and
Python 3.6 and imports much that games do not need. Stand-ins take the place of
those imports while it is imported; nothing of the package is changed but the
random module that one of its files sees.
"""

import functools
import importlib
import importlib.util
import random
import sys
import types

import numpy as np

from nca_tf.environments.pommerman import observation
from nca_tf.environments.pommerman import variants
from nca_tf.environments.pommerman.variants import Variant

_SOURCE = 'git+https://github.com/MultiAgentLearning/playground'
_STAND_INS = (
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
  """Class, function and module in one; nothing is ever done with it."""

  def __init__(self, *unused, **unused_too):
    pass


class _StandIn(types.ModuleType):
  """A module that has every name."""

  __path__ = ()

  def __getattr__(self, name):
    return getattr(_Anything, name)


class _Random:
  """The global random module, whose `sample` still takes a set."""

  def __getattr__(self, name):
    return getattr(random, name)

  def sample(self, population, k):
    """Draws as Python before 3.11 did."""
    if isinstance(population, set):
      population = tuple(population)
    return random.sample(population, k)


def is_installed() -> bool:
  """Tells whether there is a package `pommerman`."""
  return importlib.util.find_spec('pommerman') is not None


@functools.cache
def load() -> types.ModuleType:
  """Imports the package.

  Raises:
    ImportError: It is not installed; the message says how to.
  """
  if not is_installed():
    raise ImportError(
      "engine 'package' needs the original Pommerman: pip install --no-deps "
      f'{_SOURCE}'
    )
  kept = {name: sys.modules.get(name) for name in _STAND_INS}
  sys.modules.update({name: _StandIn(name) for name in _STAND_INS})
  try:
    package = importlib.import_module('pommerman')
  finally:
    for name, module in kept.items():
      if module is not None:
        sys.modules[name] = module
      else:
        del sys.modules[name]
  package.utility.random = _Random()
  return package


def make_game(variant: Variant):
  """Makes a game of the package's, with agents that wait to be told.

  Args:
    variant: Whose name the package knows.

  Returns:
    Its environment: `reset()`, `step(actions)`. Its boards come from the
    global random module.
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


def stack(observations: list, variant: Variant) -> dict[str, np.ndarray]:
  """Turns the package's observations into those of one game, [1, A, ...]."""
  codes = range(variants.AGENT, variants.AGENT + variant.agents)
  names = (*observation.MAPS, 'position', 'ammo', 'blast_strength', 'can_kick')
  if variant.radio:
    names += ('message',)
  result = {
    name: np.array([[each[name] for each in observations]]) for name in names
  }
  for name in observation.MAPS:
    result[name] = result[name].astype(np.uint8)
  result['alive'] = np.isin(codes, observations[0]['alive'])[None]
  result['step_count'] = np.array([observations[0]['step_count']])
  return result
