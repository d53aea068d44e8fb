"""Scripted policies of PixelCopter: the baselines of learning agents."""

import itertools
from collections.abc import Iterator

import numpy as np

from nca_tf.environments import game
from nca_tf.environments.pixel_copter import drawing
from nca_tf.environments.pixel_copter import engine


def ups(spec: game.GameSpec, rng, tics: tuple[int, ...]) -> Iterator:
  """Climbs at some tics and never again."""
  del spec, rng
  return (
    engine.UP if tic in tics else engine.NONE for tic in itertools.count()
  )


class Pilot:
  """Looks at the frame: steers for the middle of the room ahead.

  The room is the largest stretch of rows that is free of tunnel and block from
  the copter to a quarter of the screen ahead. It lives for about 110 tics.
  """

  blind = False

  def __init__(self, spec: game.GameSpec):
    """Takes the game's spec."""
    width = spec.observation_shape[1]
    begin = int(width * 0.35) - 1  # The copter's left column.
    self._ahead = slice(begin, begin + 1 + width // 4)
    self._row = None

  def reset(self, rng: np.random.Generator):
    """Starts an episode."""
    del rng
    self._row = None

  def act(self, observation):
    """Returns the action for a frame, uint8 [height, width, 3]."""
    is_copter = (observation == drawing.WHITE).all(-1)
    is_drawn = observation.any(-1) & ~is_copter
    free = np.flatnonzero(~is_drawn[:, self._ahead].any(1))
    rows = np.flatnonzero(is_copter.any(1))
    if not len(free) or not len(rows):
      return engine.NONE
    row = rows.mean()
    falling = 0.0 if self._row is None else row - self._row
    self._row = row
    rooms = np.split(free, np.flatnonzero(np.diff(free) > 1) + 1)
    middle = max(rooms, key=len).mean()
    return engine.UP if row + 3 * falling > middle else engine.NONE
