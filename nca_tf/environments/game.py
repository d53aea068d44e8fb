"""What every game says about itself, and how it reports a broken engine."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from nca_tf import checks
from nca_tf.command_line import faults

LONGEST = 2**31 - 1  # Tics of an episode or a step: engines count in 32 bits.
WHOLE = 'whole'  # The view of every game.


def always_installed() -> None:
  """Says of an engine that comes with the library: nothing is missing."""


@dataclasses.dataclass(frozen=True)
class GameSpec:
  """Facts about a game that models, recorders and tables need.

  A tic is the game's own unit of time, in which limits and scores are counted;
  a step, from one action to the next, is `frame_skip` tics long.

  Attributes:
    name: Name in `environments.names()`.
    observation_shape: Height, width and channels of a uint8 frame; or the
      size of a float32 vector.
    action_names: What each discrete action does, by its index.
    action_kinds: Kinds of action that the game offers: 'discrete' (an index),
      'continuous' (floats in [-1, 1]), or both.
    action_kind: The kind in use.
    time_limit: Tics after which an episode is truncated.
    tics_per_second: The pace at which people watch or play the game.
    has_reward: Whether the reward says more than "one more step survived".
    policies: Scripted policies that make sense in this game: by name, what
      makes the policy for a spec (see `policies.make`).
    still_policy: Name of the policy that does nothing; None where there is
      none.
    engines: What can play the game: by name, what returns None if that engine
      is installed here, and otherwise a line that says how to install it.
    components: Floats of a continuous action; a single one is a plain number,
      several are an array.
    frame_skip: Tics for which each action is held.
    screen_shape: Height, width and channels of what the engine draws, uint8;
      by default the observation's.
    screen_rows: How many of the screen's rows are scaled (bilinearly, with
      antialiasing) to the observation; by default all.
    screen_top: The first of these rows.
    views: What parts of the screen the game can show, by name.
    view: The one in use.
    labels: What the game says of each frame with the option `labels`: names of
      the rows of `info['labels']`, bool [rows, columns]; by default nothing.
    mirrored_actions: What each action is in the game's mirror image, left and
      right exchanged; None where the mirror image is another game.
    ordered_actions: Whether the order of the actions means something, as that
      of left, stay and right does: controllers then cut one number into bins.

  Raises:
    ValueError: A value is out of range or contradicts another.
  """

  name: str
  observation_shape: tuple[int, ...]
  action_names: tuple[str, ...]
  action_kinds: tuple[str, ...]
  action_kind: str
  time_limit: int
  tics_per_second: float
  has_reward: bool
  policies: Mapping[str, Callable[['GameSpec'], Any]] = dataclasses.field(
    hash=False
  )
  still_policy: str | None = None
  engines: Mapping[str, Callable[[], str | None]] = dataclasses.field(
    default_factory=lambda: {'native': always_installed}, hash=False
  )
  components: int = 1
  frame_skip: int = 1
  screen_shape: tuple[int, ...] | None = None
  screen_rows: int | None = None
  screen_top: int = 0
  views: tuple[str, ...] = (WHOLE,)
  view: str = WHOLE
  labels: tuple[str, ...] = ()
  mirrored_actions: tuple[int, ...] | None = None
  ordered_actions: bool = True

  def __post_init__(self):
    """Fills in the screen and checks the values."""
    if self.screen_shape is None:
      object.__setattr__(self, 'screen_shape', self.observation_shape)
    if self.screen_rows is None:
      object.__setattr__(self, 'screen_rows', self.screen_shape[0])
    for name, known in (
      ('action_kind', self.action_kinds),
      ('view', self.views),
    ):
      value, wanted = getattr(self, name), ' or '.join(map(repr, known))
      if value not in known:
        raise ValueError(f'{name} must be {wanted}, got {value!r}')
    for name in ('frame_skip', 'time_limit', 'components'):
      value = checks.integer(name, getattr(self, name), 1, LONGEST)
      object.__setattr__(self, name, value)
    if not self.policies:
      raise ValueError('policies must name at least one, got none')
    if self.still_policy not in (None, *self.policies):
      raise ValueError(
        f'still_policy must be None or one of {self.policy_names}, got '
        f'{self.still_policy!r}'
      )
    indices = list(range(self.actions))
    if self.mirrored_actions and sorted(self.mirrored_actions) != indices:
      raise ValueError(
        f'mirrored_actions must be an order of {indices}, got '
        f'{self.mirrored_actions}'
      )

  @property
  def actions(self) -> int:
    """Number of discrete actions."""
    return len(self.action_names)

  @property
  def policy_names(self) -> str:
    """The names of the policies, for a message of one short line.

    Those that differ only in a number at the end share a place, as in
    'random, metronome_20|40'.
    """
    numbers = {}
    for name in self.policies:
      stem, line, number = name.rpartition('_')
      if number.isdecimal():
        numbers.setdefault(stem + line, []).append(number)
      else:
        numbers[name] = ()
    return ', '.join(name + '|'.join(ends) for name, ends in numbers.items())

  @property
  def action_size(self) -> int:
    """What M is fed of an action: a number per action, or per component."""
    return self.actions if self.action_kind == 'discrete' else self.components

  @property
  def has_frames(self) -> bool:
    """Whether observations are pictures, and not vectors."""
    return len(self.observation_shape) == 3

  @property
  def observation_dtype(self) -> type:
    """NumPy's type of observations."""
    return np.uint8 if self.has_frames else np.float32

  def cut(self, screens: Any) -> Any:
    """Returns the rows that are shown of screens [..., H, W, C]."""
    return screens[
      ..., self.screen_top : self.screen_top + self.screen_rows, :, :
    ]

  @property
  def survived_step(self) -> int:
    """What a survived step scores where rewards say no more than that."""
    return 1 if self.has_reward else self.frame_skip

  @property
  def steps_per_second(self) -> float:
    """Actions taken per second at the game's own pace."""
    return self.tics_per_second / self.frame_skip


class ResetNeeded(gymnasium.error.ResetNeeded, RuntimeError):
  """`step` or `render` was called where no episode is: `reset` begins one.

  That is before the first `reset` and after `close`, and for `step` after the
  end of an episode as well.
  """


def check_reset(seed: Any, options: Any) -> int | None:
  """Returns the seed for `gymnasium.Env.reset`, or raises ValueError.

  `options` are those of a game that knows none: None or a mapping, whose
  entries are ignored, as in Gymnasium's own games.
  """
  if not isinstance(options, Mapping | None):
    raise ValueError(f'options must be None or a mapping, got {options!r}')
  return None if seed is None else checks.integer('seed', seed, 0)


def check_render_mode(
  mode: Any, allowed: Sequence[str] = ('rgb_array',)
) -> str | None:
  """Returns a mode that a game has, or None; raises ValueError for others."""
  if mode is not None and mode not in allowed:
    *others, last = ('None', *map(repr, allowed))
    raise ValueError(
      f'render_mode must be {", ".join(others)} or {last}, got '
      f'{checks.shorten(mode)}'
    )
  return mode


def to_array(action: Any) -> np.ndarray:
  """Returns an action as an array, and an empty one of what is no action."""
  try:
    return np.asarray(action)
  except Exception:  # Rows of several lengths; a type that refuses.
    return np.empty(0)


class GameCrashed(faults.Fault):
  """The game's engine died; the next `reset` starts a new one.

  The episode is lost, but with the same seed it can be played again.
  """
