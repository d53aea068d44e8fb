"""Box constraints by a smooth map from all of space into the box."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from nca_tf.evolution import arrays

# In widths of the box: a first step above the one is held below the other all
# through the search. The other is that of pycma.
_NARROW, _LARGEST_STD = 1 / 2, 1 / 3


class Box:
  """Maps free coordinates y into lower <= x <= upper, coordinate by coordinate.

  Away from the bounds it is the identity. From one margin inside a bound to one
  margin outside it is a parabola, whose vertex, the outer end, maps to the
  bound. Beyond the vertex the parabola continues and everything repeats, so
  that every y has an x. The map is once differentiable, and the density of
  candidates stays finite at the bounds.

    box = Box((-1, None), n=3)  # x >= -1
    x = box.into(y)

  Attributes:
    lower: float64 [n], -inf where there is no bound.
    upper: float64 [n].
  """

  def __init__(self, bounds, n: int, dtype: str = 'float64'):
    """Reads the bounds.

    Args:
      bounds: (lower, upper), each None, a number or n of either; infinite, NaN
        and None mean no bound.
      n: dimension.
      dtype: of the points, 'float32' or 'float64'.

    Raises:
      ValueError: not two bounds of the right shape, or not lower < upper, as
        numbers of this type as well.
    """
    if not isinstance(bounds, tuple | list | np.ndarray) or len(bounds) != 2:
      raise ValueError(f'bounds must be (lower, upper), got {bounds!r}')
    limits = []
    for bound, free in zip(bounds, (-np.inf, np.inf), strict=True):
      values = arrays.floats('bounds', bound)  # None becomes NaN.
      values = np.where(np.isnan(values), free, values)
      if values.shape not in ((), (n,)):
        raise ValueError(
          f'bounds must be numbers or of shape ({n},), got {values.shape}'
        )
      limits.append(np.broadcast_to(values, [n]))
    self.lower, self.upper = limits
    # Rounded inwards: a point of the narrower type is in the box that was
    # given, and not in one that is a rounding error larger.
    self._least = _round(self.lower, dtype, np.inf)
    self._most = _round(self.upper, dtype, -np.inf)
    if not (
      np.all(self.lower < self.upper) and np.all(self._least < self._most)
    ):
      raise ValueError(
        f'bounds must have lower < upper in {dtype}, got {bounds!r}'
      )
    self._dtype = dtype
    half = self.upper / 2 - self.lower / 2
    with np.errstate(over='ignore'):
      self._width = 2 * half
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

  def largest_stds(self, sigma0: float) -> np.ndarray | None:
    """Largest standard deviations of y, [n], for a search with a first step.

    Were they larger where the box is narrow, the candidates would be spread
    over all of it, whatever the search has learnt. inf where it is not narrow;
    None if it is so nowhere.
    """
    is_narrow = sigma0 > _NARROW * self._width
    if not np.any(is_narrow):
      return None
    return np.where(is_narrow, _LARGEST_STD * self._width, np.inf)

  def into(self, y: tf.Tensor) -> tf.Tensor:
    """Points of the box from points anywhere, [..., n], of the box's type."""
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
    return tf.clip_by_value(x, self._least, self._most)

  def out_of(self, x, name: str = 'x') -> np.ndarray:
    """One point that `into` maps to x, [..., n]; NaN where x is not finite.

    `ValueError`, with the name of x, if it lies outside the box.
    """
    x = np.asarray(x, float)
    x = np.where(np.isfinite(x), x, np.nan)
    outside = (x < self.lower) | (x > self.upper)
    if np.any(outside):
      place = tuple(np.argwhere(outside)[0].tolist())
      raise ValueError(
        f'{name} must lie within the bounds, got {x[place]} at {place}, where '
        f'they are {self.lower[place[-1]]} and {self.upper[place[-1]]}'
      )
    (low, high), (low_margin, high_margin) = self._ends, self._margins
    from_low = self._first + 2 * np.sqrt(np.abs(x - low) * low_margin)
    from_high = self._last - 2 * np.sqrt(np.abs(high - x) * high_margin)
    y = np.where(x < self.lower + low_margin, from_low, x)
    return np.where(x > self.upper - high_margin, from_high, y)


def _round(limit, dtype, inwards):
  """Returns bounds in a type, none of them on the outer side of its value."""
  with np.errstate(over='ignore'):
    rounded = limit.astype(dtype)
  is_outside = rounded < limit if inwards > 0 else rounded > limit
  rounded = np.where(is_outside, np.nextafter(rounded, inwards), rounded)
  # TensorFlow takes numbers below the smallest normal one for 0.
  least = np.finfo(dtype).tiny
  is_inward = rounded * np.sign(inwards) > 0
  nearest = np.where(is_inward, np.sign(inwards) * least, 0)
  is_small = (rounded != 0) & (np.abs(rounded) < least)
  return np.where(is_small, nearest, rounded).astype(dtype)
