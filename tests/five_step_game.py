"""A game of about five steps that the tests register, through every binary."""

import dataclasses

import gymnasium
import numpy as np

from nca_tf.environments import game
from nca_tf.environments import policies

NAME = 'five_steps'
ENTRY = ('nca_tf/FiveSteps-v0', 'five_step_game', 'FiveSteps')
SIZE = 64

SPEC = game.GameSpec(
  name=NAME,
  observation_shape=(SIZE, SIZE, 3),
  action_names=('left', 'right'),
  action_kinds=('discrete',),
  action_kind='discrete',
  time_limit=12,
  tics_per_second=5,
  has_reward=False,
  policies={
    'random': policies.Script(policies.random),
    'random_per_tic': policies.Script(policies.random_per_tic),
  },
)


class FiveSteps(gymnasium.Env):
  """A dot that moves left or right; each tic kills one time in five.

  ## Actions
  `Discrete(2)`: 0 moves left, 1 right.

  ## Observations
  uint8 `[64, 64, 3]`: a white dot on a floor whose colour says how many tics
  have passed. With `frames=False` it is black.

  ## Rewards
  1 per tic survived.

  ## Episode end
  `terminated` on death, `truncated` after `time_limit` tics.
  """

  def __init__(
    self,
    *,
    action_kind: str = 'discrete',
    frame_skip: int = 1,
    time_limit: int = SPEC.time_limit,
    frames: bool = True,
    luck: float = 0.8,
  ):
    """Takes the options of every game, and the chance to survive a tic."""
    self._spec = dataclasses.replace(
      SPEC,
      action_kind=action_kind,
      frame_skip=frame_skip,
      time_limit=time_limit,
    )
    self._frames = frames
    self._luck = luck
    self.observation_space = gymnasium.spaces.Box(
      0, 255, SPEC.observation_shape, np.uint8
    )
    self.action_space = gymnasium.spaces.Discrete(SPEC.actions)
    self._tics = self._place = 0
    self._over = True

  def reset(self, *, seed=None, options=None):
    """Starts an episode that `seed`, where given, determines wholly."""
    super().reset(seed=game.check_reset(seed, options))
    self._tics, self._over = 0, False
    self._place = int(self.np_random.integers(SIZE // 8))
    return self._observe(), {'tics': 0}

  def step(self, action):
    """Plays `frame_skip` tics."""
    if self._over:
      raise game.ResetNeeded('the episode is over: call reset() before step()')
    if action not in (0, 1):
      raise ValueError(f'action must be 0 or 1, got {action!r}')
    before = self._tics
    terminated = truncated = False
    for _ in range(self._spec.frame_skip):
      self._tics += 1
      self._place = (self._place + 2 * int(action) - 1) % (SIZE // 8)
      terminated = bool(self.np_random.random() >= self._luck)
      truncated = not terminated and self._tics >= self._spec.time_limit
      if terminated or truncated:
        break
    self._over = terminated or truncated
    reward = float(self._tics - before)
    return self._observe(), reward, terminated, truncated, {'tics': self._tics}

  def close(self):
    """Drops the game; `reset` starts another one."""
    self._over = True

  def _observe(self):
    frame = np.zeros(SPEC.observation_shape, np.uint8)
    if self._frames:
      frame[SIZE // 2 :] = 20 * (self._tics % 12)
      left = 8 * self._place
      frame[24:32, left : left + 8] = 255
    return frame
