"""CMA-ES: evaluations to a target beside pycma's, and long runs.

Expected numbers: medians of pycma 4.5.0 over 50 seeds (1 to 50; Rosenbrock at
40 dimensions: 25), its default options and population unless noted, sigma0
0.5, from x0 = 1 (Rosenbrock: 0) to a fitness of 1e-8; of the runs that reach
it.
"""

import math

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from nca_tf.evolution import cma_es
from nca_tf.evolution import objectives

SEEDS = {10: 25, 40: 9}  # At 40 the quartiles lie 1 % from the median.
PYCMA = {
  (10, 'sphere'): 1340,
  (10, 'ellipsoid'): 3930,
  (10, 'rotated'): 3990,
  (10, 'rosenbrock'): 5040,
  (40, 'sphere'): 4785,
  (40, 'ellipsoid'): 48030,
  (40, 'rotated'): 48022.5,
  (40, 'rosenbrock'): 61125,
}


class Problems:
  """All four functions in one compiled program per dimension and precision."""

  def __init__(self, n, dtype='float64'):
    self.settings = cma_es.Settings.make(n, dtype=dtype)
    self._run = tf.function(self._graph, jit_compile=True, autograph=False)
    plain, turn = np.eye(n), objectives.rotation(n, seed=3)
    weights = np.power(1e6, np.linspace(0, 1, n))
    self._data = {
      'sphere': (np.ones(n), plain, 0.0),
      'ellipsoid': (weights, plain, 0.0),
      'rotated': (weights, turn, 0.0),
      'rosenbrock': (np.ones(n), plain, 1.0),
    }

  def run(self, name, seed, ftarget=1e-8, generations=20_000, x0=None):
    start = 0.0 if name == 'rosenbrock' else 1.0
    x0 = np.full(self.settings.n, start if x0 is None else x0)
    state = cma_es.initial(self.settings, x0, 0.5, seed)
    data = [tf.constant(part) for part in self._data[name]]
    limits = tf.constant(ftarget, 'double'), tf.constant(generations)
    return self._run(state, *limits, *data)

  def _graph(self, state, ftarget, generations, weights, turn, bend):
    def fitness(x):
      x = tf.cast(x, tf.float64)
      squares = tf.matmul(x, turn, transpose_b=True) ** 2
      quadratic = tf.linalg.matvec(squares, weights)
      return tf.where(bend > 0, objectives.rosenbrock(x), quadratic)

    return cma_es.run(self.settings, state, fitness, generations, ftarget)


@pytest.fixture(scope='module', params=[10, 40])
def medians(request):
  problems = Problems(request.param)
  result = {}
  for name in ('sphere', 'ellipsoid', 'rotated', 'rosenbrock'):
    states = [
      problems.run(name, seed) for seed in range(SEEDS[problems.settings.n])
    ]
    costs = [
      int(s.evaluations) for s in states if float(s.best_fitness) <= 1e-8
    ]
    # Rosenbrock has a local minimum: pycma reaches the other in 71 of 75.
    assert len(costs) >= (0.75 if name == 'rosenbrock' else 1) * len(states)
    result[name] = float(np.median(costs))
  return request.param, result


def test_evaluations_are_those_of_pycma(medians):
  n, ours = medians
  ratios = {name: cost / PYCMA[n, name] for name, cost in ours.items()}
  assert all(0.9 <= ratio <= 1.1 for ratio in ratios.values()), ratios


def test_a_rotation_costs_nothing(medians):
  _, ours = medians
  assert 0.95 <= ours['rotated'] / ours['ellipsoid'] <= 1.05, ours


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_ten_times_longer_than_needed(dtype):
  problems = Problems(10, dtype)
  for name in ('sphere', 'rotated', 'rosenbrock'):
    reached = problems.run(name, seed=1)
    generations = 10 * int(reached.generation)
    state = problems.run(name, 1, ftarget=-1, generations=generations)
    assert int(state.generation) == generations
    assert all(np.all(np.isfinite(field)) for field in state)
    assert float(state.best_fitness) <= float(reached.best_fitness) <= 1e-8


def test_rastrigin_as_often_as_pycma():
  # pycma: 32 of 50 at n = 10, popsize 200, x0 = 3, sigma0 = 2.
  low, high = scipy.stats.binomtest(32, 50).proportion_ci(method='exact')
  settings = cma_es.Settings.make(10, 200)

  @tf.function(jit_compile=True, autograph=False)
  def run(state):
    return cma_es.run(settings, state, objectives.rastrigin, 400, 1e-8)

  states = [
    run(cma_es.initial(settings, np.full(10, 3.0), 2, seed))
    for seed in range(50)
  ]
  rate = np.mean([float(state.best_fitness) <= 1e-8 for state in states])
  assert low <= rate <= high


def test_the_shifted_schaffer_function():
  settings = cma_es.Settings.make(2, 64, mu=0.25)

  @tf.function(jit_compile=True, autograph=False)
  def run(state):
    def is_far(*fields):
      state = cma_es.State(*fields)
      error = tf.reduce_max(tf.abs(state.mean - objectives.SCHAFFER_MINIMUM))
      return (error >= 1e-3) & (state.generation < 63)

    def step(*fields):
      state = cma_es.State(*fields)
      return cma_es.step(settings, state, objectives.schaffer)[0]

    return cma_es.State(*tf.while_loop(is_far, step, state))

  generations = []
  for seed in range(100):
    x0 = np.random.default_rng(seed).normal(size=2)
    state = run(cma_es.initial(settings, x0, 5.0, seed))
    error = np.max(np.abs(state.mean.numpy() - objectives.SCHAFFER_MINIMUM))
    generations.append(int(state.generation) if error < 1e-3 else math.inf)
  assert np.sum(np.isfinite(generations)) >= 95
  assert np.median(generations) <= 25
