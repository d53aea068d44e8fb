"""Evaluations that CMA-ES needs, beside pycma with the same start.

Both count whole generations until the best value is below the target.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from nca_tf.analysis import intervals
from nca_tf.evolution import cma_es
from nca_tf.evolution import objectives
from nca_tf.experiments.benchmarks.cma_es import settings
from nca_tf.runs import progress

FTARGET = 1e-8
_EVALUATIONS = 5000  # At most, per dimension.


@dataclasses.dataclass(frozen=True)
class Problem:
  """One row of the table: where both optimisers begin.

  Attributes:
    name: Of the objective in `peers.py`.
    objective: The same function on tensors.
    n: Dimension.
    start: Every coordinate of x0.
    sigma: First step size.
    popsize: None for the default.
    is_rotated: Whether the seed's random rotation is applied to x.
    repeats: Runs per seed. A rate of success needs many more than a median.
  """

  name: str
  objective: Callable
  n: int
  start: float
  sigma: float = 0.5
  popsize: int | None = None
  is_rotated: bool = False
  repeats: int = 1

  @property
  def title(self) -> str:
    """Its name in the table."""
    rotated = 'rotated ' if self.is_rotated else ''
    return f'{rotated}{self.name} {self.n}'


def _problems(n):
  return (
    Problem('sphere', objectives.sphere, n, 1.0),
    Problem('ellipsoid', objectives.ellipsoid, n, 1.0),
    Problem('ellipsoid', objectives.ellipsoid, n, 1.0, is_rotated=True),
    Problem('rosenbrock', objectives.rosenbrock, n, 0.0),
  )


# Population for Rastrigin's function by dimension: large, to succeed often.
_RASTRIGIN = {2: 40, 10: 200}


def problems(dimensions) -> list[Problem]:
  """Returns the table's rows at the given dimensions, Rastrigin's last."""
  found = [problem for n in dimensions for problem in _problems(n)]
  for n, popsize in _RASTRIGIN.items():
    if n <= max(dimensions):
      problem = Problem('rastrigin', objectives.rastrigin, n, 3.0, 2.0, popsize)
      found.append(dataclasses.replace(problem, repeats=4))
  return found


def measure(problem: Problem, peers, config: settings.Config):
  """Runs both optimisers from the same starts.

  Args:
    problem: One of `problems`.
    peers: `PeerProcess` of `peers.py`, or None.
    config: Gives the number of seeds, precision and jit.

  Returns:
    For each optimiser the evaluations of its runs, None where it failed.
  """
  ours = _Runner(problem, config.jit != 'off', config.precision)
  names = ('nca_tf', 'pycma') if peers is not None else ('nca_tf',)
  found = {name: [] for name in names}
  count = config.seeds * problem.repeats
  with progress.Progress(problem.title, count, 'runs') as bar:
    for seed in range(count):
      matrix = np.eye(problem.n)
      if problem.is_rotated:
        matrix = objectives.rotation(problem.n, seed)
      found['nca_tf'].append(ours.minimise(seed, matrix))
      if peers is not None:
        found['pycma'].append(_pycma(peers, problem, seed, matrix))
      bar.update(seed + 1)
  return found


def check_objectives(peers) -> None:
  """Compares the peers' forms of the objectives with those of this library.

  Raises:
    ValueError: They differ.
  """
  x = np.random.default_rng(0).normal(0, 2, (20, 10))
  matrix = objectives.rotation(10, 0)
  pairs = [(dict(name=each.name), each.objective) for each in _problems(10)]
  pairs.append((dict(name='rastrigin'), objectives.rastrigin))
  for spec, objective in pairs:
    spec['matrix'] = matrix.tolist()
    _compare(peers, spec, objectives.rotated(objective, matrix), x)
  for function in objectives.BBOB_FUNCTIONS:
    instance = objectives.BbobInstance.make(function, 10, 1)
    _compare(peers, bbob_spec(instance), objectives.bbob(instance), x)


def bbob_spec(instance: objectives.BbobInstance):
  """Returns an instance of BBOB as the peers' requests have it."""
  arrays = {k: np.asarray(v).tolist() for k, v in instance._asdict().items()}
  return {'name': 'bbob', **arrays}


def _compare(peers, spec, objective, x):
  theirs = peers.ask('values', objective=spec, x=x.tolist())
  if not np.allclose(theirs, objective(tf.constant(x)), rtol=1e-9):
    raise ValueError(
      f'objective must be the same for both optimisers, got another {spec}'
    )


class _Runner:
  """Whole runs in one compiled graph; the seed and the rotation are inputs."""

  def __init__(self, problem, jit, precision):
    self._problem = problem
    self._settings = cma_es.Settings.make(
      problem.n, popsize=problem.popsize, dtype=precision
    )
    # Traced here: TensorFlow warns when functions are traced again and again,
    # although each problem needs its own.
    self._run = tf.function(
      self._graph, jit_compile=jit, autograph=False
    ).get_concrete_function(
      self._first(0),
      tf.TensorSpec([problem.n, problem.n], tf.float64),
      tf.TensorSpec([], tf.int32),
    )

  def _graph(self, state, matrix, generations):
    objective = self._problem.objective
    if self._problem.is_rotated:
      objective = objectives.rotated(objective, matrix)
    state = cma_es.run(
      self._settings, state, objective, generations, ftarget=FTARGET
    )
    return state.best_fitness, state.evaluations

  def _first(self, seed):
    problem = self._problem
    x0 = problem.n * [problem.start]
    return cma_es.initial(self._settings, x0, problem.sigma, seed)

  def minimise(self, seed, matrix):
    """Returns the evaluations to the target, or None."""
    generations = _EVALUATIONS * self._problem.n // self._settings.popsize
    best, evaluations = self._run(
      self._first(seed), tf.constant(matrix), tf.constant(generations)
    )
    return int(evaluations) if float(best) <= FTARGET else None


def _pycma(peers, problem, seed, matrix):
  answer = peers.ask(
    'minimise',
    objective={
      'name': problem.name,
      'matrix': matrix.tolist() if problem.is_rotated else None,
    },
    x0=problem.n * [problem.start],
    sigma0=problem.sigma,
    popsize=problem.popsize,
    seed=seed,
    maxfevals=_EVALUATIONS * problem.n,
    ftarget=FTARGET,
  )
  return answer['evaluations'] if answer['best'] <= FTARGET else None


def median(runs) -> float:
  """Returns the median evaluations; a failed run counts as infinitely many."""
  return float(np.median([math.inf if run is None else run for run in runs]))


def ratio(ours, theirs) -> intervals.Interval:
  """Returns the ratio of medians, with its bootstrap interval over runs."""
  value = median(ours) / median(theirs)
  if not math.isfinite(value):
    return intervals.Interval(value, math.nan, math.nan)
  rng = np.random.default_rng(0)
  draws = [
    median(rng.choice(ours, len(ours)))
    / median(rng.choice(theirs, len(theirs)))
    for _ in range(1000)
  ]
  if not np.all(np.isfinite(draws)):
    return intervals.Interval(value, math.nan, math.nan)
  low, high = np.quantile(draws, (0.025, 0.975))
  return intervals.Interval(value, float(low), float(high))


def rate(runs) -> intervals.Interval:
  """Returns the share of runs that succeed, with its 95 % interval."""
  return intervals.share(sum(run is not None for run in runs), len(runs))
