"""Restarts with growing populations: IPOP and BIPOP.

Auger and Hansen, A restart CMA evolution strategy with increasing population
size (2005); Hansen, Benchmarking a BI-population CMA-ES on the BBOB-2009
function testbed (2009).
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from nca_tf import checks
from nca_tf import random_numbers
from nca_tf.evolution import settings
from nca_tf.evolution import stopping
from nca_tf.evolution.optimizer import CMAES
from nca_tf.evolution.optimizer import Result


class Run(NamedTuple):
  """One run of a search with restarts."""

  popsize: int
  sigma0: float
  result: Result


class Summary(NamedTuple):
  """The result of all runs."""

  xbest: np.ndarray | None  # [n]
  fbest: float
  evaluations: int
  runs: tuple[Run, ...]


def fmin(
  f,
  x0,
  sigma0: float,
  restarts: int = 9,
  bipop: bool = False,
  incpopsize: float = 2,
  seed: int = 0,
  options: stopping.Options | dict | None = None,
  **search,
) -> Summary:
  """Minimises a function in the graph, restarting when a run is stuck.

  Each run ends by its own stop conditions. `maxiter` counts per run: without
  it a badly conditioned problem would never restart. `ftarget`, `maxfevals` and
  `timeout` end the whole search.

  Args:
    f: Function of a tensor [popsize, n] that gives [popsize].
    x0: First mean of every run, [n], or a function of the run's number.
    sigma0: First step size.
    restarts: Runs with a larger population after the first one.
    bipop: Whether runs with small populations and steps come in between, as
      long as they have cost less than those with large ones.
    incpopsize: Factor of the population from one large run to the next.
    seed: Of the first run; run i has seed + i.
    options: Stop conditions.
    **search: The other arguments of `CMAES`, such as popsize.

  Raises:
    ValueError: An argument is out of range.
  """
  seed = checks.integer('seed', seed)
  plan = _Plan(sigma0, restarts, incpopsize, bipop, seed)
  left = stopping.Options.of(options)
  popsize = search.pop('popsize', None)
  if popsize is not None:
    popsize = checks.integer('popsize', popsize, 3)
  runs, programs = [], {}
  while True:
    size, step, cap, is_small = plan.next(popsize)
    es = CMAES(
      x0(len(runs)) if callable(x0) else x0,
      step,
      size,
      seed=seed + len(runs),
      options=dataclasses.replace(left, maxfevals=min(left.maxfevals, cap)),
      **search,
    )
    es.share_programs(programs.setdefault(es.popsize, {})).optimize(f)
    popsize = popsize or es.popsize
    runs.append(Run(es.popsize, step, es.result))
    plan.account(es.countevals, is_small)
    left = left.less(es.countevals, es.elapsed)
    best = min((run.result for run in runs), key=lambda result: result.fbest)
    is_over = left.maxfevals <= 0 or left.timeout <= 0 or plan.is_done()
    if is_over or best.fbest <= left.ftarget:
      evaluations = sum(run.result.evaluations for run in runs)
      return Summary(best.xbest, best.fbest, evaluations, tuple(runs))


class _Plan:
  """Chooses population and step size of the next run."""

  def __init__(self, sigma0, restarts, factor, bipop, seed):
    self._sigma0 = checks.real('sigma0', sigma0, above=0)
    self._restarts = checks.integer('restarts', restarts, 0)
    self._factor = checks.real('incpopsize', factor, 1)
    self._bipop = checks.boolean('bipop', bipop)
    self._generator = random_numbers.generator(seed, 'restarts')
    self._large = 0
    self._cost = {True: 0, False: 0}  # Evaluations of small and of large runs.
    self._last = math.inf

  def small_is_due(self):
    """Whether the next run has a small population."""
    return (
      self._bipop and self._large > 1 and self._cost[True] < self._cost[False]
    )

  def is_done(self):
    """Whether the first run and all restarts are over."""
    return self._large > self._restarts and not self.small_is_due()

  def next(self, popsize):
    """Returns population (None: the default), step, cap, and if it is small.

    The cap is of evaluations; `popsize` is the first run's, None before it.
    """
    growth = self._factor ** max(self._large - 1, 0)
    if self.small_is_due():
      share, steps = self._generator.uniform(size=2)
      size = int(popsize * (0.5 * growth) ** (share**2))
      sigma = float(self._sigma0 * 10 ** (-2 * steps))
      return max(size, 3), sigma, self._last / 2, True
    growth = self._factor**self._large
    largest = settings.LARGEST_POPSIZE
    size = None if popsize is None else int(min(popsize * growth, largest))
    return size, self._sigma0, math.inf, False

  def account(self, evaluations, is_small):
    """Adds up what a run has cost."""
    # The first run has the default size and counts for neither.
    if is_small or self._large:
      self._cost[is_small] += evaluations
    if not is_small:
      self._large += 1
      self._last = evaluations
