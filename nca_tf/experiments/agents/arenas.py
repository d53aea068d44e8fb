"""Where agents are trained: batched environments by name.

Another one is an entry in `ARENAS`, and nothing else; `gym:<id>` is any of
Gymnasium's own environments. TensorFlow is imported when one is made.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium

from nca_tf.agents import spaces
from nca_tf.command_line import faults
from nca_tf.environments import gym_registry
from nca_tf.environments.pixel_copter import pixel_copter
from nca_tf.environments.pixel_copter import vector


class Arena(NamedTuple):
  """What training has to know of an environment.

  Attributes:
    make: Function of the settings and the number of lanes; returns an
      environment as in `agents.collector`, with spaces and a `time_limit`. If
      it has `cells`, how many places there are, and `locate(observations)`,
      which of them each one is at, the share of places seen is recorded.
    solved: Mean return of whole episodes from which it counts as solved.
  """

  make: Callable[[Any, int], Any]
  solved: float


def _make_rooms(config, lanes):
  from nca_tf.environments.grid_world import rooms

  del lanes
  return rooms.Rooms(config.size)


def _make_copter(config, lanes):
  from nca_tf.agents import vector_bridge

  games = vector.PixelCopterVector(lanes, observation=config.observation)
  return vector_bridge.VectorBridge(games, pixel_copter.SPEC.time_limit)


def _make_gym(config, lanes):
  from nca_tf.agents import vector_bridge

  name = config.env.removeprefix(GYM)
  limit = gymnasium.spec(name).max_episode_steps
  limit = {} if limit else {'max_episode_steps': _LONGEST}
  make = functools.partial(gymnasium.make, name, **limit)
  environment = gymnasium.vector.SyncVectorEnv([make] * lanes)
  longest = environment.envs[0].spec.max_episode_steps
  # Many of them pickle what they were made of, and not where they are.
  return vector_bridge.VectorBridge(environment, longest, pickles=False)


GYM = gym_registry.PREFIX
_LONGEST = 10_000  # Steps of an episode where an environment has no limit.
ARENAS = {
  'rooms': Arena(_make_rooms, 0.9),
  'pixel_copter': Arena(_make_copter, 50.0),
}


def get(name: str) -> Arena:
  """Returns the arena of a name.

  Raises:
    faults.UsageError: There is none, or agents cannot play there.
  """
  if not name.startswith(GYM):
    if name not in ARENAS:
      names = ', '.join(ARENAS)
      raise faults.UsageError(
        f'--env must be one of {names} or {GYM}<id>, got {name!r}'
      )
    return ARENAS[name]
  try:
    spec = gymnasium.spec(name.removeprefix(GYM))
    with gymnasium.make(spec) as environment:
      spaces.check_actions(environment.action_space)
      spaces.check_observations(environment.observation_space)
  except (gymnasium.error.Error, ImportError, ValueError) as error:
    line = ' '.join(str(error).split())
    raise faults.UsageError(f'--env={name}: {line}') from error
  threshold = spec.reward_threshold
  return Arena(_make_gym, float('inf') if threshold is None else threshold)
