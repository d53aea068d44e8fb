"""Many searches with restarts that share their compiled graphs.

`evolution.fmin` compiles one graph per run. A benchmark runs hundreds of
searches of one kind, so here the graph of a population size is compiled once,
and what differs, such as an instance of BBOB, goes in as tensors.
"""

import dataclasses
import math
import typing
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from nca_tf.evolution import cma_es
from nca_tf.evolution import stopping

# Generations between two looks at the stop conditions. A run that is stuck
# wastes half of them, with a population that doubles; pycma looks after each.
_CHUNK = 5


class Found(typing.NamedTuple):
  """The end of a search.

  Attributes:
    evaluations: of all runs.
    best: lowest value.
    x: [n] where.
    runs: how many, the first included.
  """

  evaluations: int
  best: float
  x: np.ndarray
  runs: int


class Restarts:
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
      n: dimension.
      sigma: first step size of each run.
      popsize: of the first run; None for the default.
      jit: compile with XLA.
      **settings: other arguments of `Settings.make`.
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
    """One search, until the target, the budget or the last start.

    Args:
      starts: x0 of each run.
      seed: of the first run; another one for each follows from it.
      options: stop conditions; `maxfevals` is for all runs together.
      data: the objective's other arguments.
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
    """Last state of one run, in NumPy, and its population size."""
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
    """Settings and graph of a population size."""
    if popsize not in self._graphs:
      settings = cma_es.Settings.make(self._n, popsize, **self._options)
      graph = tf.function(
        self._chunk(settings), jit_compile=self._jit, autograph=False
      )
      self._graphs[popsize] = settings, graph
    return self._graphs[popsize]

  def _chunk(self, settings):
    """Graph of a few generations, with a record of each."""
    columns = stopping.places(settings.popsize)

    def chunk(state, count, ftarget, data):
      def is_running(i, records, *fields):
        return (i < count) & (cma_es.State(*fields).best_fitness > ftarget)

      def step(i, records, *fields):
        state, fitness = cma_es.step(
          settings,
          cma_es.State(*fields),
          lambda x: self._objective(x, *data),
        )
        record = tf.gather(tf.sort(tf.cast(fitness, tf.float64)), columns)
        records = tf.tensor_scatter_nd_update(records, [[i]], record[None])
        return (i + 1, records, *state)

      start = (tf.constant(0), tf.zeros([_CHUNK, len(columns)], tf.float64))
      _, records, *fields = tf.while_loop(is_running, step, (*start, *state))
      return cma_es.State(*fields), records

    return chunk
