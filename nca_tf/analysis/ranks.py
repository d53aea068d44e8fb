"""Whether two measurements put the same things in the same order."""

import math

import numpy as np

from nca_tf.analysis import intervals

_DEVIATIONS = 1.959964  # Of the normal distribution, for 95 %.


def correlation(one, other) -> intervals.Interval:
  """Spearman's rank correlation of n pairs, with a 95 % interval.

  The interval is that of Fisher's transformation with the standard error
  sqrt(1.06 / (n - 3)) of Fieller, Hartley and Pearson, Tests for rank
  correlation coefficients (1957); NaN for less than 4 pairs or for equal
  orders.

  Args:
    one: [n] numbers.
    other: [n] numbers. Equal ones share their ranks.

  Raises:
    ValueError: The lengths differ, or a number is not finite.
  """
  one, other = np.asarray(one, float), np.asarray(other, float)
  if one.ndim != 1 or one.shape != other.shape:
    raise ValueError(
      'one and other must be of one length, got shapes '
      f'{list(one.shape)} and {list(other.shape)}'
    )
  if not (np.isfinite(one).all() and np.isfinite(other).all()):
    raise ValueError('one and other must be finite')
  ranks = [_rank(values) for values in (one, other)]
  if len(one) < 2 or not all(np.ptp(rank) for rank in ranks):
    return intervals.UNKNOWN  # All equal: there is no order.
  value = float(np.clip(np.corrcoef(*ranks)[0, 1], -1, 1))
  if len(one) < 4 or abs(value) > 1 - 1e-12:
    return intervals.Interval(value, math.nan, math.nan)
  half = _DEVIATIONS * math.sqrt(1.06 / (len(one) - 3))
  centre = math.atanh(value)
  return intervals.Interval(
    value, math.tanh(centre - half), math.tanh(centre + half)
  )


def _rank(values):
  """Ranks from 1 on; equal values get the mean of theirs."""
  _, inverse, counts = np.unique(
    values, return_inverse=True, return_counts=True
  )
  last = np.cumsum(counts)
  return (last - (counts - 1) / 2)[inverse]
