"""How many evaluations CMA-ES needs, beside pycma with the same start.

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
from nca_tf.runs import progress

TARGET = 1e-8
RATIO_BAR = (0.9, 1.1)  # Median evaluations over pycma's.
ROTATION_BAR = (0.95, 1.05)  # Rotated over plain ellipsoid.
_EVALUATIONS = 5000  # At most, per dimension.


@dataclasses.dataclass(frozen=True)
class Problem:
  """One line of the table: where both optimisers begin.

  Attributes:
    name: as `cma_es_peers.py` knows it.
    objective: the same as tensors.
    n: dimension.
    start: every coordinate of x0.
    sigma: first step size.
    popsize: None for the default.
    is_rotated: the seed's random rotation is applied to x.
    repeats: runs per seed. A rate of success needs many more than a median.
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
    """Name for the table."""
    rotated = 'rotated ' if self.is_rotated else ''
    return f'{rotated}{self.name} {self.n}'

  @property
  def is_rate(self) -> bool:
    """What counts is how often the minimum is found, not how soon."""
    return self.repeats > 1


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
  """The table's lines at the given dimensions, Rastrigin's last."""
  found = [problem for n in dimensions for problem in _problems(n)]
  for n, popsize in _RASTRIGIN.items():
    if n <= max(dimensions):
      problem = Problem('rastrigin', objectives.rastrigin, n, 3.0, 2.0, popsize)
      found.append(dataclasses.replace(problem, repeats=4))
  return found


def measure(
  problem: Problem,
  peers,
  seeds: int,
  jit: bool = True,
  precision: str = 'float64',
):
  """Runs both optimisers from the same starts.

  Args:
    problem: one of `problems`.
    peers: `PeerProcess` of `cma_es_peers.py`, or None.
    seeds: how many runs, times `problem.repeats`.
    jit: compile with XLA.
    precision: 'float64' or 'float32', of this library's search.

  Returns:
    For each optimiser the evaluations of its runs, None where it failed.
  """
  ours = _Runner(problem, jit, precision)
  names = ('nca_tf', 'pycma') if peers is not None else ('nca_tf',)
  found = {name: [] for name in names}
  count = seeds * problem.repeats
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
    ValueError: they differ.
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
  """An instance as the peers take it."""
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
    # One trace: TensorFlow warns of many, though each problem needs its own.
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
      self._settings, state, objective, generations, ftarget=TARGET
    )
    return state.best_fitness, state.evaluations

  def _first(self, seed):
    problem = self._problem
    x0 = problem.n * [problem.start]
    return cma_es.initial(self._settings, x0, problem.sigma, seed)

  def minimise(self, seed, matrix):
    """Evaluations to the target, or None."""
    generations = _EVALUATIONS * self._problem.n // self._settings.popsize
    best, evaluations = self._run(
      self._first(seed), tf.constant(matrix), tf.constant(generations)
    )
    return int(evaluations) if float(best) <= TARGET else None


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
    ftarget=TARGET,
  )
  return answer['evaluations'] if answer['best'] <= TARGET else None


def median(runs) -> float:
  """Median evaluations, a failed run counting as infinitely many."""
  return float(np.median([math.inf if run is None else run for run in runs]))


def ratio(ours, theirs) -> intervals.Interval:
  """Ratio of the medians with its bootstrap interval over the runs."""
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
  """Share of runs that succeed, with Wilson's 95 % interval.

  Wilson, Probable inference, the law of succession, and statistical inference
  (1927).
  """
  count, share = len(runs), np.mean([run is not None for run in runs])
  z = 1.959964
  centre = (share + z * z / (2 * count)) / (1 + z * z / count)
  half = (
    z
    * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    / (1 + z * z / count)
  )
  return intervals.Interval(float(share), centre - half, centre + half)
