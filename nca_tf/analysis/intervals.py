"""Bootstrap intervals of means, differences and other statistics.

The percentile bootstrap of Efron and Tibshirani (1993), "An Introduction to
the Bootstrap", section 13.3. Resampled is always the independent unit, an
episode or a seed, never the steps within one.

All `bootstrap_` functions take `rng`, a generator or a seed for one; `level`,
the confidence level of the interval; and `resamples`, how many times the data
are drawn again. They raise ValueError for data that are empty or not finite,
and for a level or a number of resamples out of range.
"""

import math
import typing
from collections.abc import Callable, Sequence

import numpy as np

from nca_tf import checks

# Numbers held at once while resampling; 32 MiB of float64.
CHUNK = 2**22


class Interval(typing.NamedTuple):
  """A value with the interval around it.

  Attributes:
    mean: the mean, difference or statistic of the data as they are.
    low: lower end; NaN for a single value, which has no spread.
    high: upper end, likewise.
  """

  mean: float
  low: float
  high: float

  def text(self, digits: int = 1) -> str:
    """Reads like '614.0 [541.3, 690.2]', '614.0' alone, or '-' for NaN."""
    digits = checks.integer('digits', digits, least=0)
    if math.isnan(self.mean):
      return '-'
    if math.isnan(self.low):
      return f'{self.mean:.{digits}f}'
    return (
      f'{self.mean:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]'
    )


UNKNOWN = Interval(math.nan, math.nan, math.nan)  # Nothing was measured.


def student_mean(values: Sequence[float], level: float = 0.95) -> Interval:
  """Mean of a few independent values, such as seeds, with its t interval.

  Student, The probable error of a mean (1908). Over few values the percentile
  bootstrap is too narrow; this one is right where they are normal.

  Args:
    values: one number of each seed.
    level: confidence level.

  Raises:
    ValueError: no values, one that is not finite, or a level out of range.
  """
  # Not before it is needed: it takes its time to import.
  from scipy import special

  values = _vector('values', values)
  level = checks.real('level', level, above=0, below=1)
  count, mean = len(values), float(values.mean())
  if count == 1:
    return Interval(mean, math.nan, math.nan)
  half = special.stdtrit(count - 1, (1 + level) / 2)
  half *= float(values.std(ddof=1)) / math.sqrt(count)
  return Interval(mean, mean - half, mean + half)


def bootstrap_mean(
  values,
  *,
  rng: np.random.Generator | int,
  level: float = 0.95,
  resamples: int = 10000,
) -> Interval:
  """Mean of independent values with its interval.

  Example:
    interval = bootstrap_mean(scores, rng=np.random.default_rng(0))
    print(interval.text())

  Args:
    values: [N] numbers, one per episode or seed.
    rng: generator or seed.
    level: of the interval.
    resamples: how many.
  """
  values = _vector('values', values)
  rng, level, resamples = _begin(rng, level, resamples)
  draws = None
  if len(values) > 1:
    draws = _resampled_means(values, resamples, rng)
  return _interval(values.mean(), draws, level)


def bootstrap_difference(
  a,
  b,
  *,
  rng: np.random.Generator | int,
  paired: bool = False,
  level: float = 0.95,
  resamples: int = 10000,
) -> Interval:
  """Mean of `a` less mean of `b`, with its interval.

  Args:
    a: [N] numbers.
    b: [M] numbers.
    rng: generator or seed.
    paired: a[i] and b[i] belong together (same seed, same start) and are drawn
      together; N must equal M.
    level: of the interval.
    resamples: how many.
  """
  a, b = _vector('a', a), _vector('b', b)
  if paired:
    if len(a) != len(b):
      raise ValueError(
        f'b must have as many values as a when paired, got {len(a)}, {len(b)}'
      )
    return bootstrap_mean(a - b, rng=rng, level=level, resamples=resamples)
  rng, level, resamples = _begin(rng, level, resamples)
  draws = None
  if len(a) > 1 and len(b) > 1:
    draws = _resampled_means(a, resamples, rng)
    draws = draws - _resampled_means(b, resamples, rng)
  return _interval(a.mean() - b.mean(), draws, level)


def bootstrap_nested(
  groups: Sequence,
  *,
  rng: np.random.Generator | int,
  level: float = 0.95,
  resamples: int = 10000,
) -> Interval:
  """Mean of the groups' means where both groups and their values are samples.

  Groups are drawn again, and then the values within each drawn group: seeds of
  the training, and the episodes that each trained agent played. A single group
  says nothing of how groups differ; the interval is of its values alone then.
  A few groups say little: with 3, one resample in 9 holds one of them only.

  Example:
    bootstrap_nested([scores_of_seed_0, scores_of_seed_1], rng=rng)

  Args:
    groups: list of [N_g] numbers.
    rng: generator or seed.
    level: of the interval.
    resamples: how many.
  """
  if not len(groups):
    raise ValueError('groups must hold at least one list of values, got none')
  groups = [_vector('groups', values) for values in groups]
  rng, level, resamples = _begin(rng, level, resamples)
  value = np.mean([values.mean() for values in groups])
  if max(len(groups), *map(len, groups)) == 1:
    return _interval(value, None, level)
  chosen = rng.integers(len(groups), size=(len(groups), resamples))
  draws = np.zeros(resamples)
  for row in chosen:
    for number, values in enumerate(groups):
      places = np.flatnonzero(row == number)
      draws[places] += _resampled_means(values, len(places), rng)
  return _interval(value, draws / len(groups), level)


def bootstrap_statistic(
  groups: Sequence,
  statistic: Callable[[list], float],
  *,
  rng: np.random.Generator | int,
  level: float = 0.95,
  resamples: int = 1000,
) -> Interval:
  """Any statistic of whole episodes, with its interval.

  Steps of one episode depend on each other, so whole episodes are drawn again;
  resampling the steps would give an interval that is far too narrow.

  Example:
    groups = [(labels, scores) for labels, scores in episodes]
    area = classification.pooled_roc_auc
    interval = bootstrap_statistic(groups, area, rng=rng)

  Args:
    groups: one object per episode, of any type that `statistic` takes.
    statistic: maps a list of groups to a number; called `resamples` times. NaN
      says that it is not defined for these groups (such as an area under a
      curve without a positive): that resample is left out.
    rng: generator or seed.
    level: of the interval.
    resamples: how many.

  Raises:
    ValueError: no groups, a statistic that is not finite for all the groups or
      not defined for more than 5 % of the resamples.
  """
  groups = list(groups)
  if not groups:
    raise ValueError('groups must hold at least one episode, got none')
  rng, level, resamples = _begin(rng, level, resamples)
  value = float(statistic(groups))
  if not math.isfinite(value):
    raise ValueError(f'statistic must be finite for all groups, got {value}')
  if len(groups) == 1:
    return _interval(value, None, level)
  chosen = rng.integers(len(groups), size=(resamples, len(groups)))
  draws = np.array([statistic([groups[i] for i in row]) for row in chosen])
  draws = draws[~np.isnan(draws)]
  if len(draws) < 0.95 * resamples:
    raise ValueError(
      'statistic must be defined for 95 % of the resamples at least, got'
      f' {len(draws)} of {resamples}: more episodes are needed'
    )
  return _interval(value, draws, level)


def share(successes: int, count: int) -> Interval:
  """Share of successes with its 95 % interval, of the binomial distribution.

  Wilson, Probable inference, the law of succession, and statistical inference
  (1927).

  Args:
    successes: from 0 to `count`.
    count: number of trials, at least 1.

  Raises:
    ValueError: no trials, or more successes than trials.
  """
  count = checks.integer('count', count, least=1)
  successes = checks.integer('successes', successes, least=0, most=count)
  value, z = successes / count, 1.959964
  scale = 1 + z * z / count
  centre = (value + z * z / (2 * count)) / scale
  spread = math.sqrt(value * (1 - value) / count + z * z / (4 * count**2))
  half = z * spread / scale
  return Interval(value, centre - half, centre + half)


def _resampled_means(values, resamples, rng):
  means = np.empty(resamples)
  rows = max(1, CHUNK // len(values))
  for start in range(0, resamples, rows):
    stop = min(start + rows, resamples)
    chosen = rng.integers(len(values), size=(stop - start, len(values)))
    means[start:stop] = values[chosen].mean(axis=1)
  return means


def _interval(value, draws, level):
  if draws is None:
    return Interval(float(value), math.nan, math.nan)
  low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
  return Interval(float(value), float(low), float(high))


def _vector(name, values):
  try:
    values = np.asarray(values, np.float64)
  except (TypeError, ValueError) as error:
    raise ValueError(f'{name} must be a list of numbers: {error}') from error
  if values.ndim != 1 or not len(values):
    raise ValueError(
      f'{name} must be a list of at least one number, got shape {values.shape}'
    )
  bad = np.sum(~np.isfinite(values))
  if bad:
    raise ValueError(
      f'{name} must be finite, got {bad} of {len(values)} values not finite'
    )
  return values


def _begin(rng, level, resamples):
  """Checks the arguments; returns the generator and the other two."""
  if not isinstance(rng, np.random.Generator):
    if rng is None:
      raise ValueError('rng must be a numpy Generator or a seed, got None')
    rng = np.random.default_rng(checks.integer('rng', rng, least=0))
  level = checks.real('level', level, above=0, below=1)
  return rng, level, checks.integer('resamples', resamples, least=1)
