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
from nca_tf.experiments.benchmarks import measurement
from nca_tf.experiments.benchmarks.cma_es import settings

FTARGET = 1e-8


@dataclasses.dataclass(frozen=True)
class Problem:
  """One row of the table: where both optimisers begin."""

  objective: Callable  # on tensors; `peers.py` has one of the same name
  n: int  # dimension
  start: float  # every coordinate of x0
  sigma: float = 0.5  # first step size
  popsize: int | None = None  # None for the default
  is_rotated: bool = False  # whether x is rotated at random
  repeats: int = 1  # runs per seed; a rate needs many more than a median

  @property
  def title(self) -> str:
    """Its name in the table."""
    rotated = 'rotated ' if self.is_rotated else ''
    return f'{rotated}{self.objective.__name__} {self.n}'

  @property
  def x0(self) -> list[float]:
    """First mean."""
    return self.n * [self.start]

  @property
  def budget(self) -> int:
    """Most evaluations of a run."""
    return 5000 * self.n

  def rotation(self, seed: int) -> np.ndarray:
    """The seed's rotation of x, [n, n]."""
    if not self.is_rotated:
      return np.eye(self.n)
    return objectives.rotation(self.n, seed)


def _problems(n):
  return (
    Problem(objectives.sphere, n, 1.0),
    Problem(objectives.ellipsoid, n, 1.0),
    Problem(objectives.ellipsoid, n, 1.0, is_rotated=True),
    Problem(objectives.rosenbrock, n, 0.0),
  )


# Population for Rastrigin's function by dimension: large, to succeed often.
_RASTRIGIN = {2: 40, 10: 200}


def problems(dimensions) -> list[Problem]:
  """Returns the table's rows at the given dimensions, Rastrigin's last."""
  found = [problem for n in dimensions for problem in _problems(n)]
  for n, popsize in _RASTRIGIN.items():
    if n <= max(dimensions):
      rastrigin = Problem(objectives.rastrigin, n, 3.0, 2.0, popsize, repeats=4)
      found.append(rastrigin)
  return found


def measure(problem: Problem, peers, config: settings.Config):
  """Runs both optimisers from the same starts.

  `peers` is the `PeerProcess` of `peers.py`, or None. Returns, by optimiser,
  the evaluations of its runs, None where it failed.
  """
  count = config.seeds * problem.repeats
  players = {'nca_tf': _run_ours(problem, count, config)}
  if peers is not None:
    players['pycma'] = _run_pycma(problem, count, peers)
  return measurement.alternate(problem.title, players, count)


def check_objectives(peers) -> None:
  """Compares the peers' forms of the objectives with those of this library.

  `ValueError` if they differ.
  """
  matrix = objectives.rotation(10, 0)
  pairs = []
  for objective in dict.fromkeys(each.objective for each in problems([10])):
    spec = {'name': objective.__name__, 'matrix': matrix.tolist()}
    pairs.append((spec, objectives.rotated(objective, matrix)))
  for function in objectives.BBOB_FUNCTIONS:
    instance = objectives.BbobInstance.make(function, 10, 1)
    pairs.append((bbob_spec(instance), objectives.bbob(instance)))
  x = np.random.default_rng(0).normal(0, 2, (20, 10))
  for spec, objective in pairs:
    theirs = peers.ask('values', objective=spec, x=x.tolist())
    if not np.allclose(theirs, objective(tf.constant(x)), rtol=1e-9):
      raise ValueError(
        f'objective must be the same for both optimisers, got another {spec}'
      )


def bbob_spec(instance: objectives.BbobInstance):
  """Returns an instance of BBOB as the peers' requests have it."""
  arrays = {k: np.asarray(v).tolist() for k, v in instance._asdict().items()}
  return {'name': 'bbob', **arrays}


def _run_ours(problem, count, config):
  """Yields the evaluations to the target of each seed, or None."""
  constants = cma_es.Settings.make(
    problem.n, popsize=problem.popsize, dtype=config.precision
  )

  def start(seed):
    return cma_es.initial(constants, problem.x0, problem.sigma, seed)

  def run(state, matrix, generations):
    objective = problem.objective
    if problem.is_rotated:
      objective = objectives.rotated(objective, matrix)
    state = cma_es.run(constants, state, objective, generations, FTARGET)
    return state.best_fitness, state.evaluations

  # Traced here: TensorFlow warns when functions are traced again and again,
  # although each problem needs its own. The rotation is an input.
  run = tf.function(
    run, jit_compile=config.jit != 'off', autograph=False
  ).get_concrete_function(
    start(0),
    tf.TensorSpec([problem.n, problem.n], tf.float64),
    tf.TensorSpec([], tf.int32),
  )
  generations = tf.constant(problem.budget // constants.popsize)
  for seed in range(count):
    matrix = tf.constant(problem.rotation(seed))
    best, evaluations = run(start(seed), matrix, generations)
    yield int(evaluations) if float(best) <= FTARGET else None


def _run_pycma(problem, count, peers):
  """Yields the same of pycma."""
  for seed in range(count):
    spec = {'name': problem.objective.__name__}
    if problem.is_rotated:
      spec['matrix'] = problem.rotation(seed).tolist()
    answer = peers.ask(
      'minimise',
      objective=spec,
      x0=problem.x0,
      sigma0=problem.sigma,
      popsize=problem.popsize,
      seed=seed,
      maxfevals=problem.budget,
      ftarget=FTARGET,
    )
    yield answer['evaluations'] if answer['best'] <= FTARGET else None


def median(runs) -> float:
  """Returns the median evaluations; a failed run counts as infinitely many."""
  return float(np.median([math.inf if run is None else run for run in runs]))


def ratio(ours, theirs) -> intervals.Interval:
  """Returns the ratio of medians, with its bootstrap interval over runs."""
  value = median(ours) / median(theirs)
  rng = np.random.default_rng(0)
  draws = [
    median(rng.choice(ours, len(ours)))
    / median(rng.choice(theirs, len(theirs)))
    for _ in range(1000)
  ]
  if not np.all(np.isfinite([value, *draws])):
    return intervals.Interval(value, math.nan, math.nan)
  low, high = np.quantile(draws, (0.025, 0.975))
  return intervals.Interval(value, float(low), float(high))


def rate(runs) -> intervals.Interval:
  """Returns the share of runs that succeed, with its 95 % interval."""
  return intervals.share(sum(run is not None for run in runs), len(runs))
