"""What an agent sees of a game's screen, as a graph.

The games scale their screen with Pillow's bilinear filter: a triangle as wide
as the step between two pixels of the result, first along the rows, then along
the columns, each pass rounded to a grey level. Two small matrices of Pillow's
own fixed-point weights do the same, to the bit.
"""

import numpy as np
import tensorflow as tf

_ONE = 1 << 22  # A weight of 1 in Pillow's fixed-point numbers.


def observe(screens, spec):
  """Cuts and scales screens as the game of a `GameSpec` does.

  uint8 [B, H, W, C], as the engine draws them, become uint8
  [B, height, width, C] of `spec.observation_shape`.
  """
  rows = spec.screen_rows or spec.screen_shape[0]
  height, width, _ = spec.observation_shape
  pixels = tf.cast(screens[:, :rows], tf.float64)
  across = _triangle_filter(spec.screen_shape[1], width)
  pixels = _round(tf.einsum('bhwc,vw->bhvc', pixels, across))
  down = _triangle_filter(rows, height)
  pixels = _round(tf.einsum('bhwc,uh->buwc', pixels, down))
  return tf.cast(pixels, tf.uint8)


def _triangle_filter(size: int, target: int) -> np.ndarray:
  """Returns the weights of a bilinear filter with antialiasing.

  float64 [target, size] for a source of `size` pixels: integers that add up to
  about 2 ** 22 in each row.
  """
  scale = size / target
  reach = max(scale, 1.0)
  centre = (np.arange(target)[:, None] + 0.5) * scale
  distance = np.abs(np.arange(size) + 0.5 - centre) / reach
  weights = np.maximum(0, 1 - distance)
  weights /= weights.sum(axis=1, keepdims=True)
  return np.floor(weights * _ONE + 0.5)


def _round(pixels):
  # Sums stay below 2 ** 31, where float64 counts exactly. Halves go up.
  return tf.clip_by_value(tf.floor(pixels / _ONE + 0.5), 0, 255)
