"""Take Cover of ViZDoom: dodge fireballs for as long as possible.

Source: Ha & Schmidhuber 2018 (arXiv:1803.10122), section 4. Their engine
clamped skill 5 to Ultra-Violence, which is skill 4 in ViZDoom >= 1.1.
"""

import dataclasses
import os
import pathlib
import shutil
import tempfile
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from PIL import Image

from nca_tf import checks
from nca_tf.environments import game
from nca_tf.environments import policies
from nca_tf.environments.take_cover import engine as engine_lib
from nca_tf.environments.take_cover import fireballs
from nca_tf.environments.take_cover import policies as scripts

SPEC = game.GameSpec(
  name='vizdoom',
  observation_shape=(64, 64, 3),
  action_names=('left', 'stay', 'right'),
  action_kinds=('discrete', 'continuous'),
  action_kind='discrete',
  time_limit=2100,
  tics_per_second=35,
  has_reward=False,
  policies={
    'random': policies.Script(policies.random),
    'random_per_tic': policies.Script(policies.random_per_tic),
    'wander': policies.Script(policies.wander),
    'stay': policies.Script(scripts.always, ('stay',)),
    'metronome': policies.Script(scripts.metronome, (120,)),
    'always_left': policies.Script(scripts.always, ('left',)),
    'always_right': policies.Script(scripts.always, ('right',)),
    'sweeps': policies.Script(scripts.sweeps),
    'wander_or_sweeps': policies.Script(
      policies.one_of, (policies.wander, scripts.sweeps)
    ),
    'reversals': policies.Script(scripts.reversals),
    'wander_sweeps_or_reversals': policies.Script(
      policies.one_of, (policies.wander, scripts.sweeps, scripts.reversals)
    ),
    **{
      f'metronome_{period}': policies.Script(scripts.metronome, (period,))
      for period in (4, 10, 20, 40, 64, 80, 100, 150)
    },
  },
  still_policy='stay',
  screen_shape=(120, 160, 3),
  screen_rows=100,  # The bar with the health and ammunition is cut off.
  views=(game.WHOLE, 'band'),
  labels=fireballs.NAMES,
  mirrored_actions=(2, 1, 0),
)

# The rows where fireballs are to be seen, and the walls behind them: all that
# moves is between the monsters at the far wall and the player's height.
_BAND = {
  'view': 'band',
  'observation_shape': (32, 128, 3),
  'screen_top': 34,
  'screen_rows': 32,
}

_SCENARIO = 'take_cover.wad'
_SKILL = 4
_START_TIC = 14
_THRESHOLD = 1 / 3
_BUTTONS = ((1, 0), (0, 0), (0, 1))  # MOVE_LEFT, MOVE_RIGHT by action
# One at a time: what another thread forks meanwhile would hold the launcher
# open, and then the kernel refuses to run it.
_STARTING = threading.Lock()


def specify(options: Mapping[str, Any]) -> game.GameSpec:
  """Returns the spec of the game with some of its options.

  Raises:
    ValueError: There is no such view.
  """
  view = options.get('view', SPEC.view)
  return dataclasses.replace(
    SPEC, **(_BAND if view == 'band' else {'view': view})
  )


class TakeCover(gymnasium.Env):
  """Take Cover, one tic (1/35 s) per step.

  ## Actions
  `Discrete(3)`: 0 moves left, 1 stays, 2 moves right. With
  `action_kind='continuous'`, `Box(-1, 1, (1,))`: below -1/3 moves left, above
  1/3 moves right, between stays (a plain float is accepted as well).

  ## Observations
  uint8 `[64, 64, 3]`, RGB: rows 0..99 of the 160x120 screen, resized. With
  `view='band'`, uint8 `[32, 128, 3]`: rows 34..65, at their own height, in
  which a distant fireball is not lost. Screen flashes are on, so damage tints
  the frame. There is no frame after death: the last one seen is returned again.
  With `frames=False` nothing is drawn and the observation is black, for
  policies that do not look: same game, faster.

  ## Rewards
  1 per tic survived, the tic of death included; the return is the score.

  ## Episode end
  `terminated` on death, `truncated` after `time_limit` tics, never both.
  After `close`, `reset` starts another engine.

  ## Info
  `tics`; with `labels=True` also `labels`, bool [3, 8]: whether a fireball that
  arrives soon, later or last (`SPEC.labels`) is in an eighth of the screen's
  width; after death those of the last frame.

  ## Version history
  - v0: ViZDoom 1.3.2, skill 4, start tic 14, 2100 tics.

  Example:
    >>> env = TakeCover(time_limit=350)
    >>> observation, info = env.reset(seed=1)
    >>> observation, reward, terminated, truncated, info = env.step(2)
    >>> env.close()
  """

  metadata = {
    'render_modes': ['rgb_array'],
    'render_fps': SPEC.tics_per_second,
  }

  def __init__(
    self,
    *,
    view: str = SPEC.view,
    action_kind: str = 'discrete',
    frame_skip: int = 1,
    time_limit: int = SPEC.time_limit,
    frames: bool = True,
    labels: bool = False,
    render_mode: str | None = None,
  ):
    """Makes the environment; the engine starts at the first `reset`.

    Args:
      view: 'whole' or 'band', the part of the screen that is shown.
      action_kind: 'discrete' or 'continuous'.
      frame_skip: Tics for which each action is held.
      time_limit: Tics after which the episode is truncated.
      frames: Whether to draw the game at all.
      labels: Whether to say where fireballs are.
      render_mode: None or 'rgb_array' (`render()` gives the last frame).

    Raises:
      ImportError: ViZDoom is not installed.
      ValueError: An argument is out of range.
    """
    self._spec = dataclasses.replace(
      specify({'view': view}),
      action_kind=action_kind,
      frame_skip=frame_skip,
      time_limit=time_limit,
    )
    self.render_mode = game.check_render_mode(render_mode)
    engine_lib.import_vizdoom()
    self._frames = checks.boolean('frames', frames)
    self._labelled = checks.boolean('labels', labels)
    self.observation_space = gymnasium.spaces.Box(
      0, 255, self._spec.observation_shape, np.uint8
    )
    if action_kind == 'continuous':
      self.action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    else:
      self.action_space = gymnasium.spaces.Discrete(SPEC.actions)
    self._game = None
    self._remove_folder = None
    self._tics = 0
    self._over = True
    self._observation = np.zeros(self._spec.observation_shape, np.uint8)
    self._labels = fireballs.NOWHERE

  def reset(self, *, seed=None, options=None):
    """Starts an episode that `seed`, where given, determines wholly.

    Raises:
      GameCrashed: The engine does not start, or died.
      OSError: There is no room for the engine's files or its shared memory, or
        their paths are not UTF-8.
      ValueError: An argument is wrong.
    """
    super().reset(seed=game.check_reset(seed, options))
    engine_seed = int(self.np_random.integers(2**32))
    self._over = True
    try:
      if self._game is None:
        with _STARTING:
          self._start_engine()
      self._game.set_seed(engine_seed)
      self._game.new_episode()
      self._observation = np.zeros(self._spec.observation_shape, np.uint8)
      self._observe()
    except engine_lib.errors() as error:
      self._fail(error)
    except BaseException:
      self.close()
      raise
    self._tics = 0
    self._over = False
    return self._observation, self._info()

  def step(self, action):
    """Plays `frame_skip` tics.

    Raises:
      GameCrashed: The engine died; `reset` starts a new one.
      ResetNeeded: The episode is over, or none has begun since `close`.
      ValueError: `action` is not in the action space.
    """
    self._need_engine('step')
    if self._over:
      raise game.ResetNeeded('the episode is over: call reset() before step()')
    buttons = _BUTTONS[self._choose(action)]
    tics = min(self._spec.frame_skip, self._spec.time_limit - self._tics)
    try:
      before = self._game.get_episode_time()
      self._game.set_action(list(buttons))
      self._game.advance_action(tics, self._frames)
      played = self._game.get_episode_time() - before
      terminated = self._game.is_episode_finished()
      if not terminated:
        self._observe()
    except engine_lib.errors() as error:
      self._fail(error)
    self._tics += played
    truncated = not terminated and self._tics >= self._spec.time_limit
    self._over = terminated or truncated
    return (
      self._observation,
      float(played),
      terminated,
      truncated,
      self._info(),
    )

  def render(self):
    """Returns the last observation, uint8 [H, W, 3], in 'rgb_array' mode.

    Raises:
      ResetNeeded: There is none since the beginning or `close`.
    """
    self._need_engine('render')
    return self._observation if self.render_mode == 'rgb_array' else None

  def close(self):
    """Ends the engine and removes its files; `reset` may start it again."""
    self._over = True
    started, self._game = self._game, None
    if started is not None:
      started.close()
    if self._remove_folder is not None:
      self._remove_folder()

  def _choose(self, action) -> int:
    """Returns 0 (left), 1 (stay) or 2 (right)."""
    continuous = self._spec.action_kind == 'continuous'
    value = game.to_array(action)
    if value.size == 1 and value.dtype.kind in ('iuf' if continuous else 'iu'):
      value = value.reshape(()).item()
      if continuous and -1 <= value <= 1:
        return 1 + int(value > _THRESHOLD) - int(value < -_THRESHOLD)
      if not continuous and value in (0, 1, 2):
        return value
    wanted = 'in [-1, 1]' if continuous else '0, 1 or 2'
    raise ValueError(f'action must be {wanted}, got {checks.shorten(action)}')

  def _info(self):
    info = {'tics': self._tics}
    return {**info, 'labels': self._labels} if self._labelled else info

  def _observe(self):
    if self._labelled:
      self._labels = fireballs.find(self._game.get_state().objects)
    if not self._frames:
      return
    screen = self._spec.cut(self._game.get_state().screen_buffer)
    height, width, _ = self._spec.observation_shape
    image = Image.fromarray(screen).resize(
      (width, height), Image.Resampling.BILINEAR
    )
    self._observation = np.asarray(image)

  def _need_engine(self, call: str):
    if self._game is None:
      raise game.ResetNeeded(f'call reset() before {call}()')

  def _fail(self, error: Exception):
    """Drops the engine and reports what happened to it."""
    self.close()
    reason = ' '.join(str(error).split())
    raise game.GameCrashed(f'ViZDoom engine died: {reason}') from error

  def __getstate__(self):
    """Returns what another process or a copy needs: all but an engine."""
    if self._game is not None:
      raise TypeError(
        'TakeCover cannot be pickled or copied while its engine runs: make '
        'another one with the same options, or call close() first'
      )
    return {**self.__dict__, '_remove_folder': None}

  def _start_engine(self):
    vizdoom = engine_lib.import_vizdoom()
    program = str(pathlib.Path(vizdoom.__file__).with_name('vizdoom'))
    engine_lib.check_paths(program)
    engine_lib.check_shared_memory()
    folder = pathlib.Path(tempfile.mkdtemp(prefix='nca_tf_'))
    # Once: in `close`, or when an environment that was not closed is collected.
    self._remove_folder = weakref.finalize(
      self, shutil.rmtree, folder, ignore_errors=True
    )
    engine = vizdoom.DoomGame()
    engine.set_vizdoom_path(engine_lib.write_launcher(folder, program))
    engine.set_doom_config_path(str(folder / 'vizdoom.ini'))
    engine.set_doom_scenario_path(
      os.path.join(vizdoom.scenarios_path, _SCENARIO)
    )
    engine.set_doom_map('map01')
    engine.set_doom_skill(_SKILL)
    engine.set_episode_start_time(_START_TIC)
    # The time limit is counted here: the engine gives no frame once it has
    # ended an episode, and the last frame before a time limit is a real one.
    engine.set_episode_timeout(0)
    engine.set_available_buttons(
      [vizdoom.Button.MOVE_LEFT, vizdoom.Button.MOVE_RIGHT]
    )
    engine.set_mode(vizdoom.Mode.PLAYER)
    engine.set_window_visible(False)
    engine.set_sound_enabled(False)
    engine_lib.set_drawing(engine, vizdoom)
    engine.set_objects_info_enabled(self._labelled)
    self._game = engine
    engine.init()
