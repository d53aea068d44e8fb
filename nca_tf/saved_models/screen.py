"""What an agent sees of a game's screen, as a graph.

The games scale their screen with Pillow's bilinear filter: a triangle as wide
as the step between two pixels of the result, first along the rows, then along
the columns, each pass rounded to a grey level. Two small matrices of Pillow's
own fixed-point weights do the same, to the bit.
"""

import numpy as np
import tensorflow as tf

_BITS = 22  # Of a weight of 1 in Pillow's fixed-point numbers.
_HALF = 1 << (_BITS // 2)


def observe(screens, spec):
  """Cuts and scales screens as the game of a `GameSpec` does.

  uint8 [B, H, W, C], as the engine draws them, become uint8
  [B, height, width, C] of `spec.observation_shape`.
  """
  height, width, _ = spec.observation_shape
  pixels = tf.cast(spec.cut(screens), tf.float32)
  across = _triangle_filter(spec.screen_shape[1], width)
  pixels = _average('bhwc,vw->bhvc', pixels, across)
  pixels = _average(
    'bhwc,uh->buwc', pixels, _triangle_filter(spec.screen_rows, height)
  )
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
  return np.floor(weights * (1 << _BITS) + 0.5)


def _average(equation, pixels, weights):
  """Weighted sums of grey levels, rounded to the nearest; halves go up.

  TensorFlow Lite sums in float32, which counts exactly to 2 ** 24. So the high
  and the low half of the weights are summed apart: with 255 grey levels each
  half is exact for up to 32 pixels per sum.
  """
  high, low = np.divmod(weights, _HALF)
  high = tf.einsum(equation, pixels, high.astype(np.float32))
  low = tf.einsum(equation, pixels, low.astype(np.float32))
  # What is dropped of `low` is less than one of the units that are rounded.
  units = high + tf.floor(low / _HALF)
  rounded = tf.floor((units + _HALF // 2) / _HALF)
  return tf.clip_by_value(rounded, 0, 255)
