"""A snake of rooms with one reward at its end, in the graph.

Walls stand every few columns and have a door at alternating ends, so that the
way from the top left corner to the bottom right one is long and nothing on it
tells that it leads anywhere: exploration by chance does not find the goal.
"""

from typing import NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf

from nca_tf import checks
from nca_tf.environments.grid_world import moves


class State(NamedTuple):
  """Lanes of the grid.

  Attributes:
    place: Row and column, int32 [B, 2].
    steps: Of the episode, int32 [B].
  """

  place: tf.Tensor
  steps: tf.Tensor


class Rooms:
  """A batched environment; see `agents.collector` for its two functions.

  Observations are row and column, each one-hot, float32 [B, 2 size]; the reward
  is 1 at the goal, where the episode ends.

  Attributes:
    cells: How many the grid has, those of walls included.
    reachable: How many of them an episode can visit, the goal included.
    rooms: Number of each cell's room from 0, int [cells]; a door is of the room
      before it, and -1 is a wall.
  """

  def __init__(
    self, size: int = 15, room: int = 3, time_limit: int | None = None
  ):
    """Makes a square grid.

    Args:
      size: Cells of a side.
      room: Columns between two walls.
      time_limit: Steps after which an episode is truncated; 2 size^2 without.

    Raises:
      ValueError: An argument is out of range.
    """
    self.size = checks.integer('size', size, 3, 100)
    room = checks.integer('room', room, 1)
    self.time_limit = checks.integer(
      'time_limit', 2 * size**2 if time_limit is None else time_limit, 1
    )
    self.walls = np.zeros([size, size], bool)
    for number, column in enumerate(range(room, size - 1, room + 1)):
      self.walls[:, column] = True
      self.walls[-1 if number % 2 == 0 else 0, column] = False
    self.cells = size**2
    number = np.broadcast_to(np.arange(size) // (room + 1), [size, size])
    self.rooms = np.where(self.walls, -1, number).ravel()
    self.reachable = _count_reachable(self.walls)
    self.observation_space = gymnasium.spaces.Box(
      0, 1, (2 * self.size,), np.float32
    )
    self.action_space = gymnasium.spaces.Discrete(len(moves.MOVES))

  def reset(self, lanes: int, seed):
    """Puts all lanes into the top left corner."""
    del seed
    state = State(tf.zeros([lanes, 2], tf.int32), tf.zeros([lanes], tf.int32))
    return state, self._observe(state)

  def step(self, state: State, action, seed):
    """Moves each lane, unless a wall is in the way."""
    del seed
    place = moves.move(self.walls, state.place, action)
    state = State(place, state.steps + 1)
    terminated = tf.reduce_all(place == self.size - 1, -1)
    truncated = (state.steps >= self.time_limit) & ~terminated
    reward = tf.cast(terminated, tf.float32)
    return state, self._observe(state), reward, terminated, truncated

  def locate(self, observation):
    """Returns which cell observations [..., 2 size] are of, row by row."""
    row, column = tf.split(observation, 2, -1)
    row, column = (
      tf.argmax(part, -1, output_type=tf.int32) for part in (row, column)
    )
    return row * self.size + column

  def observe(self, cells):
    """Returns the observations [N, 2 size] of cells [N], row by row."""
    place = tf.stack([cells // self.size, cells % self.size], -1)
    return self._observe(State(place, tf.zeros_like(cells)))

  def _observe(self, state):
    return tf.reshape(tf.one_hot(state.place, self.size), [-1, 2 * self.size])


def _count_reachable(walls):
  """Counts the cells to which there is a way that does not cross the goal."""
  size = len(walls)
  seen, edge = {(0, 0)}, [(0, 0)]
  while edge:
    place = edge.pop()
    if place == (size - 1, size - 1):
      continue
    for move in moves.MOVES:
      row, column = place[0] + move[0], place[1] + move[1]
      if 0 <= row < size and 0 <= column < size and not walls[row, column]:
        if (row, column) not in seen:
          seen.add((row, column))
          edge.append((row, column))
  return len(seen)
