"""Gymnasium's games in lanes, for agents: as they are, but quiet and checked.

`gym_games` scales what a game shows to what the world model takes; here agents
see its own observations and take its own actions.
"""

import functools

import gymnasium

from nca_tf.environments import game
from nca_tf.environments import gym_registry

ENDLESS = 10_000  # Steps of an episode where a game has no limit.


class Lanes(gymnasium.vector.SyncVectorEnv):
  """One game many times, stepped one after the other.

  Attributes:
    time_limit: Steps after which an episode is truncated.
  """

  def __init__(self, name: str, lanes: int):
    """Opens the games.

    Raises:
      ImportError, ValueError: As `gym_registry.open_game`.
    """
    super().__init__([functools.partial(open_one, name)] * lanes)
    self.time_limit = self.envs[0].spec.max_episode_steps

  def reset(self, **options):
    """Starts all games."""
    with gym_registry.quiet():
      return super().reset(**options)

  def step(self, actions):
    """Plays a step in all games."""
    with gym_registry.quiet():
      return super().step(actions)


class _Checked(gymnasium.Wrapper):
  """A game whose faults are of one line, and none of NumPy's."""

  def __init__(self, env, name):
    super().__init__(env)
    self._name = name
    self._steps = 0

  def reset(self, **options):
    self._steps = 0
    observation, info = self._ask(self.env.reset, 'reset', **options)
    return self._check(observation), info

  def step(self, action):
    self._steps += 1
    observation, *rest = self._ask(self.env.step, 'step', action)
    return self._check(observation), *rest

  def _ask(self, method, verb, *arguments, **options):
    try:
      return method(*arguments, **options)
    except Exception as error:  # Whatever a stranger's game does.
      raise game.GameCrashed(
        f'game {self._name!r} failed in {verb}: {type(error).__name__}: '
        f'{gym_registry.shorten(error, 200)}'
      ) from error

  def _check(self, observation):
    fault = gym_registry.find_fault(self.env.observation_space, observation)
    if fault:
      raise game.GameCrashed(
        f'game {self._name!r} gave observation {fault} after step {self._steps}'
      )
    return observation


def open_one(name: str) -> gymnasium.Env:
  """Opens a game with its time limit, or a long one where it has none.

  Raises:
    ImportError, ValueError: As `gym_registry.open_game`.
  """
  env = gym_registry.open_game(name, limited=True)
  if env.spec.max_episode_steps is None:
    env = gymnasium.wrappers.TimeLimit(env, ENDLESS)
  return _Checked(env, name)
