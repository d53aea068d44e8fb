"""Any Gymnasium game by its id: `gym:CartPole-v1`, `gym:CarRacing-v3`.

A name is `gym:`, where needed a package that registers the game and a colon,
the id, and options of the game after commas:

    gym:CarRacing-v3,continuous=False
    gym:ale_py:ALE/Pong-v5

Images, uint8 [H, W], [H, W, 1] or [H, W, 3], become the 64 x 64 frames that V
takes. All other observations become a vector, as `gymnasium.spaces.flatten`
makes it: one-hot where a value is an index.

CarRacing-v3 is seen and driven as in Ha & Schmidhuber 2018 (arXiv:1803.10122),
appendix A.4: without the bar at the bottom of the screen, and with the brake on
in the upper half of its range only.

With `raw=True` images keep their size and all of their rows, and actions their
whole range: what agents see and do that learnt in Gymnasium's environment.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from PIL import Image

from nca_tf import checks
from nca_tf.environments import game
from nca_tf.environments import gym_registry
from nca_tf.environments import policies

MOST_NUMBERS = 4096  # Of a vector.
ENDLESS = 1000  # Time limit of a game that has none.

_FRAME = (64, 64, 3)
_LEAST_IMAGE = 16  # Pixels; smaller arrays of bytes are no pictures.
_REACH = 1e6  # Of an action's numbers; limits beyond it are none.
_PACE = 30.0  # Tics per second of a game that says nothing of it.
_FASTEST = 1000.0


class _Known(NamedTuple):
  """What was published for a game, and its spaces do not say."""

  rows: int | None = None  # Of the screen, from the top, that are seen.
  # Components of the action that are 0 up to the middle of their range
  half: tuple[int, ...] = ()


_KNOWN = {'CarRacing-v3': _Known(rows=84, half=(2,))}


def owns(name: Any) -> bool:
  """Whether this is the name of a Gymnasium game."""
  return isinstance(name, str) and name.startswith(gym_registry.PREFIX)


def get_spec(name: str, raw: bool = False) -> game.GameSpec:
  """Returns what the library knows of a game; it is made once to look at it.

  Raises:
    ImportError: A package that the game needs is not installed.
    ValueError: There is no such game, or no model for its spaces.
  """
  spec, raw = _look(name).spec, checks.boolean('raw', raw)
  if not raw or not spec.has_frames:
    return spec
  return dataclasses.replace(
    spec, observation_shape=spec.screen_shape, screen_rows=None
  )


def registration(name: str):
  """Returns Gymnasium's entry of a game, for `register` in another process."""
  return _look(name).entry


def register(entry) -> None:
  """Adds what `registration` returned elsewhere, where it is not known."""
  gymnasium.registry.setdefault(entry.id, entry)


class GymGame(gymnasium.Env):
  """A Gymnasium game with the options and the interface of this library's.

  ## Actions
  `Discrete(n)`, whatever the first index of the game is; or `Box(-1, 1, (A,))`,
  scaled to the game's own limits (a plain number where A is 1).

  ## Observations
  uint8 `[64, 64, 3]` of games that show an image, otherwise float32 `[N]`. With
  `frames=False` it is all zeros.

  ## Rewards
  The game's own, added up over held actions; the return is the score.

  ## Episode end
  `terminated` where the game ends, `truncated` where it cuts itself or after
  `time_limit` tics: by default its `max_episode_steps`, or 1000.
  """

  def __init__(
    self,
    name: str,
    *,
    action_kind: str | None = None,
    frame_skip: int = 1,
    time_limit: int | None = None,
    frames: bool = True,
    raw: bool = False,
    render_mode: str | None = None,
  ):
    """Makes the environment; the game itself is opened by the first `reset`.

    Args:
      name: `gym:` and the rest, see the module.
      action_kind: The game's own, or None.
      frame_skip: Tics for which each action is held.
      time_limit: Tics after which an episode is truncated; None is its own.
      frames: Whether observations are needed.
      raw: Whether it stays Gymnasium's own, see the module.
      render_mode: None or 'rgb_array' (`render()` draws the game).

    Raises:
      ImportError: A package that the game needs is not installed.
      ValueError: There is no such game, or an argument is wrong.
    """
    self._look = _look(name)
    given = {'action_kind': action_kind, 'time_limit': time_limit}
    given = {key: value for key, value in given.items() if value is not None}
    self._spec = dataclasses.replace(
      get_spec(name, raw), frame_skip=frame_skip, **given
    )
    self.render_mode = game.check_render_mode(render_mode)
    if render_mode and not self._look.draws:
      raise ValueError(
        f'render_mode must be None in game {name!r}, which draws no pictures, '
        f'got {render_mode!r}'
      )
    self.metadata = {
      'render_modes': ['rgb_array'] if self._look.draws else [],
      'render_fps': self._spec.tics_per_second,
    }
    self._frames = frames
    self._half = [] if raw else list(self._look.known.half)
    shape = self._spec.observation_shape
    if self._spec.has_frames:
      self.observation_space = spaces.Box(0, 255, shape, np.uint8)
    else:
      self.observation_space = spaces.Box(-np.inf, np.inf, shape, np.float32)
    if self._spec.action_kind == 'continuous':
      size = (self._spec.components,)
      self.action_space = spaces.Box(-1, 1, size, np.float32)
    else:
      self.action_space = spaces.Discrete(self._spec.actions)
    self._env = None
    self._tics, self._over = 0, True

  def reset(self, *, seed=None, options=None):
    """Starts an episode that `seed`, where given, determines wholly."""
    super().reset(seed=seed)
    del options
    if self._env is None:
      self._env = gym_registry.open_game(self._spec.name, self.render_mode)
    # Seeds of this library have 63 bits, engines in C take 31.
    seed = None if seed is None else seed % 2**31
    observation, _ = self._ask('reset', seed=seed)
    self._tics, self._over = 0, False
    return self._observe(observation), {'tics': 0}

  def step(self, action):
    """Plays `frame_skip` tics.

    Raises:
      GameCrashed: The game failed, or gave a number that is none.
      RuntimeError: The episode is over.
      ValueError: `action` is not in the action space.
    """
    if self._over:
      raise RuntimeError('the episode is over: call reset() before step()')
    action, total, before = self._translate(action), 0.0, self._tics
    for _ in range(self._spec.frame_skip):
      observation, reward, terminated, cut, _ = self._ask('step', action)
      total += float(reward)
      self._tics += 1
      terminated = bool(terminated)
      cut = not terminated and (cut or self._tics >= self._spec.time_limit)
      self._over = bool(terminated or cut)
      if self._over:
        break
    if not np.isfinite(total):
      self._crash('reward that is not finite', before)
    return (
      self._observe(observation),
      total,
      terminated,
      bool(cut),
      {'tics': self._tics},
    )

  def render(self):
    """Returns the game's own picture, uint8 [H, W, 3], in 'rgb_array' mode."""
    if self.render_mode is None or self._env is None:
      return None
    return np.asarray(self._ask('render'))

  def close(self):
    """Closes the game; `reset` may open it again."""
    self._over = True
    if self._env is not None:
      with gym_registry.quiet():
        self._env.close()
      self._env = None

  def _ask(self, method: str, *arguments, **options):
    """Calls the game itself."""
    try:
      with gym_registry.quiet():
        return getattr(self._env, method)(*arguments, **options)
    except Exception as error:  # Whatever a stranger's game does.
      self._over = True
      raise game.GameCrashed(
        f'game {self._spec.name!r} failed in {method}: '
        f'{type(error).__name__}: {gym_registry.shorten(error, 200)}'
      ) from error

  def _observe(self, observation):
    shape = self._spec.observation_shape
    if not self._frames:
      return np.zeros(shape, self._spec.observation_dtype)
    fault = gym_registry.find_fault(self._look.observations, observation)
    if fault:
      self._crash(f'observation {fault}', self._tics)
    if not self._spec.has_frames:
      vector = spaces.flatten(self._look.observations, observation)
      vector = np.asarray(vector, np.float32)
      if not np.isfinite(vector).all():
        self._crash('observation that is not finite', self._tics)
      return vector
    screen = np.asarray(observation, np.uint8).reshape(self._look.image)
    screen = np.broadcast_to(screen, self._spec.screen_shape)
    screen = self._spec.cut(screen)
    if screen.shape == shape:
      return screen.copy()
    image = Image.fromarray(np.ascontiguousarray(screen))
    size = shape[1], shape[0]
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))

  def _translate(self, action):
    """Returns the game's own action."""
    value, space = np.asarray(action), self._look.actions
    is_index = self._spec.action_kind == 'discrete'
    size = 1 if is_index else self._spec.components
    if is_index:
      fits = value.dtype.kind in 'iu' and (value >= 0) & (
        value < self._spec.actions
      )
    else:
      fits = np.abs(value) <= 1
    if value.size != size or not np.all(fits):
      raise ValueError(f'action must be in {self.action_space}, got {action!r}')
    if is_index:
      return space.dtype.type(space.start + value.item())
    value = value.astype(np.float64).ravel()
    share = (value + 1) / 2
    share[self._half] = np.maximum(value[self._half], 0)
    low, high = (
      limit.astype(np.float64).ravel() for limit in (space.low, space.high)
    )
    scaled = np.clip(low + share * (high - low), low, high)
    return scaled.astype(space.dtype).reshape(space.shape)

  def _crash(self, what: str, tics: int):
    self._over = True
    raise game.GameCrashed(
      f'game {self._spec.name!r} gave {what} after tic {tics}'
    )


class _Look(NamedTuple):
  """What was found out about a game by opening it."""

  spec: game.GameSpec
  entry: Any  # Of Gymnasium's registry.
  observations: spaces.Space
  actions: spaces.Space
  image: tuple[int, int, int] | None  # Height, width, 1 or 3 colours.
  known: _Known
  draws: bool  # Whether `render` gives pixels.


@functools.lru_cache(maxsize=64)
def _look(name: str) -> _Look:
  env = gym_registry.open_game(name)
  try:
    observations, actions = env.observation_space, env.action_space
    entry, about = gymnasium.registry[env.spec.id], env.metadata
  finally:
    with gym_registry.quiet():
      env.close()
  known = _KNOWN.get(entry.id, _Known())
  kind, count = _read_actions(name, actions)
  image, shape = _read_observations(name, observations)
  spec = game.GameSpec(
    name=name,
    observation_shape=shape,
    action_names=tuple(f'action {i}' for i in range(count))
    if kind == 'discrete'
    else (),
    action_kinds=(kind,),
    action_kind=kind,
    time_limit=entry.max_episode_steps or ENDLESS,
    tics_per_second=float(
      np.clip(about.get('render_fps') or _PACE, 1.0, _FASTEST)
    ),
    has_reward=True,
    policies={
      'random': policies.Script(policies.random),
      'random_per_tic': policies.Script(policies.random_per_tic),
      'wander': policies.Script(policies.wander),
    },
    components=count if kind == 'continuous' else 1,
    ordered_actions=kind != 'discrete' or count < 3,
    screen_shape=image and (*image[:2], 3),
    screen_rows=known.rows if image else None,
  )
  draws = 'rgb_array' in about.get('render_modes', ())
  return _Look(spec, entry, observations, actions, image, known, draws)


def _read_actions(name, space) -> tuple[str, int]:
  """Returns the kind of actions, and how many or of how many numbers."""
  if isinstance(space, spaces.Discrete):
    return 'discrete', int(space.n)
  if isinstance(space, spaces.Box) and space.dtype.kind == 'f':
    numbers = int(np.prod(space.shape))
    reach = np.max(np.abs([space.low, space.high]), initial=0)
    if 0 < numbers and reach <= _REACH:
      return 'continuous', numbers
  raise ValueError(
    f'game {name!r} must have actions that are Discrete, or a Box of floats '
    f'between limits of at most {_REACH:g}, got {gym_registry.shorten(space)}; '
    'register an id that wraps it in gymnasium.wrappers.TransformAction'
  )


def _read_observations(name, space):
  """Returns the shape of its image, or None, and that of observations."""
  if isinstance(space, spaces.Box) and space.dtype == np.uint8:
    image = (*space.shape, 1)[:3]
    if (
      len(image) == 3 and image[2] in (1, 3) and min(image[:2]) >= _LEAST_IMAGE
    ):
      return image, _FRAME
  size = spaces.flatdim(space) if space.is_np_flattenable else None
  if size is None or not 0 < size <= MOST_NUMBERS:
    what = 'no numbers' if size is None else f'{size} numbers'
    raise ValueError(
      f'game {name!r} must show an image, uint8 [H, W], [H, W, 1] or '
      f'[H, W, 3], or at most {MOST_NUMBERS} numbers, got {what} in '
      f'{gym_registry.shorten(space)}; register an id that wraps it in '
      'gymnasium.wrappers.FilterObservation, FlattenObservation or '
      'TransformObservation'
    )
  return None, (size,)
