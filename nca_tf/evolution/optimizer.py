"""CMA-ES as an object, with pycma's names; the mathematics is in cma_es."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import tensorflow as tf

from nca_tf import files
from nca_tf.evolution import cma_es
from nca_tf.evolution import recorded
from nca_tf.evolution import stopping
from nca_tf.evolution.bounds import Box
from nca_tf.evolution.settings import Settings

_CHUNK = 20  # Generations between two checks of the stop conditions.


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
  and the mean lie in the box, sigma and stds are of the free coordinates.

    es = CMAES(np.ones(10), 0.5)
    while not es.stop():
      x = es.ask()  # [popsize, n]
      es.tell(x, [f(row) for row in x])
    es.result.xbest
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
      x0: first mean, [n].
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
    x0 = np.asarray(x0, float)
    if x0.ndim != 1:
      raise ValueError(f'x0 must be a vector, got shape {x0.shape}')
    options = stopping.Options.of(options)
    self._arguments = {
      'x0': x0.tolist(),
      'sigma0': float(sigma0),
      'popsize': popsize,
      'mu': mu,
      'active': bool(active),
      'bounds': _plain(bounds),
      'seed': int(seed),
      'dtype': getattr(dtype, 'name', dtype),
      'covariance': covariance,
      'options': dataclasses.asdict(options),
    }
    n = len(x0)
    self.settings = Settings.make(n, popsize, mu, active, covariance, dtype)
    self._box = None if bounds is None else Box(bounds, n)
    if self._box is not None:
      x0 = self._box.out_of(x0)
    self._state = cma_es.initial(self.settings, x0, sigma0, seed)
    self._stopping = stopping.Stopping(options, n, self.popsize, float(sigma0))
    self._ftarget = options.ftarget
    self._asked = None  # The candidates, and their free coordinates.
    self._graphs = {}

  @property
  def state(self) -> cma_es.State:
    """All tensors that the search carries from generation to generation."""
    return self._state

  @property
  def popsize(self) -> int:
    """Candidates per generation."""
    return self.settings.popsize

  @property
  def mean(self) -> np.ndarray:
    """Centre of the search, [n], inside the bounds."""
    return self._into_box(self._state.mean).numpy()

  @property
  def sigma(self) -> float:
    """Step size."""
    return float(self._state.sigma)

  @property
  def stds(self) -> np.ndarray:
    """Standard deviations of the candidates' free coordinates, [n]."""
    return cma_es.stds(self.settings, self._state).numpy()

  @property
  def countiter(self) -> int:
    """Generations done."""
    return int(self._state.generation)

  @property
  def countevals(self) -> int:
    """Evaluations done."""
    return int(self._state.evaluations)

  @property
  def elapsed(self) -> float:
    """Seconds since the start, those before a load included."""
    return self._stopping.elapsed

  @property
  def result(self) -> Result:
    """Best and mean so far."""
    state = self._state
    found = math.isfinite(state.best_fitness)
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
    free = self._graph('ask', self._ask)(self._state)
    self._asked = (self._into_box(free).numpy(), free)
    return self._asked[0].copy()

  def tell(self, x, fitness) -> None:
    """Learns from candidates and their fitness, and moves on.

    Args:
      x: [popsize, n], from `ask`; others and another order are allowed.
      fitness: [popsize], minimised; NaN and inf mark candidates that failed.

    Raises:
      ValueError: a shape differs, or x lies outside the bounds.
    """
    x = np.asarray(x, self.settings.dtype)
    fitness = np.asarray(fitness)
    if not np.issubdtype(fitness.dtype, np.floating):
      fitness = fitness.astype(float)
    if fitness.shape != (self.popsize,):
      raise ValueError(
        f'fitness must be of shape ({self.popsize},), got {fitness.shape}'
      )
    if self._asked is not None and np.array_equal(x, self._asked[0]):
      free = self._asked[1]
    else:
      free = x if self._box is None else self._box.out_of(x)
    free = tf.cast(free, self.settings.dtype)
    fitness = tf.constant(fitness)
    graph = self._graph(('tell', fitness.dtype), self._tell)
    self._state = graph(self._state, free, fitness)
    self._asked = None
    self._stopping.feed(stopping.summary(fitness.numpy()))

  def stop(self) -> dict:
    """Stop conditions met, name to threshold; empty while none is."""
    state = self._state._replace(
      **{
        name: getattr(self._state, name).numpy()
        for name in ('mean', 'sigma', 'root', 'path_c')
      }
    )
    return self._stopping.stop(state, self.stds)

  def disp(self) -> None:
    """Prints one line: generation, evaluations, fitness, shape and steps."""
    ratio = math.sqrt(stopping.condition(self._state.root.numpy()))
    stds = self.stds
    print(
      f'{self.countiter:6d} {self.countevals:9d} '
      f'{float(self._state.best_fitness):21.14e} {ratio:8.1e} '
      f'{self.sigma:8.2e} {stds.min():8.1e} {stds.max():8.1e}',
      flush=True,
    )

  def optimize(self, f, iterations: int | None = None, callback=None) -> CMAES:
    """Runs with a fitness in the graph, compiled, until a stop condition.

    The conditions are checked every 20 generations, and after each one when
    there is a callback; `ftarget` ends the loop at once.

    Args:
      f: function of a tensor [popsize, n] that gives [popsize].
      iterations: most generations of this call; None: no limit.
      callback: called with this object after each generation.

    Returns:
      This object.
    """
    chunk = 1 if callback else _CHUNK
    graph = self._graph((f, chunk), self._chunk(f, chunk), jit_compile=True)
    end = math.inf if iterations is None else self.countiter + iterations
    end = min(end, self._stopping.maxiter)
    while self.countiter < end and not self.stop():
      before = self.countiter
      count = int(min(chunk, end - before, self._generations_left()))
      self._state, records = graph(self._state, tf.constant(count))
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
    arrays = {k: v.numpy() for k, v in self._state._asdict().items()}
    arrays |= self._stopping.export()
    arrays['arguments'] = np.array(json.dumps(self._arguments))
    files.write_arrays(path, arrays)

  @classmethod
  def load(cls, path) -> CMAES:
    """Returns a saved search, which continues exactly as it would have.

    Raises:
      ValueError: the file is no saved search.
    """
    with pathlib.Path(path).open('rb') as file:
      try:
        arrays = dict(np.load(file, allow_pickle=False))
        search = cls(**json.loads(str(arrays.pop('arguments'))))
        fields = [arrays.pop(name) for name in cma_es.State._fields]
        search._stopping.restore(**arrays)
      except (KeyError, TypeError, ValueError, EOFError, BadZipFile) as error:
        raise ValueError(f'path must be a saved search, got {path}') from error
    search._state = cma_es.State(*(tf.constant(field) for field in fields))
    return search

  def _generations_left(self):
    """Returns the generations that are left until `maxfevals`."""
    maxfevals = self._stopping.maxfevals
    return (
      math.ceil((maxfevals - self.countevals) / self.popsize)
      if (maxfevals < math.inf)
      else math.inf
    )

  def _into_box(self, free):
    """Returns candidates from their free coordinates."""
    return free if self._box is None else self._box.into(free)

  def _ask(self, state):
    """The graph of `ask`."""
    return cma_es.ask(self.settings, state)

  def _tell(self, state, free, fitness):
    """The graph of `tell`."""
    return cma_es.tell(self.settings, state, free, fitness)

  def _chunk(self, f, length):
    """Returns a graph of up to `length` generations that records each."""

    def chunk(state, count):
      return recorded.run(
        self.settings,
        state,
        lambda y: f(self._into_box(y)),
        count,
        self._ftarget,
        length,
      )

    return chunk

  def _graph(self, key, function, **options):
    """Returns the compiled function of a key, made on the first call."""
    if key not in self._graphs:
      self._graphs[key] = tf.function(function, autograph=False, **options)
    return self._graphs[key]


def _plain(bounds):
  """Returns bounds as lists, for JSON."""
  if bounds is None:
    return None
  return [None if b is None else np.asarray(b, float).tolist() for b in bounds]
