"""Many searches with restarts that share their compiled graphs.

`evolution.fmin` compiles its graphs anew for each search. A benchmark runs
hundreds of searches of one kind: here the graph of a population size is
compiled once, and what differs between the searches, such as an instance of
BBOB, is an input of the graph.
"""

import dataclasses
import math
import typing
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from nca_tf.evolution import cma_es
from nca_tf.evolution import recorded
from nca_tf.evolution import stopping

# Generations between two checks of the stop conditions. A run that is stuck
# wastes half of them, with a population that doubles; pycma checks after each.
_CHUNK = 5


class Found(typing.NamedTuple):
  """The end of a search.

  Attributes:
    evaluations: Of all runs.
    best: Lowest value of the objective.
    x: [n], the candidate that has it.
    runs: Number of runs, the first included.
  """

  evaluations: int
  best: float
  x: np.ndarray
  runs: int


class ManySearches:
  """IPOP: each run has twice the candidates of the last one.

  Auger and Hansen, A restart CMA evolution strategy with increasing population
  size (2005).
  """

  def __init__(
    self,
    objective: Callable,
    n: int,
    sigma: float,
    *,
    popsize: int | None = None,
    jit: bool = True,
    **settings,
  ):
    """Compiles nothing yet.

    Args:
      objective: (x [P, n], *data) -> [P].
      n: Dimension.
      sigma: First step size of each run.
      popsize: Of the first run; None for the default.
      jit: Whether to compile with XLA.
      **settings: Other arguments of `Settings.make`.
    """
    self._objective, self._n, self._sigma = objective, n, sigma
    self._popsize, self._jit, self._options = popsize, jit, settings
    self._graphs = {}

  def minimise(
    self,
    starts: Sequence,
    seed: int,
    options: stopping.Options,
    data: Sequence = (),
  ) -> Found:
    """Searches until the target, the budget or the last start.

    Args:
      starts: x0 of each run, each with twice the candidates of the one before.
      seed: Of the first run; the seeds of the others follow from it.
      options: Stop conditions; `maxfevals` is for all runs together.
      data: The objective's other arguments.
    """
    used, best, x, popsize = 0, math.inf, np.asarray(starts[0]), self._popsize
    for i, x0 in enumerate(starts):
      left = dataclasses.replace(options, maxfevals=options.maxfevals - used)
      state, popsize = self._run(popsize, x0, seed + 1000 * i, left, data)
      used += int(state.evaluations)
      if state.best_fitness < best:
        best, x = float(state.best_fitness), state.best_x
      popsize *= 2
      if best <= options.ftarget or used + popsize > options.maxfevals:
        break
    return Found(used, best, x, i + 1)

  def _run(self, popsize, x0, seed, options, data):
    """Returns the last state of one run, in NumPy, and its population size."""
    settings, graph = self._compiled(popsize)
    popsize = settings.popsize
    state = cma_es.initial(settings, x0, self._sigma, seed)
    watch = stopping.Stopping(options, self._n, popsize, self._sigma)
    ftarget = tf.constant(options.ftarget, tf.float64)
    found = None
    while not found:
      before = int(state.generation)
      left = min(watch.maxiter, options.maxfevals / popsize) - before
      count = max(1, min(_CHUNK, math.ceil(left)))
      state, records = graph(state, tf.constant(count), ftarget, data)
      for record in records.numpy()[: int(state.generation) - before]:
        watch.feed(record)
      arrays = cma_es.State(*[field.numpy() for field in state])
      found = watch.stop(arrays, cma_es.stds(settings, state).numpy())
    return arrays, popsize

  def _compiled(self, popsize):
    """Returns settings and graph of a population size."""
    if popsize not in self._graphs:
      settings = cma_es.Settings.make(self._n, popsize, **self._options)

      def chunk(state, count, ftarget, data):
        return recorded.run(
          settings,
          state,
          lambda x: self._objective(x, *data),
          count,
          ftarget,
          _CHUNK,
        )

      graph = tf.function(chunk, jit_compile=self._jit, autograph=False)
      self._graphs[popsize] = settings, graph
    return self._graphs[popsize]
