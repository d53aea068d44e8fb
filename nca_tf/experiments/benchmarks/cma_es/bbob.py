"""CMA-ES with restarts on functions of BBOB, beside pycma.

Functions 1, 2, 8, 10 and 15 of Hansen et al. (2009), as instances of
`objectives.BbobInstance`: both optimisers get the same ones. Both restart
with twice the candidates (IPOP) from the same sequence of points, uniform in
[-4, 4]^n, with the first step 2, until the target or the budget is reached.
"""

import itertools

import numpy as np
import tensorflow as tf

from nca_tf.evolution import many_searches
from nca_tf.evolution import objectives
from nca_tf.evolution import stopping
from nca_tf.experiments.benchmarks import measurement
from nca_tf.experiments.benchmarks.cma_es import quality
from nca_tf.experiments.benchmarks.cma_es import settings

FTARGET = 1e-8  # Above f_opt.
SIGMA = 2.0
RESTARTS = 9


def measure(function: int, n: int, peers, config: settings.Config):
  """Runs both optimisers on every instance of a function at n dimensions.

  `peers` is the `PeerProcess` of `peers.py`, or None. Returns, by optimiser,
  dicts, one per instance: evaluations, error (best value above f_opt), found.
  """

  def objective(x, *instance):
    # 1e-8 is lost beside f_opt in float32.
    placed = objectives.BbobInstance(function, *instance)
    return objectives.bbob(placed)(tf.cast(x, tf.float64))

  searches = many_searches.ManySearches(
    objective, SIGMA, jit=config.jit != 'off', dtype=config.precision
  )

  def prepare(number):
    instance = objectives.BbobInstance.make(function, n, number)
    rng = np.random.default_rng((number, n, function))
    starts = rng.uniform(-4, 4, (RESTARTS + 1, n))
    limits = {
      'maxfevals': n * config.budget,
      'ftarget': instance.f_opt + FTARGET,
    }
    return instance, starts, limits

  def run_ours(number):
    instance, starts, limits = prepare(number)
    data = [tf.constant(part, tf.float64) for part in instance[1:]]
    options = stopping.Options.of(limits)
    found = searches.minimise(starts, number, options, data)
    return _row(found.evaluations, found.best, instance)

  def run_pycma(number):
    instance, starts, limits = prepare(number)
    found = peers.ask(
      'minimise_with_restarts',
      objective=quality.bbob_spec(instance),
      starts=starts.tolist(),
      sigma0=SIGMA,
      seed=number,
      **limits,
    )
    return _row(found['evaluations'], found['best'], instance)

  players = {'nca_tf': map(run_ours, itertools.count(1))}
  if peers is not None:
    players['pycma'] = map(run_pycma, itertools.count(1))
  label = f'bbob f{function}, n = {n}'
  return measurement.alternate(label, players, config.instances)


def expected_running_time(rows) -> float:
  """Returns the evaluations of all runs over the successes; inf without one."""
  successes = sum(row['found'] for row in rows)
  total = sum(row['evaluations'] for row in rows)
  return total / successes if successes else float('inf')


def _row(evaluations, best, instance):
  error = best - instance.f_opt
  return {
    'evaluations': int(evaluations),
    'error': float(error),
    'found': bool(error <= FTARGET),
  }
