"""Draws what is seen of Pommerman: pictures in RGB, or text.

The pictures are our own, made of discs, squares and crosses.
"""

import functools
import itertools

import numpy as np

from nca_tf import checks
from nca_tf.environments.pommerman.engine import variants

_STRIP = 8  # Rows for the gauges, in a picture of 64.
_GAUGE = 10  # Ammo and blast strength that it shows at most.
_FLOOR = (222, 226, 214)
_AGENTS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167))
_AMMO, _RANGE, _KICK = (30, 30, 30), (230, 120, 0), (86, 180, 233)
_SIGNS = '.#%*!?o^>-ABCD'  # By code; bombs are drawn as their life.


def to_rgb(observations: dict, agent: int, size: int = 64) -> np.ndarray:
  """Draws what one agent of each game sees.

  Above, the board: bombs redden as they burn down, an agent on a bomb has a
  dark rim. Below, the agent's ammo (white), blast strength (orange) and
  whether it can kick (blue).

  Args:
    observations: Of `observation.observe`, [G, A, ...].
    agent: Whose view.
    size: Rows and columns of the picture, at least 4 a board cell and 8 more.

  Returns:
    [G, size, size, 3] uint8.
  """
  board = observations['board'][:, agent]
  games, cells = board.shape[:2]
  size = checks.integer('size', size, _least_size(cells))
  strip = _STRIP * size // 64
  side = cell_side(size, cells)
  tiles = _make_tiles(side)
  life = observations['bomb_life'][:, agent].astype(np.int64)
  tile = np.where(
    board == variants.BOMB, len(_SIGNS) + life, board.astype(np.int64)
  )
  hidden = (board >= variants.AGENT) & (life > 0)
  tile = np.where(hidden, tile + _ON_BOMB, tile)
  drawn = tiles[tile].swapaxes(2, 3)  # [G, S, side, S, side, 3]
  picture = np.zeros((games, size, size, 3), np.uint8)
  width = side * cells
  left = (size - width) // 2
  picture[:, :width, left : left + width] = drawn.reshape(
    games, width, width, 3
  )
  _draw_gauges(picture[:, size - strip :], observations, agent)
  return picture


def _least_size(cells):
  """Rows of the smallest picture in which a board cell has 4."""
  return next(size for size in itertools.count() if cell_side(size, cells) >= 4)


def cell_side(size: int, cells: int) -> int:
  """Rows, and columns, of a board cell in a picture of `size` rows."""
  return (size - _STRIP * size // 64) // cells


# Tiles: one per code, one per life of a bomb, four agents on bombs.
_LIVES = variants.BOMB_LIFE + 1
_ON_BOMB = len(_SIGNS) + _LIVES - variants.AGENT


@functools.cache
def _make_tiles(side):
  """[codes + lives + agents, side, side, 3] uint8."""
  line = (np.arange(side) - (side - 1) / 2) / (side / 2)
  v, u = line[:, None], line[None]
  radius = np.hypot(u, v)
  edge = np.maximum(abs(u), abs(v))
  disc, inner, core = radius < 0.95, radius < 0.7, radius < 0.4
  square, everything = edge < 0.75, edge < 2
  bar = 1.0 / side  # Half the width of the thinnest line.
  cross = (np.minimum(abs(u), abs(v)) <= bar) & square
  layers = {
    variants.RIGID: [(everything, (70, 74, 84)), (square, (104, 108, 118))],
    variants.WOOD: [
      (everything, (150, 104, 60)),
      (abs(v) < 0.3, (186, 138, 86)),
    ],
    variants.BOMB: [(disc, _AMMO)],
    variants.FLAMES: [(everything, (240, 170, 30)), (inner, (250, 230, 110))],
    variants.FOG: [(everything, (160, 160, 168))],
    variants.EXTRA_BOMB: [(square, (250, 250, 250)), (core, _AMMO)],
    variants.INCREASE_RANGE: [(square, (250, 250, 250)), (cross, _RANGE)],
    variants.KICK: [(square, (250, 250, 250)), ((u > v) & square, _KICK)],
  }
  for number, colour in enumerate(_AGENTS):
    layers[variants.AGENT + number] = [(disc, colour), (core, (250, 250, 250))]
  for life in range(_LIVES):
    glow = (250 - 24 * life, 40, 40)
    layers[len(_SIGNS) + life] = [(disc, _AMMO), (core, glow)]
  for number, colour in enumerate(_AGENTS):
    layers[variants.AGENT + _ON_BOMB + number] = [
      (everything, _AMMO),
      (inner, colour),
      (core, (250, 250, 250)),
    ]
  tiles = np.empty((max(layers) + 1, side, side, 3), np.uint8)
  tiles[:] = _FLOOR
  for code, parts in layers.items():
    for mask, colour in parts:
      tiles[code][np.broadcast_to(mask, (side, side))] = colour
  return tiles


def _draw_gauges(strip, observations, agent):
  """Three bars, of 10, 10 and 1 parts, in a strip [G, rows, size, 3]."""
  rows, size = strip.shape[1:3]
  height = max(1, rows // 4)
  part = max(2, (size - 4) // _GAUGE)
  for number, (name, colour) in enumerate(
    (('ammo', _AMMO), ('blast_strength', _RANGE), ('can_kick', _KICK))
  ):
    value = np.minimum(observations[name][:, agent].astype(int), _GAUGE)
    filled = np.arange(size) < 2 + part * value[:, None]
    filled[:, :2] = False
    filled &= (np.arange(size) - 2) % part != part - 1
    top = number * (height + 1)
    colour = np.array([230, 230, 230] if name == 'ammo' else colour)
    strip[:, top : top + height] = filled[:, None, :, None] * colour


def to_text(observations: dict, agent: int, game: int = 0) -> str:
  """Writes what one agent of a game sees.

  . passage, # rigid, % wood, 1-9 bomb by its life, ! flames, ? fog, o extra
  bomb, ^ longer blast, > kick, A-D agents 0-3, a-d agents on a bomb.
  """
  board = observations['board'][game, agent]
  life = observations['bomb_life'][game, agent].astype(int)
  signs = np.array(list(_SIGNS))[board]
  signs = np.where(board == variants.BOMB, (life % 10).astype(str), signs)
  hidden = (board >= variants.AGENT) & (life > 0)
  signs = np.where(hidden, np.char.lower(signs), signs)
  lines = [' '.join(row) for row in signs]
  alive = np.flatnonzero(observations['alive'][game])
  names = ' '.join(_SIGNS[variants.AGENT + number] for number in alive)
  lines.append(
    f'step {observations["step_count"][game]}, alive: {names or "nobody"}'
  )
  kick = 'can kick' if observations['can_kick'][game, agent] else 'cannot kick'
  lines.append(
    f'{_SIGNS[variants.AGENT + agent]}: ammo '
    f'{observations["ammo"][game, agent]}, blast strength '
    f'{observations["blast_strength"][game, agent]}, {kick}'
  )
  return '\n'.join(lines)
