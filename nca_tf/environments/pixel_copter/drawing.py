"""Frames of PixelCopter, for many games at once, as the original draws them."""

import numpy as np

from nca_tf.environments.pixel_copter import engine

GREEN = (
  120,
  240,
  80,
)  # Tunnel and blocks; the copter is white, the rest black.
WHITE = 255


def draw(state: engine.State) -> np.ndarray:
  """Draws every game.

  Returns:
    uint8 [N, size, size, 3], with the axes y, x, RGB.
  """
  size = state.rules.size
  is_green = _mask_tunnel(state)
  _mask_blocks(state, is_green)
  frames = np.empty([state.lanes, size, size, 3], np.uint8)
  for channel, value in enumerate(GREEN):
    np.multiply(is_green, np.uint8(value), out=frames[..., channel])
  left, top, extent = engine.get_player_box(state)
  lanes = np.arange(state.lanes)
  for row in range(extent):
    y = top + row
    for x in range(left, left + extent):
      inside = (y >= 0) & (y < size)
      inside[inside] &= ~is_green[lanes[inside], y[inside], x]
      frames[lanes[inside], y[inside], x] = WHITE
  return frames


def _mask_tunnel(state):
  """Returns where ceiling and floor are, bool [N, size, size]."""
  rules = state.rules
  size, width = rules.size, rules.column_width
  x, y = state.columns
  lanes, places = np.nonzero(x < size + width)
  left = rules.to_pixels(x[lanes, places]) - width // 2
  top = rules.to_pixels(y[lanes, places]) - rules.column_height // 2
  # A column begins above the screen and ends below it, wherever its gap is.
  ceiling = np.zeros([state.lanes, size], np.int16)
  floor = np.full([state.lanes, size], size, np.int16)
  for offset in range(width):
    pixel = left + offset
    seen = (pixel >= 0) & (pixel < size)
    where = lanes[seen], pixel[seen]
    np.maximum.at(ceiling, where, top[seen] + int(size * 0.5))
    np.minimum.at(floor, where, top[seen] + int(size * 1.05))
  rows = np.arange(size, dtype=np.int16)[:, None]
  return (rows < ceiling[:, None]) | (rows >= floor[:, None])


def _mask_blocks(state, mask):
  """Adds the blocks to a mask, bool [N, size, size]."""
  rules = state.rules
  size = rules.size
  x, y = state.blocks
  lanes, places = np.nonzero(x < size + rules.column_width)
  left = rules.to_pixels(x[lanes, places]) - rules.column_width // 2
  top = rules.to_pixels(y[lanes, places]) - rules.block_height // 2
  for row in range(rules.block_height):
    for column in range(rules.column_width):
      pixel, line = left + column, top + row
      seen = (pixel >= 0) & (pixel < size) & (line >= 0) & (line < size)
      mask[lanes[seen], line[seen], pixel[seen]] = True
