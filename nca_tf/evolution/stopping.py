"""Stop conditions of a search: pycma's, under pycma's names.

Hansen, A CMA-ES for mixed-integer nonlinear optimization (2011) and the
tutorial, appendix B.3, describe most of them.
"""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np

_COLUMNS = 4  # Of a record: best, lower quarter, median, worst fitness.


@dataclasses.dataclass(frozen=True)
class Options:
  """Thresholds of the stop conditions, with pycma's defaults.

  Attributes:
    ftarget: fitness to reach.
    maxfevals: evaluations; `fmin` counts them over all restarts.
    maxiter: generations of one run; None: 100 + 150 (n+3)^2 / sqrt(popsize).
    timeout: seconds.
    tolx: smallest step in every coordinate.
    tolfun: smallest range of fitness, in the generation and in the history.
    tolfunhist: smallest range of the best fitness in the history.
    tolfacupx: largest growth of a coordinate's step over sigma0.
    tolconditioncov: largest condition of the covariance.
    tolstagnation: generations without progress, None: 100 + 100 n^1.5 / P.
    tolflatfitness: generations whose best quarter is all equal.
  """

  ftarget: float = -math.inf
  maxfevals: float = math.inf
  maxiter: float | None = None
  timeout: float = math.inf
  tolx: float = 1e-11
  tolfun: float = 1e-11
  tolfunhist: float = 1e-12
  tolfacupx: float = 1e3
  tolconditioncov: float = 1e14
  tolstagnation: float | None = None
  tolflatfitness: int = 1

  @classmethod
  def of(cls, options) -> Options:
    """Options from None, a dict or Options.

    Raises:
      ValueError: a key is unknown.
    """
    if isinstance(options, cls):
      return options
    names = [field.name for field in dataclasses.fields(cls)]
    unknown = sorted(set(options or {}) - set(names))
    if unknown:
      raise ValueError(f'options must be among {names}, got {unknown}')
    return cls(**(options or {}))


def summary(fitness) -> np.ndarray:
  """Record of one generation, float64 [4], from its fitness [P]."""
  fitness = np.sort(np.where(np.isnan(fitness), np.inf, fitness))
  return fitness[places(len(fitness))].astype(float)


def places(popsize: int) -> list[int]:
  """Returns the indices of a record's columns in the sorted fitness."""
  quarter = min(popsize - 1, math.ceil(0.1 + popsize / 4))
  return [0, quarter, popsize // 2, popsize - 1]


class Stopping:
  """Checks the conditions of one run from the records of its generations."""

  def __init__(self, options: Options, n: int, popsize: int, sigma0: float):
    """Fills in the defaults that depend on the sizes."""
    self._options = options
    self._n, self._popsize, self._sigma0 = n, popsize, sigma0
    self.maxfevals = options.maxfevals
    self.maxiter = options.maxiter
    if self.maxiter is None:
      self.maxiter = 100 + 150 * (n + 3) ** 2 // math.sqrt(popsize)
    self._stagnation = options.tolstagnation
    if self._stagnation is None:
      self._stagnation = int(100 + 100 * n**1.5 / popsize)
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
    options, found = self._options, {}
    if self._best <= options.ftarget:
      found['ftarget'] = options.ftarget
    if self._flat > options.tolflatfitness:
      found['tolflatfitness'] = options.tolflatfitness
    if len(recent) > 9 and spread < options.tolfunhist:
      found['tolfunhist'] = options.tolfunhist
    if len(recent) > 9 and max(spread, worst - best) < options.tolfun:
      found['tolfun'] = options.tolfun
    if self._is_stagnant():
      found['tolstagnation'] = self._stagnation
    self._found = found

  def stop(self, state, stds) -> dict:
    """Conditions met, name to threshold; empty while the search goes on.

    Args:
      state: cma_es.State of NumPy arrays.
      stds: [n], of the candidates, sigma included.
    """
    options, found = self._options, dict(self._found)
    generation = int(state.generation)
    limits = {
      'maxfevals': (int(state.evaluations), options.maxfevals),
      'maxiter': (generation, self.maxiter),
      'timeout': (self.elapsed, options.timeout),
    }
    found |= {
      k: limit for k, (value, limit) in limits.items() if value >= limit
    }
    if not generation:
      return found
    if np.all(np.maximum(stds, _path_c(state)) < options.tolx):
      found['tolx'] = options.tolx
    if np.any(stds > self._sigma0 * options.tolfacupx):
      found['tolfacupx'] = options.tolfacupx
    if np.any(state.mean == state.mean + (0.2 * stds).astype(stds.dtype)):
      found['noeffectcoord'] = 1
    if np.all(state.mean == state.mean + _axis(state)):
      found['noeffectaxis'] = 1
    if self._conditioning(state) > options.tolconditioncov:
      found['tolconditioncov'] = options.tolconditioncov
    return found

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

  @property
  def _records(self):
    """All records so far, [generations, 4]."""
    return self._store[: self._count]

  def _is_stagnant(self):
    """Whether neither best nor median improved, by medians over windows."""
    window = int(max(self._stagnation / 10, self._count / 10))
    if self._count <= max(100, 2 * window, self._n * (5 + 100 / self._popsize)):
      return False
    recent = self._records[-2 * window :]
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
