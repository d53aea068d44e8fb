"""Where agents are trained: batched environments by name.

Another one is an entry in `ARENAS`, and nothing else.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from nca_tf.agents import vector_bridge
from nca_tf.environments.grid_world import rooms
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
  del lanes
  return rooms.Rooms(config.size)


def _make_copter(config, lanes):
  games = vector.PixelCopterVector(lanes, observation=config.observation)
  return vector_bridge.VectorBridge(games, pixel_copter.SPEC.time_limit)


ARENAS = {
  'rooms': Arena(_make_rooms, 0.9),
  'pixel_copter': Arena(_make_copter, 50.0),
}
