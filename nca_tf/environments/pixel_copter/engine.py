"""The rules of PixelCopter, for many games side by side.

A copter falls, an up thrusts it, a tunnel and blocks scroll past. The rules are
those of the PyGame Learning Environment, to the last bit of every float and
every draw of its random numbers: recorded games replay without a difference.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from nca_tf import checks

UP, NONE = range(2)
COLUMNS = 13 + 52  # Places for columns of the tunnel, enough for every size.
BLOCKS = 2
LABELS = ('player', 'ceiling', 'floor', 'block_left', 'block_top')
ROUNDINGS = ('trunc', 'half_away')


@dataclasses.dataclass(frozen=True)
class Rules:
  """Sizes and speeds of a game, in pixels and milliseconds.

  Attributes:
    size: Width and height of the screen.
    fps: Game frames per second, one per step.
    rounding: How the centre of a sprite becomes a pixel: 'trunc' toward zero,
      as pygame to 2.2 and pygame-ce do, or 'half_away' from zero at halves, as
      pygame does from 2.3 on. It decides some collisions.
    gain: Reward for each column and each block that is passed.
    tick: Reward of each step.
    loss: Reward of a death.

  Raises:
    ValueError: A value is out of range.
  """

  size: int = 48
  fps: float = 30
  rounding: str = 'trunc'
  gain: float = 1.0
  tick: float = 0.0
  loss: float = -5.0

  def __post_init__(self):
    """Checks the values and makes them plain numbers."""
    for name, value in (
      # Smaller ones have columns of no width; larger ones take > 1 MB a frame.
      ('size', checks.integer('size', self.size, 32, 512)),
      ('fps', checks.real('fps', self.fps, 1, 1000)),
      ('gain', checks.real('gain', self.gain)),
      ('tick', checks.real('tick', self.tick)),
      ('loss', checks.real('loss', self.loss)),
    ):
      object.__setattr__(self, name, value)
    if self.rounding not in ROUNDINGS:
      raise ValueError(
        f"rounding must be 'trunc' or 'half_away', got {self.rounding!r}"
      )

  @functools.cached_property
  def elapsed(self) -> float:
    """Milliseconds of a step."""
    return 1000.0 / self.fps

  @functools.cached_property
  def speed(self) -> float:
    """Pixels per millisecond by which everything scrolls to the left."""
    return 0.0004 * self.size

  @property
  def player_x(self) -> int:
    """Centre of the copter."""
    return int(self.size * 0.35)

  @property
  def player_size(self) -> int:
    """Width and height of the copter as it is drawn and overlaps."""
    return int(self.size * 0.05)

  @property
  def column_width(self) -> int:
    """Width of a column, and of a block."""
    return int(self.size * 0.1)

  @property
  def column_height(self) -> int:
    """Height of a column with its gap."""
    return int(self.size * 1.5)

  @property
  def block_height(self) -> int:
    """Height of a block."""
    return int(self.size * 0.2)

  @property
  def gap(self) -> float:
    """Half the height of the tunnel as it is felt."""
    return self.size * 0.25

  def to_pixels(self, centres: np.ndarray) -> np.ndarray:
    """Returns the whole pixels of centres, float64 of any shape, as int64."""
    if self.rounding == 'half_away':
      # Not floor(x + .5), which is wrong just below a half.
      whole = np.trunc(centres)
      is_far = np.abs(centres - whole) >= 0.5
      centres = whole + np.copysign(is_far, centres)
    return np.trunc(centres).astype(np.int64)


@dataclasses.dataclass
class State:
  """N games; `step` and `restart` change it in place.

  Places without a column or a block have an x of infinity.

  Attributes:
    rules: Of all games.
    random: The generator that each game draws from, [N].
    y: Height of the copter's centre, float64 [N]; 0 is the top.
    momentum: Pixels that the copter falls in a step, float64 [N].
    score: Sum of the rewards, float64 [N].
    lives: Float64 [N]; a game is over at 0 or less.
    blocks: Centres x and y, the older block first, float64 [2, N, BLOCKS].
    columns: Centres x and y, in the order they came, float64 [2, N, COLUMNS].
    columns_left: How many columns there are, int64 [N].
  """

  rules: Rules
  random: list[np.random.RandomState]
  y: np.ndarray
  momentum: np.ndarray
  score: np.ndarray
  lives: np.ndarray
  blocks: np.ndarray
  columns: np.ndarray
  columns_left: np.ndarray

  @property
  def lanes(self) -> int:
    """N."""
    return len(self.y)

  @property
  def is_over(self) -> np.ndarray:
    """Bool [N]."""
    return self.lives <= 0


def make_random(seed: int) -> np.random.RandomState:
  """Returns the original's generator of a seed, of any size."""
  if seed < 2**32:
    return np.random.RandomState(seed)
  return np.random.RandomState([seed & 0xFFFFFFFF, seed >> 32])


def start(rules: Rules, random: Sequence[np.random.RandomState]) -> State:
  """Begins one game for each generator."""
  lanes = len(random)
  state = State(
    rules,
    list(random),
    *np.zeros([4, lanes]),
    np.full([2, lanes, BLOCKS], np.inf),
    np.full([2, lanes, COLUMNS], np.inf),
    np.zeros(lanes, np.int64),
  )
  restart(state, np.arange(lanes))
  return state


def restart(state: State, lanes: np.ndarray) -> None:
  """Begins new games on some lanes, int [M]; their generators go on."""
  rules = state.rules
  state.y[lanes] = rules.size / 2
  state.momentum[lanes] = 0.0
  state.score[lanes] = 0.0
  state.lives[lanes] = 1.0
  state.blocks[:, lanes] = np.inf
  state.columns[:, lanes] = np.inf
  state.columns_left[lanes] = 0
  for lane in lanes:
    state.blocks[:, lane, 0] = _draw_block(rules, state.random[lane])
    _append_columns(state, lane, 0, 4 * rules.size)


def step(state: State, actions: np.ndarray) -> np.ndarray:
  """Plays one step of every game; those that are over mean nothing.

  Args:
    state: Is changed in place.
    actions: `UP` or `NONE`, int [N].

  Returns:
    Rewards, float64 [N].
  """
  rules = state.rules
  before = state.score.copy()
  state.score += rules.tick
  thrust = np.where(actions == UP, -0.875 * rules.speed, 0.09 * rules.speed)
  state.momentum += thrust * rules.elapsed
  state.momentum *= 0.99
  state.y += state.momentum
  state.blocks[0] -= rules.speed * rules.elapsed
  state.columns[0] -= rules.speed * rules.elapsed
  _hit_blocks(state)
  _hit_columns(state)
  _pass_blocks(state)
  _pass_columns(state)
  state.lives -= state.y < rules.size * 0.125
  state.lives -= state.y > rules.size * 0.875
  for lane in np.flatnonzero(state.columns_left <= 13):
    _append_columns(state, lane, rules.size, 5 * rules.size)
  state.score[state.is_over] += rules.loss
  return state.score - before


def get_player_box(state: State) -> tuple[int, np.ndarray, int]:
  """Returns the copter's left edge, top edges int64 [N], and its size."""
  size = state.rules.player_size
  top = state.rules.to_pixels(state.y) - size // 2
  return state.rules.player_x - size // 2, top, size


def get_features(state: State) -> np.ndarray:
  """Returns what the original calls the state of a game.

  Returns:
    float64 [N, 7]: y and momentum of the copter, its distances to ceiling and
    floor in the column it is in, the distance to the next block (999 without
    one), the centre of that block's height, and this plus a block's height.
    NaN where the copter is in no column.
  """
  rules = state.rules
  found = np.empty([state.lanes, 7])
  found[:, 0], found[:, 1] = state.y, state.momentum
  found[:, 2:4] = np.nan
  lanes, middles = _find_columns(state)
  # The first column counts; a later assignment would win.
  lanes, middles = lanes[::-1], middles[::-1]
  found[lanes, 2] = state.y[lanes] - (middles - rules.gap)
  found[lanes, 3] = (middles + rules.gap) - state.y[lanes]
  x, found[:, 5] = _find_next_block(state)
  found[:, 4] = np.where(np.isinf(x), 999.0, x - rules.player_x)
  found[:, 6] = found[:, 5] + rules.block_height
  return found


def get_labels(state: State) -> np.ndarray:
  """Returns the game in whole pixels, by the names in `LABELS`.

  Returns:
    int64 [N, 5]: the copter's top row; the first free row below the ceiling
    and the first row of the floor in the column it is in; left column and top
    row of the next block, which may lie right of the screen.
  """
  rules = state.rules
  labels = np.empty([state.lanes, len(LABELS)], np.int64)
  labels[:, 0] = get_player_box(state)[1]
  # Out of every column there is neither ceiling nor floor.
  labels[:, 1], labels[:, 2] = 0, rules.size
  lanes, middles = _find_columns(state)
  top = rules.to_pixels(middles[::-1]) - rules.column_height // 2
  labels[lanes[::-1], 1] = top + int(rules.size * 0.5)
  labels[lanes[::-1], 2] = top + int(rules.size * 1.05)
  x, y = _find_next_block(state)
  labels[:, 3] = rules.to_pixels(x) - rules.column_width // 2
  labels[:, 4] = rules.to_pixels(y) - rules.block_height // 2
  return labels


def _find_next_block(state):
  """Returns x and y of the next block right of the copter, infinity if none."""
  x, y = state.blocks
  ahead = np.where(x > state.rules.player_x, x, np.inf)
  places = ahead.argmin(1)[:, None]
  return (np.take_along_axis(part, places, 1)[:, 0] for part in (ahead, y))


def _hit_blocks(state):
  """Takes a life for each block that the copter touches."""
  rules = state.rules
  left, top, size = get_player_box(state)
  x, y = np.where(np.isinf(state.blocks), -1e6, state.blocks)
  block_left = rules.to_pixels(x) - rules.column_width // 2
  block_top = rules.to_pixels(y) - rules.block_height // 2
  hits = (block_left < left + size) & (left < block_left + rules.column_width)
  hits &= block_top < top[:, None] + size
  hits &= top[:, None] < block_top + rules.block_height
  state.lives -= hits.sum(1)


def _hit_columns(state):
  """Takes a life for each ceiling and each floor that the copter touches."""
  rules = state.rules
  lanes, middles = _find_columns(state)
  y = state.y[lanes]
  hits = (y - rules.size * 0.05 <= middles - rules.gap).astype(np.int64)
  hits += y >= middles + rules.gap
  state.lives -= np.bincount(lanes, hits, state.lanes)


def _find_columns(state):
  """Finds the columns that the copter is in, whose whole height it overlaps.

  Returns:
    Lanes, int64 [M], sorted, and y of the columns' centres, float64 [M].
  """
  rules = state.rules
  left, top, size = get_player_box(state)
  x, y = state.columns
  width, height = rules.column_width, rules.column_height
  lanes, places = np.nonzero((x > left - width) & (x < left + size + width))
  column_left = rules.to_pixels(x[lanes, places]) - width // 2
  middles = y[lanes, places]
  column_top = rules.to_pixels(middles) - height // 2
  is_in = (column_left < left + size) & (left < column_left + width)
  is_in &= column_top < top[lanes] + size
  is_in &= top[lanes] < column_top + height
  return lanes[is_in], middles[is_in]


def _pass_blocks(state):
  """Scores a block that is passed, sends the next, and removes old ones."""
  rules = state.rules
  x = state.blocks[0]
  is_passed = (x[:, 0] <= rules.player_x) & np.isinf(x[:, 1])
  is_gone = x[:, 0] <= -rules.column_width
  for lane in np.flatnonzero(is_passed):
    state.score[lane] += rules.gain
    state.blocks[:, lane, 1] = _draw_block(rules, state.random[lane])
  if is_gone.any():
    state.blocks[:, is_gone, 0] = state.blocks[:, is_gone, 1]
    state.blocks[:, is_gone, 1] = np.inf


def _pass_columns(state):
  """Scores columns that leave the screen, and removes them."""
  is_gone = state.columns[0] <= -state.rules.column_width
  if is_gone.any():
    count = is_gone.sum(1)
    state.columns[:, is_gone] = np.inf
    state.columns_left -= count
    state.score += count * state.rules.gain


def _draw_block(rules, random):
  """Returns x and y of a block, right of the screen."""
  size = rules.size
  x = random.randint(size, int(size * 1.5))
  return x, random.randint(int(size * 0.25), int(size * 0.75))


def _append_columns(state, lane, begin, end):
  """Adds a piece of tunnel between two x, behind what is left of the last."""
  rules = state.rules
  width, random = rules.column_width, state.random[lane]
  x = np.arange(begin + width // 2, end + width // 2, width)
  frequency = 4.5 / rules.size + random.uniform(-0.01, 0.01)
  phase = random.uniform(0.0, 0.5, len(x))
  swing = rules.size * 0.125 * np.sin(frequency * x + phase)
  kept = np.isfinite(state.columns[0, lane])
  left = np.count_nonzero(kept)
  total = left + len(x)
  columns = state.columns[:, lane]
  columns[:, :left] = columns[:, kept]
  columns[0, left:total] = x
  columns[1, left:total] = np.trunc(rules.size / 2 + swing)
  columns[:, total:] = np.inf
  state.columns_left[lane] = total
