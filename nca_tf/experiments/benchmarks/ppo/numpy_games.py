"""The benchmark's games in NumPy, for the peers.

The same rules as `grid_world.obstacles` and `recall`, lanes side by side. A
lane that has ended starts again at once.
"""

import numpy as np

MOVES = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])


class Grid:
  """The grid with obstacles; `step` returns observations after restarts.

  Attributes:
    last: Observations before restarts, of the latest step.
  """

  def __init__(self, rows, lanes, seed, time_limit=64, pixels=0):
    self.walls = np.array([list(row) for row in rows]) == '#'
    self.free = np.argwhere(~self.walls)
    self.lanes, self.time_limit = lanes, time_limit
    side, self._pixels = pixels * len(rows), pixels
    self.shape = (side, side, 3) if pixels else (4 * len(rows),)
    self.actions = len(MOVES)
    self._pictures = _draw_cells(self.walls, pixels)
    self._rng = np.random.default_rng(seed)
    self._one_hot = np.eye(len(rows), dtype=np.float32)
    self.place = np.zeros((lanes, 2), int)
    self.goal = np.zeros((lanes, 2), int)
    self.steps = np.zeros(lanes, int)

  def reset(self):
    """Starts all lanes; returns observations."""
    self._start(np.arange(self.lanes))
    return self._observe()

  def step(self, actions):
    """Returns observations, rewards, who terminated and who was truncated."""
    moved = np.clip(self.place + MOVES[actions], 0, len(self.walls) - 1)
    is_wall = self.walls[moved[:, 0], moved[:, 1]]
    self.place = np.where(is_wall[:, None], self.place, moved)
    self.steps += 1
    terminated = (self.place == self.goal).all(-1)
    truncated = (self.steps >= self.time_limit) & ~terminated
    rewards = np.where(terminated, 1.0, -0.01).astype(np.float32)
    self.last = seen = self._observe()
    over = np.flatnonzero(terminated | truncated)
    if len(over):
      self._start(over)
      seen = self._observe()
    return seen, rewards, terminated, truncated

  def _start(self, lanes):
    free = len(self.free)
    start = self._rng.integers(free, size=len(lanes))
    goal = (start + 1 + self._rng.integers(free - 1, size=len(lanes))) % free
    self.place[lanes], self.goal[lanes] = self.free[start], self.free[goal]
    self.steps[lanes] = 0

  def _observe(self):
    if not self._pixels:
      places = np.concatenate([self.place, self.goal], 1)
      return self._one_hot[places].reshape(self.lanes, -1)
    size = len(self.walls)
    agents, goals = self._pictures
    cells = [
      place[:, 0] * size + place[:, 1] for place in (self.place, self.goal)
    ]
    return agents[cells[0]] + goals[cells[1]]


class Recall:
  """The memory task."""

  def __init__(self, lanes, seed, symbols=4, delay=4, length=64):
    self.lanes, self.shape, self.actions = lanes, (symbols,), symbols
    self.delay, self.length = delay, length
    self._rng = np.random.default_rng(seed)
    self._one_hot = np.eye(symbols, dtype=np.float32)

  def reset(self):
    """Starts all lanes; returns observations."""
    self.symbols = self._draw(self.delay + 1)
    self.count = 0
    return self._one_hot[self.symbols[:, 0]]

  def step(self, actions):
    """Returns observations, rewards, who terminated and who was truncated."""
    size = 1 / (self.length - self.delay)
    rewards = np.where(actions == self.symbols[:, -1], size, -size)
    if self.count < self.delay:
      rewards = np.zeros(self.lanes)
    rewards = rewards.astype(np.float32)
    self.count += 1
    self.symbols = np.concatenate([self._draw(1), self.symbols[:, :-1]], 1)
    self.last = seen = self._one_hot[self.symbols[:, 0]]
    is_over = np.full(self.lanes, self.count >= self.length)
    if is_over[0]:
      seen = self.reset()
    return seen, rewards, is_over, np.zeros(self.lanes, bool)

  def _draw(self, count):
    return self._rng.integers(self.actions, size=(self.lanes, count))


def _draw_cells(walls, pixels):
  """Returns images of the agent and of the goal in each cell, to be added."""
  size = len(walls)
  planes = 255 * np.eye(size**2, dtype=np.uint8).reshape(-1, size, size)
  agents, goals = np.zeros([2, size**2, size, size, 3], np.uint8)
  agents[..., 0] = 255 * walls
  agents[..., 1], goals[..., 2] = planes, planes
  return [part.repeat(pixels, 1).repeat(pixels, 2) for part in (agents, goals)]
