"""Box constraints by a smooth map from all of space into the box."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


class Box:
  """Maps free coordinates y into lower <= x <= upper, coordinate by coordinate.

  Away from the bounds it is the identity. From one margin inside a bound to one
  margin outside it is a parabola, whose vertex, the outer end, maps to the
  bound. Beyond the vertex the parabola continues and everything repeats, so
  that every y has an x. The map is once differentiable, and the density of
  candidates stays finite at the bounds.

    box = Box((-1, None), n=3)  # x >= -1
    x = box.into(y)
  """

  def __init__(self, bounds, n: int):
    """Reads the bounds.

    Args:
      bounds: (lower, upper), each None, a number or n of either; infinite and
        None mean no bound.
      n: dimension.

    Raises:
      ValueError: not two bounds of the right shape, or lower >= upper.
    """
    if len(bounds) != 2:
      raise ValueError(f'bounds must be (lower, upper), got {bounds!r}')
    limits = []
    for bound, free in zip(bounds, (-np.inf, np.inf), strict=True):
      values = np.asarray(bound, float)  # None becomes NaN.
      values = np.where(np.isnan(values), free, values)
      if values.shape not in ((), (n,)):
        raise ValueError(
          f'bounds must be numbers or of shape ({n},), got {values.shape}'
        )
      limits.append(np.broadcast_to(values, [n]))
    self.lower, self.upper = limits
    if not np.all(self.lower < self.upper):
      raise ValueError(f'bounds must have lower < upper, got {bounds!r}')
    self._has_low = np.isfinite(self.lower)
    self._has_high = np.isfinite(self.upper)
    half = (self.upper - self.lower) / 2
    self._low_margin, self._high_margin = (
      np.where(has, np.minimum(half, (1 + np.abs(limit)) / 20), 1)
      for has, limit in (
        (self._has_low, self.lower),
        (self._has_high, self.upper),
      )
    )

  def into(self, y: tf.Tensor) -> tf.Tensor:
    """Points of the box from points anywhere, [..., n]."""
    has_low, has_high = self._has_low, self._has_high
    low_margin, high_margin = self._low_margin, self._high_margin
    # Zero for infinite bounds, since inf * 0 would be NaN; no result uses it.
    low = np.where(has_low, self.lower, 0)
    high = np.where(has_high, self.upper, 0)
    first, last = low - low_margin, high + high_margin  # The vertices.
    width = np.where(has_low & has_high, last - first, 1)
    one_sided = tf.where(
      has_low, first + tf.abs(y - first), last - tf.abs(last - y)
    )
    turns = tf.math.floormod(y - first, 2 * width) - width
    folded = tf.where(has_low & has_high, last - tf.abs(turns), one_sided)
    # Folding rounds, so points between the vertices are left as they are.
    is_out = (has_low & (y < first)) | (has_high & (y > last))
    y = tf.where(is_out, folded, y)
    near_low = has_low & (y < low + low_margin)
    near_high = has_high & (y > high - high_margin)
    x = tf.where(near_low, low + (y - first) ** 2 / (4 * low_margin), y)
    x = tf.where(near_high, high - (y - last) ** 2 / (4 * high_margin), x)
    return tf.clip_by_value(
      x, tf.cast(self.lower, x.dtype), tf.cast(self.upper, x.dtype)
    )

  def out_of(self, x) -> np.ndarray:
    """One point that `into` maps to x, [..., n]: the inverse.

    Raises:
      ValueError: x lies outside the box.
    """
    x = np.asarray(x, float)
    if not np.all((self.lower <= x) & (x <= self.upper)):
      raise ValueError(f'x must lie within the bounds, got {x}')
    first = self.lower - self._low_margin  # The vertices.
    last = self.upper + self._high_margin
    to_low = np.where(self._has_low, x - self.lower, 0)
    to_high = np.where(self._has_high, self.upper - x, 0)
    low = first + 2 * np.sqrt(to_low * self._low_margin)
    high = last - 2 * np.sqrt(to_high * self._high_margin)
    y = np.where(x < self.lower + self._low_margin, low, x)
    return np.where(x > self.upper - self._high_margin, high, y)
