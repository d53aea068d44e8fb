"""Many searches with restarts that share their compiled graphs.

`evolution.fmin` compiles its graphs anew for each search. A benchmark runs
hundreds of searches of one kind: here the graph of a population size is
compiled once, and what differs between the searches, such as an instance of
BBOB, is an input of the graph.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nca_tf import checks
from nca_tf.evolution import settings
from nca_tf.evolution import stopping
from nca_tf.evolution.optimizer import CMAES

# Generations between two checks of the stop conditions. A run that is stuck
# wastes half of them, with a population that doubles; pycma checks after each.
_EVERY = 5


class Found(NamedTuple):
  """The end of a search."""

  evaluations: int  # of all runs
  best: float  # lowest value of the objective
  x: np.ndarray  # [n], the candidate that has it; the start if all failed
  runs: int  # number of runs, the first included


class ManySearches:
  """IPOP: each run has twice the candidates of the last one.

  Auger and Hansen, A restart CMA evolution strategy with increasing population
  size (2005).
  """

  def __init__(
    self,
    objective: Callable,
    sigma: float,
    *,
    popsize: int | None = None,
    jit: bool = True,
    **search,
  ):
    """Compiles nothing yet.

    Args:
      objective: (x [P, n], *data) -> [P].
      sigma: First step size of each run.
      popsize: Of the first run; None for the default.
      jit: Whether to compile with XLA.
      **search: Other arguments of `CMAES`, such as mu.
    """
    self._objective = objective
    self._sigma = checks.real('sigma', sigma, above=0)
    self._jit = checks.boolean('jit', jit)
    self._popsize, self._search = popsize, search
    self._graphs = {}

  def __getstate__(self):
    """What a copy continues from: the compiled programs cannot be pickled."""
    return {**self.__dict__, '_graphs': {}}

  def minimise(
    self,
    starts: Sequence,
    seed: int,
    options: stopping.Options | dict | None = None,
    data: Sequence = (),
  ) -> Found:
    """Searches until the target, the budget or the last start.

    Args:
      starts: x0 of each run, each with twice the candidates of the one before.
      seed: Of the first run; the seeds of the others follow from it.
      options: Stop conditions; `maxfevals` and `timeout` are for all runs
        together.
      data: The objective's other arguments.

    Raises:
      ValueError: An argument is out of range.
    """
    if not len(starts):
      raise ValueError('starts must hold at least one, got none')
    seed = checks.integer('seed', seed)
    left = stopping.Options.of(options)
    used, best, x, popsize = 0, math.inf, np.array(starts[0]), self._popsize
    for i, x0 in enumerate(starts):
      es = CMAES(
        x0,
        self._sigma,
        popsize,
        seed=seed + 1000 * i,
        options=left,
        **self._search,
      )
      es.share_programs(self._graphs.setdefault(es.popsize, {}))
      es.optimize(self._objective, data=data, every=_EVERY, jit=self._jit)
      used += es.countevals
      left = left.less(es.countevals, es.elapsed)
      result = es.result
      if result.fbest < best:
        best, x = result.fbest, result.xbest
      popsize = min(2 * es.popsize, settings.LARGEST_POPSIZE)
      is_over = popsize > left.maxfevals or left.timeout <= 0
      if is_over or best <= left.ftarget:
        break
    return Found(used, best, x, i + 1)
