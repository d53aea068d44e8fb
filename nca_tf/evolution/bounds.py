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
    half = (self.upper - self.lower) / 2
    self._has, self._ends, self._margins = [], [], []
    for limit in limits:
      has = np.isfinite(limit)
      # Zero for infinite bounds, since inf * 0 would be NaN; no result uses it.
      end = np.where(has, limit, 0)
      margin = np.where(has, np.minimum(half, (1 + np.abs(end)) / 20), 1)
      self._has.append(has)
      self._ends.append(end)
      self._margins.append(margin)
    # Where the parabolas have their vertices.
    self._first = self._ends[0] - self._margins[0]
    self._last = self._ends[1] + self._margins[1]

  def into(self, y: tf.Tensor) -> tf.Tensor:
    """Points of the box from points anywhere, [..., n]."""
    has_low, has_high = self._has
    (low, high), (low_margin, high_margin) = self._ends, self._margins
    first, last = self._first, self._last
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
    """One point that `into` maps to x, [..., n].

    `ValueError` if x lies outside the box.
    """
    x = np.asarray(x, float)
    if not np.all((self.lower <= x) & (x <= self.upper)):
      raise ValueError(f'x must lie within the bounds, got {x}')
    (low, high), (low_margin, high_margin) = self._ends, self._margins
    from_low = self._first + 2 * np.sqrt(np.abs(x - low) * low_margin)
    from_high = self._last - 2 * np.sqrt(np.abs(high - x) * high_margin)
    y = np.where(x < self.lower + low_margin, from_low, x)
    return np.where(x > self.upper - high_margin, from_high, y)
