"""Stop conditions of a search: pycma's, under pycma's names.

Hansen, A CMA-ES for mixed-integer nonlinear optimization (2011) and the
tutorial, appendix B.3, describe most of them.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping

import numpy as np

from nca_tf import checks

_COLUMNS = 4  # Of a record: best, third quarter, median, worst fitness.


@dataclasses.dataclass(frozen=True)
class Options:
  """Thresholds of the stop conditions, with pycma's defaults.

  Any number but NaN, infinities among them: inf switches a limit off, 0 a
  tolerance. `ValueError` for others, and for a limit below 0.
  """

  ftarget: float = -math.inf  # fitness to reach
  maxfevals: float = math.inf  # evaluations; `fmin`: over all restarts
  maxiter: float | None = None  # of a run; 100 + 150 (n+3)^2 / sqrt(popsize)
  timeout: float = math.inf  # seconds
  tolx: float = 1e-11  # smallest step in every coordinate
  tolfun: float = 1e-11  # smallest range of fitness, now and in the history
  tolfunhist: float = 1e-12  # smallest range of the best in the history
  tolfacupx: float = 1e3  # largest growth of a coordinate's step over sigma0
  tolconditioncov: float = 1e14  # largest condition of the covariance
  # Generations without progress; default 100 + 100 n^1.5 / popsize.
  tolstagnation: float | None = None
  # Generations in a row that are tolerated although the best three quarters of
  # their fitness are all equal.
  tolflatfitness: float = 1

  def __post_init__(self):
    """Makes every threshold a plain number."""
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if value is not None or field.default is not None:
        value = _threshold(field.name, value)
      object.__setattr__(self, field.name, value)

  @classmethod
  def of(cls, options) -> Options:
    """Options from None, a dict or Options; `ValueError` for an unknown key."""
    if isinstance(options, cls):
      return options
    if not isinstance(options, Mapping | None):
      raise ValueError(f'options must be a dict or Options, got {options!r}')
    names = [field.name for field in dataclasses.fields(cls)]
    unknown = sorted(set(options or {}) - set(names))
    if unknown:
      raise ValueError(f'options must be among {names}, got {unknown}')
    return cls(**(options or {}))

  def less(self, evaluations: int, seconds: float) -> Options:
    """Options of the next run, after one that cost so much."""
    return dataclasses.replace(
      self,
      maxfevals=max(0, self.maxfevals - evaluations),
      timeout=max(0, self.timeout - seconds),
    )


def summary(fitness) -> np.ndarray:
  """Record of one generation, float64 [4], from its fitness [P]."""
  fitness = np.sort(np.where(np.isnan(fitness), np.inf, fitness))
  return fitness[places(len(fitness))].astype(float)


def places(popsize: int) -> list[int]:
  """Returns the indices of a record's columns in the sorted fitness."""
  return [0, int(0.75 * popsize), popsize // 2, popsize - 1]


def _threshold(name, value):
  """Returns a number that may be infinite, integers as such."""
  least = 0 if name in ('maxfevals', 'maxiter', 'timeout') else None
  if isinstance(value, float | np.floating) and np.isinf(value):
    if least is None or value > 0:
      return float(value)
  try:
    return checks.integer(name, value, least)
  except ValueError:
    return checks.real(name, value, least)


class Stopping:
  """Checks the conditions of one run from the records of its generations."""

  def __init__(self, options: Options, n: int, popsize: int, sigma0: float):
    """Fills in the defaults that depend on the sizes, into `options`."""
    maxiter, stagnation = options.maxiter, options.tolstagnation
    if maxiter is None:
      maxiter = 100 + 150 * (n + 3) ** 2 // math.sqrt(popsize)
    if stagnation is None:
      stagnation = int(100 + 100 * n**1.5 / popsize)
    self.options = dataclasses.replace(
      options, maxiter=maxiter, tolstagnation=stagnation
    )
    self._n, self._popsize, self._sigma0 = n, popsize, sigma0
    self._window = 10 + int(30 * n / popsize)
    self._store = np.zeros([64, _COLUMNS])
    self._count = 0
    self._best = math.inf
    self._flat = 0
    self._found = {}
    self._elapsed = 0.0
    self._since = time.monotonic()
    self._condition = (0, 1.0)  # Generation, value.

  def feed(self, record) -> None:
    """Adds one generation's record, [4]."""
    best, quarter, _, worst = (float(value) for value in record)
    if self._count == len(self._store):
      self._store = np.concatenate([self._store, np.zeros_like(self._store)])
    self._store[self._count] = record
    self._count += 1
    self._best = min(self._best, best)
    self._flat = self._flat + 1 if best == quarter else 0
    recent = self._records[-self._window :, 0]
    spread = _range(recent)
    options, is_long = self.options, len(recent) > 9
    self._found = self._thresholds(
      ftarget=self._best <= options.ftarget,
      tolflatfitness=self._flat > options.tolflatfitness,
      tolfunhist=is_long and spread < options.tolfunhist,
      tolfun=is_long and max(spread, worst - best) < options.tolfun,
      tolstagnation=self._is_stagnant(),
    )

  def stop(self, state, stds) -> dict:
    """Conditions met, name to threshold; empty while the search goes on.

    The state is a cma_es.State of arrays; stds [n] of the candidates have sigma
    included.
    """
    options, mean = self.options, state.mean
    found = self._found | self._thresholds(
      maxfevals=state.evaluations >= options.maxfevals,
      maxiter=state.generation >= options.maxiter,
      timeout=self.elapsed >= options.timeout,
    )
    if not state.generation:
      return found
    return found | self._thresholds(
      tolx=np.all(np.maximum(stds, _path_c(state)) < options.tolx),
      tolfacupx=np.any(stds > self._sigma0 * options.tolfacupx),
      noeffectcoord=np.any(mean == mean + (0.2 * stds).astype(stds.dtype)),
      noeffectaxis=np.all(mean == mean + _axis(state)),
      tolconditioncov=self._conditioning(state) > options.tolconditioncov,
    )

  def __getstate__(self):
    """What a copy continues from: another machine has another clock."""
    return {**self.__dict__, '_elapsed': self.elapsed}

  def __setstate__(self, state):
    """Goes on, the clock included."""
    self.__dict__ |= state
    self._since = time.monotonic()

  @property
  def elapsed(self) -> float:
    """Seconds since the start, those before a load included."""
    return self._elapsed + time.monotonic() - self._since

  def export(self) -> dict:
    """Returns what `restore` needs, as arrays."""
    return {
      'records': self._records,
      'elapsed': np.array(self.elapsed),
      'condition': np.array(self._condition),
    }

  def restore(self, records, elapsed, condition) -> None:
    """Continues from what `export` gave."""
    for record in records:
      self.feed(record)
    self._elapsed, self._since = float(elapsed), time.monotonic()
    self._condition = (int(condition[0]), float(condition[1]))

  def _thresholds(self, **is_met):
    """Returns the thresholds of the conditions that are met."""
    return {k: getattr(self.options, k, 1) for k, met in is_met.items() if met}

  @property
  def _records(self):
    """All records so far, [generations, 4]."""
    return self._store[: self._count]

  def _is_stagnant(self):
    """Whether neither best nor median improved, by medians over windows."""
    tolerance = max(self.options.tolstagnation, self._count)
    if tolerance == math.inf:
      return False
    window = int(tolerance / 10)
    if self._count <= max(100, 2 * window, self._n * (5 + 100 / self._popsize)):
      return False
    recent = self._records[-2 * window :]
    with np.errstate(invalid='ignore'):  # Between -inf and inf.
      old, new = np.median(recent[:window], 0), np.median(recent[window:], 0)
    return bool(new[0] >= old[0] and new[2] >= old[2])

  def _conditioning(self, state):
    """Condition of C, computed about once in n^2 / 1000 generations."""
    generation = int(state.generation)
    last, value = self._condition
    if generation - last >= max(1, self._n**2 // 1000):
      value = condition(state.root)
      self._condition = (generation, value)
    return value


def condition(root) -> float:
  """Condition of C = A A' from A, [n, n] or [n]."""
  root = np.asarray(root, float)
  values = np.abs(root) if root.ndim == 1 else np.linalg.svd(root, False, False)
  lowest = values.min()
  return math.inf if lowest == 0 else float((values.max() / lowest) ** 2)


def _range(values):
  """Largest minus smallest, infinite if any is."""
  finite = np.all(np.isfinite(values))
  return float(np.ptp(values)) if finite else math.inf


def _path_c(state):
  """|sigma p_c|, [n]."""
  root = state.root
  path = root * state.path_c if root.ndim == 1 else root @ state.path_c
  return np.abs(state.sigma * path)


def _axis(state):
  """A tenth of one column of sigma A: pycma takes principal axes instead."""
  i = int(state.generation) % len(state.mean)
  axis = np.zeros_like(state.mean)
  if state.root.ndim == 1:
    axis[i] = state.root[i]
  else:
    axis = state.root[:, i]
  return (state.mean.dtype.type(0.1) * state.sigma) * axis
