"""CMA-ES as an object, with pycma's names; the mathematics is in cma_es."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from nca_tf import checks
from nca_tf.evolution import arrays
from nca_tf.evolution import cma_es
from nca_tf.evolution import saved_search
from nca_tf.evolution import stopping
from nca_tf.evolution.bounds import Box
from nca_tf.evolution.settings import Settings


class Result(NamedTuple):
  """Best and mean of a search so far, as pycma names them."""

  xbest: np.ndarray | None  # [n], the best candidate; None before the first
  fbest: float
  evals_best: int  # its place in the count of evaluations, from 1
  evaluations: int
  iterations: int
  xfavorite: np.ndarray  # [n], the mean: the better choice under noise
  stds: np.ndarray  # [n]
  stop: dict


class CMAES:
  """Minimises a function of n numbers from its values alone.

  With bounds the search runs in free coordinates (see `bounds.Box`); x, xbest
  and the mean lie in the box, sigma and stds are of the free coordinates. Where
  sigma0 is more than half the distance between the bounds, the standard
  deviation is held below a third of it, from the start.

  What numbers that are not finite mean is in `cma_es`. A search can be pickled
  and copied; the copy compiles its programs anew.

    es = CMAES(np.ones(10), 0.5)
    while not es.stop():
      x = es.ask()  # [popsize, n]
      es.tell(x, [f(row) for row in x])
    es.result.xbest

  Attributes:
    settings: `Settings`, the constants.
    state: `cma_es.State`, all that changes from generation to generation.
  """

  def __init__(
    self,
    x0,
    sigma0: float,
    popsize: int | None = None,
    mu: int | float | None = None,
    active: bool = True,
    bounds=None,
    seed: int = 0,
    dtype: str | None = None,
    covariance: str = 'full',
    options: stopping.Options | dict | None = None,
  ):
    """Starts at generation 0.

    Args:
      x0: first mean, [n], finite.
      sigma0: first step size; x0 +- 2 sigma0 should hold the minimum.
      popsize: candidates per generation; default 4 + floor(3 ln n).
      mu: parents, an int or a share below 1; default half of popsize.
      active: whether bad candidates get negative weights.
      bounds: (lower, upper), each None, a number or [n]; None: no bounds.
      seed: equal seeds give equal searches.
      dtype: default float64 up to 100 dimensions, float32 above.
      covariance: 'full' or 'diagonal'.
      options: stop conditions, `stopping.Options` or a dict of its fields.

    Raises:
      ValueError: an argument is out of range.
    """
    x0 = arrays.finite('x0', x0)
    n = len(x0)
    sigma0 = checks.real('sigma0', sigma0, above=0)
    seed = checks.integer('seed', seed)
    options = stopping.Options.of(options)
    self.settings = Settings.make(n, popsize, mu, active, covariance, dtype)
    box = None if bounds is None else Box(bounds, n, self.settings.dtype)
    self._arguments = {
      'x0': x0,
      'sigma0': sigma0,
      'popsize': self.settings.popsize,
      'mu': self.settings.mu,
      'active': bool(active),
      'bounds': None if box is None else [box.lower, box.upper],
      'seed': seed,
      'dtype': self.settings.dtype,
      'covariance': covariance,
      'options': dataclasses.asdict(options),
    }
    self._box, self._largest_stds = box, None
    if box is not None:
      x0 = box.out_of(x0, 'x0')
    self.state = cma_es.initial(self.settings, x0, sigma0, seed)
    if box is not None:
      self._largest_stds = box.largest_stds(sigma0)
      self.state = self._limit(self.state)
    self._stopping = stopping.Stopping(options, n, self.popsize, sigma0)
    self._ftarget = tf.constant(options.ftarget, tf.float64)
    self._asked = None  # The candidates, and their free coordinates: arrays.
    self._graphs = {}

  def __getstate__(self):
    """What a copy continues from: the compiled programs cannot be pickled."""
    return {**self.__dict__, '_graphs': {}}

  @property
  def popsize(self) -> int:
    """Candidates per generation."""
    return self.settings.popsize

  @property
  def mean(self) -> np.ndarray:
    """Centre of the search, [n], inside the bounds."""
    return self._into_box(self.state.mean).numpy()

  @property
  def sigma(self) -> float:
    """Step size."""
    return float(self.state.sigma)

  @property
  def stds(self) -> np.ndarray:
    """Standard deviations of the candidates' free coordinates, [n]."""
    return cma_es.stds(self.settings, self.state).numpy()

  @property
  def countiter(self) -> int:
    """Generations done."""
    return int(self.state.generation)

  @property
  def countevals(self) -> int:
    """Evaluations done."""
    return int(self.state.evaluations)

  @property
  def elapsed(self) -> float:
    """Seconds since the start, those before a load included."""
    return self._stopping.elapsed

  @property
  def result(self) -> Result:
    """Best and mean so far."""
    state = self.state
    found = int(state.best_evaluation) > 0
    return Result(
      xbest=self._into_box(state.best_x).numpy() if found else None,
      fbest=float(state.best_fitness),
      evals_best=int(state.best_evaluation),
      evaluations=self.countevals,
      iterations=self.countiter,
      xfavorite=self.mean,
      stds=self.stds,
      stop=self.stop(),
    )

  def ask(self) -> np.ndarray:
    """Candidates [popsize, n]; the same ones until `tell`."""
    graph = self._graph('ask', functools.partial(cma_es.ask, self.settings))
    free = graph(self.state)
    self._asked = (self._into_box(free).numpy(), free.numpy())
    return self._asked[0].copy()

  def tell(self, x, fitness) -> None:
    """Learns from candidates and their fitness, and moves on.

    Args:
      x: [popsize, n], from `ask`; others and another order are allowed. Rows
        that are not finite failed.
      fitness: [popsize], minimised; NaN and inf mark candidates that failed.

    Raises:
      ValueError: a shape differs, or x lies outside the bounds.
    """
    shape = (self.popsize, self.settings.n)
    x = arrays.floats('x', x, shape)
    fitness = arrays.floats('fitness', fitness, shape[:1])
    with np.errstate(over='ignore'):
      free = self._out_of_box(x).astype(self.settings.dtype)
    fitness = np.where(np.all(np.isfinite(free), 1), fitness, np.inf)
    graph = self._graph('tell', self._learn)
    self.state = graph(
      self.state, tf.constant(free), tf.constant(fitness, tf.float64)
    )
    self._asked = None
    self._stopping.feed(stopping.summary(fitness))

  def stop(self) -> dict:
    """Stop conditions met, name to threshold; empty while none is."""
    state = cma_es.State(*map(np.asarray, self.state))
    return self._stopping.stop(state, self.stds)

  def disp(self) -> None:
    """Prints one line: generation, evaluations, fitness, shape and steps."""
    ratio = math.sqrt(stopping.condition(self.state.root.numpy()))
    stds = self.stds
    print(
      f'{self.countiter:6d} {self.countevals:9d} '
      f'{float(self.state.best_fitness):21.14e} {ratio:8.1e} '
      f'{self.sigma:8.2e} {stds.min():8.1e} {stds.max():8.1e}',
      flush=True,
    )

  def optimize(
    self,
    f,
    iterations: int | None = None,
    callback=None,
    *,
    data=(),
    every: int = 20,
    jit: bool = True,
  ) -> CMAES:
    """Runs with a fitness in the graph, compiled, until a stop condition.

    `ftarget` ends the loop at once. Returns this object.

    Args:
      f: function of a tensor [popsize, n], and of `data`, that gives [popsize].
      iterations: most generations of this call, at least 0; None: no limit.
      callback: called with this object after each generation.
      data: tensors that are inputs of the graph.
      every: generations between two checks of the stop conditions; 1 with a
        callback.
      jit: whether to compile with XLA.

    Raises:
      ValueError: an argument is out of range, or f gives something else.
    """
    if iterations is not None:
      iterations = checks.integer('iterations', iterations, 0)
    every = 1 if callback else checks.integer('every', every, 1)
    jit = checks.boolean('jit', jit)

    def chunk(state, count, ftarget, data):
      def fitness(y):
        return f(self._into_box(y), *data)

      def step(state):
        state, found = cma_es.step(self.settings, state, fitness)
        return self._limit(state), found

      return _run(step, self.popsize, state, count, ftarget, every)

    graph = self._graph((f, every), chunk, jit_compile=jit)
    limits = self._stopping.options
    end = math.inf if iterations is None else self.countiter + iterations
    end = min(end, limits.maxiter)
    while self.countiter < end and not self.stop():
      before = self.countiter
      budget = (limits.maxfevals - self.countevals) / self.popsize
      count = tf.constant(int(min(every, end - before, np.ceil(budget))))
      self.state, records = graph(self.state, count, self._ftarget, data)
      for record in records.numpy()[: self.countiter - before]:
        self._stopping.feed(record)
      self._asked = None
      if callback:
        callback(self)
    return self

  def share_programs(self, programs: dict) -> CMAES:
    """Keeps the compiled programs in a dict that other searches use as well.

    The searches may differ in seed, start and step only, as restarts do.
    """
    self._graphs = programs
    return self

  def save(self, path) -> None:
    """Writes the whole search to one file, complete or not at all."""
    state = {k: v.numpy() for k, v in self.state._asdict().items()}
    saved_search.write(
      path,
      saved_search.SavedSearch(self._arguments, state, self._stopping.export()),
    )

  @classmethod
  def load(cls, path) -> CMAES:
    """Returns a saved search, which continues exactly as it would have.

    Raises:
      OSError: the file cannot be opened.
      ValueError: it is no saved search, or damaged.
    """
    found = saved_search.read(path)
    try:
      search = cls(**found.arguments)
      search._stopping.restore(**found.records)
    except (TypeError, ValueError) as error:
      raise saved_search.damaged(path, error) from error
    search.state = cma_es.State(**found.state)
    search.state = cma_es.State(*map(tf.constant, search.state))
    return search

  def _into_box(self, free):
    """Returns candidates from their free coordinates."""
    return free if self._box is None else self._box.into(free)

  def _out_of_box(self, x):
    """Returns the free coordinates of candidates, [popsize, n]."""
    if self._box is None:
      return x
    free = self._box.out_of(x)
    if self._asked is None:  # After a load.
      self.ask()
    # Many free coordinates have one place in the box: candidates of `ask` get
    # their own ones back, wherever they stand among the others.
    asked, origins = (part.astype(np.float64) for part in self._asked)
    places = {row.tobytes(): i for i, row in enumerate(asked)}
    for i, row in enumerate(x):
      is_same = np.array_equal(row, asked[i])
      place = i if is_same else places.get(row.tobytes())
      if place is not None:
        free[i] = origins[place]
    return free

  def _limit(self, state):
    """Returns a state whose standard deviations suit the box."""
    if self._largest_stds is None:
      return state
    return cma_es.limit_stds(self.settings, state, self._largest_stds)

  def _learn(self, state, free, fitness):
    """Returns the next state from candidates' free coordinates."""
    return self._limit(cma_es.tell(self.settings, state, free, fitness))

  def _graph(self, key, function, **options):
    """Returns the compiled function of a key, made on the first call."""
    # Searches that share programs may differ in the step, hence in the limit.
    key = (key, self._largest_stds is None, *options.items())
    if key not in self._graphs:
      self._graphs[key] = tf.function(function, autograph=False, **options)
    return self._graphs[key]


def _run(step, popsize, state, count, ftarget, most):
  """Runs generations, with what the stop conditions need of each.

  Returns the last state, and float64 [most, 4] with `stopping.summary` of the
  up to `count` generations that were run until the target; zeros follow.
  """
  columns = stopping.places(popsize)

  def is_running(i, records, *fields):
    del records
    return (i < count) & (cma_es.State(*fields).best_fitness > ftarget)

  def advance(i, records, *fields):
    state, fitness = step(cma_es.State(*fields))
    fitness = tf.cast(fitness, tf.float64)
    fitness = tf.where(fitness < math.inf, fitness, math.inf)
    record = tf.gather(tf.sort(fitness), columns)
    records = tf.tensor_scatter_nd_update(records, [[i]], record[None])
    return (i + 1, records, *state)

  start = (tf.constant(0), tf.zeros([most, len(columns)], tf.float64))
  _, records, *fields = tf.while_loop(is_running, advance, (*start, *state))
  return cma_es.State(*fields), records
