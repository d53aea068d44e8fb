"""The rooms of `grid_world.rooms` as a game like any other, for players.

Same walls, steps, rewards and observations; the tests play both side by side.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from nca_tf import checks
from nca_tf.environments import game
from nca_tf.environments import policies

SIZE = 15  # Of a side.
_ROOM = 3  # Columns between two walls.
_MOVES = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])
_PICTURE = 240  # Pixels of a side, or one for each place.
FLOOR, WALL, GOAL, AGENT = (
  (235, 235, 235),
  (60, 60, 60),
  (0, 158, 115),
  (213, 94, 0),
)

SPEC = game.GameSpec(
  name='rooms',
  observation_shape=(2 * SIZE,),
  action_names=('up', 'down', 'left', 'right'),
  action_kinds=('discrete',),
  action_kind='discrete',
  time_limit=2 * SIZE**2,
  tics_per_second=15,
  has_reward=True,
  policies={
    'random': policies.Script(policies.random),
    'random_per_tic': policies.Script(policies.random_per_tic),
    'wander': policies.Script(policies.wander),
  },
  ordered_actions=False,
)


def specify(options: Mapping[str, Any]) -> game.GameSpec:
  """Returns the spec of the game with some of its options.

  Raises:
    ValueError: The size is out of range.
  """
  size = checks.integer('size', options.get('size', SIZE), 3, 100)
  return dataclasses.replace(
    SPEC, observation_shape=(2 * size,), screen_shape=None, screen_rows=None
  )


class Rooms(gymnasium.Env):
  """A snake of rooms with one reward at its end.

  ## Actions
  `Discrete(4)`: up, down, left, right; a wall or the border leaves the agent
  where it is.

  ## Observations
  float32 `[2 size]`: row and column, each one-hot. With `frames=False` it is
  all zeros.

  ## Rewards
  1 at the goal, in the bottom right corner.

  ## Episode end
  `terminated` at the goal, `truncated` after `time_limit` steps.

  ## Info
  `tics`, and `place`: row and column.

  ## Version history
  - v0: as in `grid_world.rooms`.
  """

  metadata = {
    'render_modes': ['rgb_array'],
    'render_fps': SPEC.tics_per_second,
  }

  def __init__(
    self,
    *,
    size: int = SIZE,
    action_kind: str = 'discrete',
    frame_skip: int = 1,
    time_limit: int = SPEC.time_limit,
    frames: bool = True,
    render_mode: str | None = None,
  ):
    """Makes a square grid.

    Args:
      size: Places of a side.
      action_kind: 'discrete'.
      frame_skip: Steps for which each action is held.
      time_limit: Steps after which an episode is truncated.
      frames: Whether observations are needed.
      render_mode: None or 'rgb_array'.

    Raises:
      ValueError: An argument is out of range.
    """
    self._spec = dataclasses.replace(
      specify({'size': size}),
      action_kind=action_kind,
      frame_skip=frame_skip,
      time_limit=time_limit,
    )
    self.render_mode = game.check_render_mode(render_mode)
    self.walls = make_walls(self._spec.observation_shape[0] // 2)
    self.observation_space = gymnasium.spaces.Box(
      0, 1, self._spec.observation_shape, np.float32
    )
    self.action_space = gymnasium.spaces.Discrete(SPEC.actions)
    self._frames = checks.boolean('frames', frames)
    self._place = None
    self._tics, self._over = 0, True

  def reset(self, *, seed=None, options=None):
    """Starts in the top left corner."""
    super().reset(seed=game.check_reset(seed, options))
    self._place = np.zeros(2, np.int64)
    self._tics, self._over = 0, False
    return self._observe(), self._inform()

  def step(self, action):
    """Moves `frame_skip` times, or less often when the episode ends.

    Raises:
      ResetNeeded: No episode is under way.
      ValueError: `action` is not in the action space.
    """
    if self._place is None:
      raise game.ResetNeeded('call reset() before step()')
    if self._over:
      raise game.ResetNeeded('the episode is over: call reset() before step()')
    move = _MOVES[checks.integer('action', action, 0, SPEC.actions - 1)]
    size = len(self.walls)
    for _ in range(self._spec.frame_skip):
      moved = np.clip(self._place + move, 0, size - 1)
      if not self.walls[tuple(moved)]:
        self._place = moved
      self._tics += 1
      terminated = bool((self._place == size - 1).all())
      truncated = not terminated and self._tics >= self._spec.time_limit
      self._over = terminated or truncated
      if self._over:
        break
    reward = float(terminated)
    return self._observe(), reward, terminated, truncated, self._inform()

  def render(self):
    """Returns the grid from above, uint8 [H, W, 3], in 'rgb_array' mode.

    Raises:
      ResetNeeded: Before the first `reset` and after `close`.
    """
    if self._place is None:
      raise game.ResetNeeded('call reset() before render()')
    if self.render_mode is None:
      return None
    picture = draw(self.walls)
    picture[tuple(self._place)] = AGENT
    scale = max(1, _PICTURE // len(picture))
    return picture.repeat(scale, 0).repeat(scale, 1)

  def close(self):
    """Ends the episode; `reset` starts another."""
    self._place, self._over = None, True

  def _observe(self):
    seen = np.zeros((2, len(self.walls)), np.float32)
    if self._frames:
      seen[[0, 1], self._place] = 1
    return seen.ravel()

  def _inform(self):
    return {'tics': self._tics, 'place': tuple(map(int, self._place))}


def make_walls(size: int) -> np.ndarray:
  """Returns where walls are, bool [size, size]."""
  walls = np.zeros([size, size], bool)
  for number, column in enumerate(range(_ROOM, size - 1, _ROOM + 1)):
    walls[:, column] = True
    walls[-1 if number % 2 == 0 else 0, column] = False
  return walls


def draw(walls: np.ndarray) -> np.ndarray:
  """Returns floor, walls and goal, uint8 [size, size, 3]."""
  picture = np.where(walls[..., None], WALL, FLOOR).astype(np.uint8)
  picture[-1, -1] = GOAL
  return picture
