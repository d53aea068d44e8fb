"""Running mean and variance of a stream, exact under merging.

Chan, Golub and LeVeque (1979), "Updating formulae and a pairwise algorithm for
computing sample variances", equation 2.1. Everything is float64 with an
integer count: a float32 count stops growing at 2^24, and the textbook form
E[x^2] - E[x]^2 loses all digits once the mean is large against the deviation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nca_tf import checks


class RunningMoments:
  """Count, mean and variance of all values so far, element by element.

  There is no prior: before the first value `count` and `mean` are 0; merging an
  empty object changes nothing. `var` and `std` are those of `numpy.var` and
  `numpy.std`, NaN where they are not defined. Only `scale` and `normalize`,
  which networks use from the first step on, take 1 until two values have been
  seen. All arrays are float64, of the shape of one value.

  Example:
    moments = RunningMoments(shape=(3,))
    moments.update(observations)  # [B, 3]
    moments.merge(moments_of_another_worker)
    inputs = moments.normalize(observations, clip=5.0)
  """

  def __init__(self, shape: int | tuple[int, ...] = ()):
    """Makes an empty object.

    Args:
      shape: That of one value.

    Raises:
      ValueError: The shape is not of integers of at least 0.
    """
    if not isinstance(shape, tuple | list):
      shape = (shape,)
    shape = tuple(checks.integer('shape', size, 0) for size in shape)
    self.count = 0
    self.mean = np.zeros(shape, np.float64)
    self._squares = np.zeros(shape, np.float64)  # M_2, sum of (x - mean)^2

  @property
  def shape(self) -> tuple[int, ...]:
    """Shape of one value."""
    return self.mean.shape

  def update(self, batch) -> None:
    """Adds values [B, *shape]; B may be 0.

    Raises:
      ValueError: wrong shape or a value that is not finite. Nothing changed.
    """
    batch = np.asarray(batch, np.float64)
    if batch.ndim == 0 or batch.shape[1:] != self.shape:
      raise ValueError(
        f'batch must be of shape (B, *{self.shape}), got {batch.shape}'
      )
    if not np.all(np.isfinite(batch)):
      raise ValueError(
        'batch must be finite, got'
        f' {np.sum(~np.isfinite(batch))} of {batch.size} values not finite'
      )
    if len(batch):
      mean = batch.mean(axis=0)
      self._add(len(batch), mean, np.square(batch - mean).sum(axis=0))

  def merge(self, other: RunningMoments) -> None:
    """Adds the values of another object, as if `update` had had them.

    `ValueError` if the shapes differ.
    """
    if other.shape != self.shape:
      raise ValueError(
        f'other must be of shape {self.shape}, got {other.shape}'
      )
    if other.count:
      self._add(other.count, other.mean, other._squares)

  def _add(self, count, mean, squares):
    total = self.count + count
    delta = mean - self.mean
    self.mean = self.mean + delta * (count / total)
    self._squares = (
      self._squares + squares + np.square(delta) * (self.count * count / total)
    )
    self.count = total

  def var(self, ddof: int = 0) -> np.ndarray:
    """Variance as of `numpy.var`: NaN while the count is not above `ddof`."""
    ddof = checks.integer('ddof', ddof, 0)
    if self.count <= ddof:
      return np.full(self.shape, np.nan)
    return self._squares / (self.count - ddof)

  def std(self, ddof: int = 0) -> np.ndarray:
    """Standard deviation, the square root of `var(ddof)`."""
    return np.sqrt(self.var(ddof))

  def scale(self, floor: float = 1e-8) -> np.ndarray:
    """Positive number to divide by: `std()`, but 1 until two values are seen.

    Elements that never changed have `floor`.
    """
    floor = checks.real('floor', floor, above=0)
    if self.count < 2:
      return np.ones(self.shape)
    return np.maximum(self.std(), floor)

  def normalize(self, values, clip: float | None = None) -> np.ndarray:
    """Values [..., *shape] less the mean, over the scale.

    The result is clipped to [-clip, clip], unless that is None.
    """
    values = (np.asarray(values, np.float64) - self.mean) / self.scale()
    if clip is None:
      return values
    clip = checks.real('clip', clip, 0)
    return np.clip(values, -clip, clip)

  def state(self) -> dict[str, int | np.ndarray]:
    """Returns count, mean and squares, for a checkpoint."""
    arrays = {'mean': self.mean.copy(), 'squares': self._squares.copy()}
    return {'count': self.count, **arrays}

  @classmethod
  def from_state(cls, state: Mapping) -> RunningMoments:
    """Makes an object from what `state()` gave, also as JSON's lists.

    Raises:
      ValueError: a name is missing, a number is out of its range, or the
        values contradict each other.
    """
    missing = {'count', 'mean', 'squares'} - set(state)
    if missing:
      raise ValueError(
        f'state must have {sorted(missing)}, got {sorted(state)}'
      )
    count = checks.integer('count', state['count'], 0)
    try:
      mean = np.array(state['mean'], np.float64)
      squares = np.array(state['squares'], np.float64)
    except (TypeError, ValueError) as error:
      raise ValueError(f'state must hold numbers ({error})') from error
    if mean.shape != squares.shape:
      raise ValueError(
        f'state must have equal shapes, got mean {mean.shape}, squares '
        f'{squares.shape}'
      )
    # Sums of squares may overflow; that does not make them NaN.
    if not (np.all(np.isfinite(mean)) and np.all(squares >= 0)):
      raise ValueError(
        'state must have a finite mean and squares of at least 0, got mean '
        f'{mean}, squares {squares}'
      )
    if not count and (np.any(mean) or np.any(squares)):
      raise ValueError(
        f'state must have zeros at count 0, got mean {mean}, squares {squares}'
      )
    moments = cls(mean.shape)
    moments.count, moments.mean = count, mean
    moments._squares = squares
    return moments


def combine_mean_std(
  count_a: int, mean_a, std_a, count_b: int, mean_b, std_b, *, ddof: int = 0
) -> tuple[int, np.ndarray, np.ndarray]:
  """Mean and standard deviation of two sets from those of each.

  Exact only when `ddof` is the one that both deviations were computed with:
  taking `numpy.std` (ddof 0) for a sample deviation (ddof 1) is 13 % off for
  sets of two.

  The mean of an empty set is ignored. A set that is not larger than `ddof` (0
  for population deviations, 1 for sample deviations) has no deviation: what is
  given for it is ignored.

  Returns:
    Count, mean and standard deviation (same `ddof`) of the union.

  Raises:
    ValueError: a negative count, or shapes that differ.
  """
  ddof = checks.integer('ddof', ddof, 0)
  union = RunningMoments(np.shape(mean_a))
  sets = {'a': (count_a, mean_a, std_a), 'b': (count_b, mean_b, std_b)}
  for name, (count, mean, std) in sets.items():
    count = checks.integer(f'count_{name}', count, 0)
    squares = np.zeros(np.shape(std))
    if count > max(ddof, 1):  # One value deviates from its mean by nothing.
      squares = np.square(std) * (count - ddof)
    mean = mean if count else np.zeros(np.shape(mean))
    part = {'count': count, 'mean': mean, 'squares': squares}
    union.merge(RunningMoments.from_state(part))
  return union.count, union.mean, union.std(ddof)
