"""Where agents are trained: batched environments by name.

Another one is an entry in `ARENAS`, and nothing else; `gym:<id>` is any game of
Gymnasium's registry, with options after commas. TensorFlow is imported when one
is made.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from nca_tf.agents import spaces
from nca_tf.command_line import faults
from nca_tf.environments import gym_lanes
from nca_tf.environments import gym_registry
from nca_tf.environments.memory_games import registry as memory_games
from nca_tf.environments.pixel_copter import pixel_copter
from nca_tf.environments.pixel_copter import vector


class Arena(NamedTuple):
  """What training has to know of an environment.

  Attributes:
    make: Function of the settings and the number of lanes; returns an
      environment as in `agents.collector`, with spaces and a `time_limit`. If
      it has `cells`, how many places there are, and `locate(observations)`,
      which of them each one is at, the share of places seen is recorded; if it
      also has `rooms`, as in `grid_world.rooms`, the novelty of each.
    solved: Mean return of whole episodes from which it counts as solved.
    options: Function of the settings and the environment; returns the options
      of `environments.make` with which the game of the same name shows and
      takes what the environment does, where they are not the game's own.
  """

  make: Callable[[Any, int], Any]
  solved: float
  options: Callable[[Any, Any], dict[str, Any]] = lambda config, made: {}


def _make_rooms(config, lanes):
  from nca_tf.environments.grid_world import rooms

  del lanes
  return rooms.Rooms(config.size)


def _make_copter(config, lanes):
  from nca_tf.agents import vector_bridge

  games = vector.PixelCopterVector(lanes, observation=config.observation)
  return vector_bridge.VectorBridge(games, pixel_copter.SPEC.time_limit)


def _make_take_cover(config, lanes):
  from nca_tf.agents import vector_bridge
  from nca_tf.environments.take_cover import vector as take_cover

  del config
  games = take_cover.TakeCoverVector(lanes)
  limit = games.time_limit
  return vector_bridge.VectorBridge(games, limit, pickles=False)


def _make_gym(config, lanes):
  from nca_tf.agents import vector_bridge

  games = gym_lanes.Lanes(config.env, lanes)
  # Many of them pickle what they were made of, and not where they are.
  return vector_bridge.VectorBridge(games, games.time_limit, pickles=False)


def _make_memory_game(config, lanes):
  del lanes
  return memory_games.make(config.env)


def _get_rooms_options(config, made):
  return {'size': config.size, 'time_limit': made.time_limit}


def _get_copter_options(config, made):
  del made
  return {'observation': config.observation}


def _get_gym_options(config, made):
  del config
  return {'raw': True, 'time_limit': made.time_limit}


GYM = gym_registry.PREFIX
_REMEMBERED = 0.95  # Of returns that are 1 at most.
ARENAS = {
  'rooms': Arena(_make_rooms, 0.9, _get_rooms_options),
  'pixel_copter': Arena(_make_copter, 50.0, _get_copter_options),
  'vizdoom': Arena(_make_take_cover, 750.0),
}


def get(name: str) -> Arena:
  """Returns the arena of a name.

  Raises:
    faults.UsageError: There is none, or agents cannot play there.
  """
  if memory_games.owns(name):
    try:
      memory_games.parse(name)
    except ValueError as error:
      raise faults.UsageError(f'--env={name}: {error}') from error
    return Arena(_make_memory_game, _REMEMBERED)
  if not name.startswith(GYM):
    if name not in ARENAS:
      names = ', '.join((*ARENAS, *memory_games.EXAMPLES))
      raise faults.UsageError(
        f'--env must be one of {names} or {GYM}<id>, got {name!r}'
      )
    return ARENAS[name]
  try:
    environment = gym_lanes.open_one(name)
  except (ImportError, ValueError) as error:  # They name the game.
    raise faults.UsageError(f'--env: {error}') from error
  with environment:
    try:
      spaces.check_actions(environment.action_space)
      spaces.check_observations(environment.observation_space)
    except ValueError as error:
      raise faults.UsageError(f'--env={name}: {error}') from error
  threshold = environment.spec.reward_threshold
  solved = float('inf') if threshold is None else threshold
  return Arena(_make_gym, solved, _get_gym_options)
