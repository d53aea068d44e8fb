"""A small grid with obstacles, in the graph: short ways to a goal that moves.

An episode starts in a free cell drawn at random, and its goal is another one.
"""

from typing import NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf

from nca_tf import checks
from nca_tf.environments.grid_world import moves

MAP = (
  '........',
  '.##..#..',
  '.#...##.',
  '...#....',
  '.#.##.#.',
  '.#....#.',
  '...##...',
  '.#......',
)
STEP_REWARD = -0.01


class State(NamedTuple):
  """Lanes of the grid.

  Attributes:
    place: Row and column, int32 [B, 2].
    goal: The same of the goal.
    steps: Of the episode, int32 [B].
  """

  place: tf.Tensor
  goal: tf.Tensor
  steps: tf.Tensor


class Obstacles:
  """A batched environment; see `agents.collector` for its two functions.

  Observations are row and column of the agent and of the goal, each one-hot,
  float32 [B, 4 size]; or images, uint8 [B, pixels size, pixels size, 3], with
  obstacles red, the agent green and the goal blue. The reward is 1 at the goal,
  where the episode ends, and -0.01 for every other step.
  """

  def __init__(self, rows=MAP, time_limit: int = 64, pixels: int = 0):
    """Makes the grid.

    Args:
      rows: A square of characters, '.' for a free cell and '#' for another.
      time_limit: Steps after which an episode is truncated.
      pixels: Side of a cell in images; 0 for vectors.

    Raises:
      ValueError: The rows are no square, have fewer than two free cells or
        other characters; or another argument is out of range.
    """
    rows = tuple(rows)
    is_square = all(len(row) == len(rows) for row in rows)
    if not is_square or set(''.join(rows)) - {'.', '#'}:
      raise ValueError(f"rows must be a square of '.' and '#', got {rows}")
    self.walls = np.array([list(row) for row in rows]) == '#'
    self.free = np.argwhere(~self.walls).astype(np.int32)  # [F, 2]
    if len(self.free) < 2:
      raise ValueError(f'rows must have two free cells, got {rows}')
    self.size = len(rows)
    self.time_limit = checks.integer('time_limit', time_limit, 1)
    self.pixels = checks.integer('pixels', pixels, 0, 100)
    side = self.pixels * self.size
    self._pictures = _draw_cells(self.walls, self.pixels)
    box = gymnasium.spaces.Box
    self.observation_space = (
      box(0, 255, (side, side, 3), np.uint8)
      if side
      else box(0, 1, (4 * self.size,), np.float32)
    )
    self.action_space = gymnasium.spaces.Discrete(len(moves.MOVES))

  def reset(self, lanes: int, seed):
    """Draws starts and goals, never the same cell."""
    free = len(self.free)
    draws = tf.random.stateless_uniform([2, lanes], seed)
    start = tf.cast(draws[0] * free, tf.int32)
    # One of the others, so many cells further on.
    goal = (start + 1 + tf.cast(draws[1] * (free - 1), tf.int32)) % free
    place, goal = (tf.gather(tf.constant(self.free), p) for p in (start, goal))
    state = State(place, goal, tf.zeros([lanes], tf.int32))
    return state, self._observe(state)

  def step(self, state: State, action, seed):
    """Moves each lane, unless an obstacle or the border is in the way."""
    del seed
    place = moves.move(self.walls, state.place, action)
    state = State(place, state.goal, state.steps + 1)
    terminated = tf.reduce_all(place == state.goal, -1)
    truncated = (state.steps >= self.time_limit) & ~terminated
    reward = tf.where(terminated, 1.0, STEP_REWARD)
    return state, self._observe(state), reward, terminated, truncated

  def _observe(self, state):
    if self.pixels:
      cells = [
        place[:, 0] * self.size + place[:, 1]
        for place in (state.place, state.goal)
      ]
      agents, goals = map(tf.constant, self._pictures)
      return tf.gather(agents, cells[0]) + tf.gather(goals, cells[1])
    places = tf.concat([state.place, state.goal], -1)
    return tf.reshape(tf.one_hot(places, self.size), [-1, 4 * self.size])


def _draw_cells(
  walls: np.ndarray, pixels: int
) -> tuple[np.ndarray, np.ndarray]:
  """Draws the agent, with the obstacles, and the goal in every cell.

  Args:
    walls: Bool [size, size].
    pixels: Side of a cell.

  Returns:
    Images to be added, uint8 [size^2, pixels size, pixels size, 3] each.
  """
  size = len(walls)
  planes = 255 * np.eye(size**2, dtype=np.uint8).reshape(-1, size, size)
  agents, goals = np.zeros([2, size**2, size, size, 3], np.uint8)
  agents[..., 0] = 255 * walls
  agents[..., 1], goals[..., 2] = planes, planes
  return tuple(
    part.repeat(pixels, 1).repeat(pixels, 2) for part in (agents, goals)
  )


def find_distances(walls: np.ndarray) -> np.ndarray:
  """Returns lengths of the shortest ways between free cells, [F, F].

  Where there is no way it is infinite.
  """
  free = [tuple(place) for place in np.argwhere(~walls)]
  number = {place: i for i, place in enumerate(free)}
  near = np.full((len(free), len(free)), np.inf)
  np.fill_diagonal(near, 0)
  for (row, column), i in number.items():
    for down, right in moves.MOVES:
      j = number.get((row + down, column + right))
      if j is not None:
        near[i, j] = 1
  for k in range(len(free)):  # Floyd and Warshall.
    near = np.minimum(near, near[:, k, None] + near[k])
  return near
