"""PixelCopter as a Gymnasium environment.

Source: the PyGame Learning Environment (PLE) of N. Tasfi, 2016, and its
adapter for OpenAI Gym; `bin/replay_traces --game=pixel_copter` shows that the
engine plays as the original does.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from nca_tf import checks
from nca_tf.environments import game
from nca_tf.environments import policies
from nca_tf.environments.pixel_copter import drawing
from nca_tf.environments.pixel_copter import engine
from nca_tf.environments.pixel_copter import policies as scripts

SPEC = game.GameSpec(
  name='pixel_copter',
  observation_shape=(48, 48, 3),
  action_names=('up', 'none'),
  action_kinds=('discrete',),
  action_kind='discrete',
  time_limit=10_000,
  tics_per_second=30,
  has_reward=True,
  policies={
    'random': policies.Script(policies.random),
    'random_per_tic': policies.Script(policies.random_per_tic),
    'none': policies.Script(scripts.ups, ((),)),
    'two_ups': policies.Script(scripts.ups, ((0, 20),)),
    'pilot': scripts.Pilot,
  },
  still_policy='none',
)
# The adapter for Gym made PLE with this seed and drew two levels before it.
_FIXED_SEED, _LEVELS_BEFORE = 24, 2


class PixelCopter(gymnasium.Env):
  """A copter in a tunnel with blocks, one game frame (1/30 s) per step.

  ## Actions
  `Discrete(2)`: 0 climbs, 1 does nothing. With a `frame_skip` each action is
  held.

  ## Observations
  uint8 `[48, 48, 3]`, RGB, or float64 `[7]` with `observation='features'`: y
  and momentum of the copter, distances to ceiling and floor, distance to the
  next block (999 without one), centre of its height, and this plus its height.

  ## Rewards
  1 for each column of the tunnel (every 6.25 steps) and for each block that is
  passed, -5 for death.

  ## Episode end
  `terminated` on death, `truncated` after `time_limit` game frames.

  ## Info
  `tics`, `score`, and `labels`: int64 [5], what `engine.LABELS` names, in
  pixels.

  ## Version history
  - v0: PLE's rules at 48x48 and 30 frames per second.

  Example:
    >>> env = PixelCopter()
    >>> observation, info = env.reset(seed=1)
    >>> observation, reward, terminated, truncated, info = env.step(0)
  """

  metadata = {
    'render_modes': ['rgb_array'],
    'render_fps': SPEC.tics_per_second,
  }

  def __init__(
    self,
    *,
    action_kind: str = 'discrete',
    frame_skip: int = 1,
    time_limit: int = SPEC.time_limit,
    frames: bool = True,
    observation: str = 'frames',
    rounding: str = 'trunc',
    fixed_level: bool = False,
    stale_reset: bool = False,
    render_mode: str | None = None,
  ):
    """Makes the environment.

    Args:
      action_kind: 'discrete'.
      frame_skip: Game frames for which each action is held.
      time_limit: Game frames after which the episode is truncated.
      frames: Whether to draw the game at all; otherwise frames are black.
      observation: 'frames' or 'features'.
      rounding: 'trunc' or 'half_away', see `engine.Rules`.
      fixed_level: Whether each episode plays the one level that an environment
        of the original adapter began with, whatever the seed.
      stale_reset: Whether `reset` returns what the screen last showed, as the
        original does: black at first, then the last frame of the episode
        before.
      render_mode: None or 'rgb_array'.

    Raises:
      ValueError: An argument is out of range.
    """
    self._spec = dataclasses.replace(
      SPEC,
      action_kind=action_kind,
      frame_skip=frame_skip,
      time_limit=time_limit,
    )
    self.observation_space = make_space(observation)
    self.action_space = gymnasium.spaces.Discrete(SPEC.actions)
    self.render_mode = game.check_render_mode(render_mode)
    self._rules = engine.Rules(rounding=rounding)
    self._frames = checks.boolean('frames', frames)
    self._has_features = observation == 'features'
    self._fixed_level = checks.boolean('fixed_level', fixed_level)
    self._stale_reset = checks.boolean('stale_reset', stale_reset)
    self._state = None
    self._tics = 0
    self._over = True
    self._screen = np.zeros(SPEC.observation_shape, np.uint8)

  def reset(self, *, seed=None, options=None):
    """Starts an episode; without a seed the generator goes on, as in PLE."""
    seed = game.check_reset(seed, options)
    super().reset(seed=seed)
    if self._fixed_level:
      self._state = _start_fixed_level(self._rules)
    elif seed is not None or self._state is None:
      if seed is None:
        seed = int(self.np_random.integers(2**32))
      self._state = engine.start(self._rules, [engine.make_random(seed)])
    else:
      engine.restart(self._state, np.zeros(1, np.int64))
    self._tics, self._over = 0, False
    if not self._stale_reset:
      self._draw()
    return self._observe(), self._inform()

  def step(self, action):
    """Plays `frame_skip` game frames, or fewer when the game ends.

    Raises:
      ResetNeeded: No episode is under way.
      ValueError: `action` is not in the action space.
    """
    if self._state is None:
      raise game.ResetNeeded('call reset() before step()')
    if self._over:
      raise game.ResetNeeded('the episode is over: call reset() before step()')
    actions = np.array([checks.integer('action', action, 0, 1)])
    reward, terminated, truncated = 0.0, False, False
    for _ in range(self._spec.frame_skip):
      reward += float(engine.step(self._state, actions)[0])
      self._tics += 1
      terminated = bool(self._state.is_over[0])
      truncated = not terminated and self._tics >= self._spec.time_limit
      if terminated or truncated:
        break
    self._over = terminated or truncated
    self._draw()
    return self._observe(), reward, terminated, truncated, self._inform()

  def render(self):
    """Returns the screen, uint8 [48, 48, 3], in 'rgb_array' mode.

    Raises:
      ResetNeeded: Before the first `reset` and after `close`.
    """
    if self._state is None:
      raise game.ResetNeeded('call reset() before render()')
    return self._screen if self.render_mode == 'rgb_array' else None

  def close(self):
    """Ends the episode; `reset` starts another."""
    self._state, self._over = None, True

  def _draw(self):
    if self._frames:
      self._screen = drawing.draw(self._state)[0]

  def _observe(self):
    if self._has_features:
      return engine.get_features(self._state)[0]
    return self._screen

  def _inform(self):
    return {
      'tics': self._tics,
      'score': float(self._state.score[0]),
      'labels': engine.get_labels(self._state)[0],
    }


def make_space(observation: str) -> gymnasium.spaces.Box:
  """Returns the space of an observation, 'frames' or 'features'."""
  if observation == 'frames':
    return gymnasium.spaces.Box(0, 255, SPEC.observation_shape, np.uint8)
  if observation == 'features':
    return gymnasium.spaces.Box(-1000, 1000, (7,), np.float64)
  raise ValueError(
    f"observation must be 'frames' or 'features', got {observation!r}"
  )


def specify(options: Mapping[str, Any]) -> game.GameSpec:
  """Returns the spec of the game with some of its options.

  Raises:
    ValueError: There is no such observation.
  """
  observation = options.get('observation', 'frames')
  shape = make_space(observation).shape
  if observation == 'frames':
    return SPEC
  # The pilot looks at frames.
  scripted = {k: make for k, make in SPEC.policies.items() if k != 'pilot'}
  return dataclasses.replace(
    SPEC,
    observation_shape=shape,
    screen_shape=None,
    screen_rows=None,
    policies=scripted,
  )


def _start_fixed_level(rules):
  state = engine.start(rules, [engine.make_random(_FIXED_SEED)])
  for _ in range(_LEVELS_BEFORE):
    engine.restart(state, np.zeros(1, np.int64))
  return state
