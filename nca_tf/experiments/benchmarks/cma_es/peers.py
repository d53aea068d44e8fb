"""pycma and evosax, in a process of their own that answers requests.

`peer_server` runs this file in an environment that has the peers but not this
library. It therefore has NumPy forms of the objectives; the benchmark compares
them with `nca_tf.evolution.objectives` before it measures.
"""

import functools
import math
import time

import numpy as np


def make_objective(spec):
  """Returns the function [P, n] -> [P] that a request describes.

  Args:
    spec: {'name': ..., 'matrix': R or None}, or {'name': 'bbob', ...} with
      the fields of `objectives.BbobInstance`.
  """
  if spec['name'] == 'bbob':
    x_opt, *turns = (np.array(spec[k]) for k in ('x_opt', 'first', 'second'))
    return lambda x: _bbob(spec['function'], x - x_opt, *turns) + spec['f_opt']
  objective = _OBJECTIVES[spec['name']]
  if spec.get('matrix') is None:
    return objective
  matrix = np.array(spec['matrix'])
  return lambda x: objective(x @ matrix.T)


def _sphere(x):
  return np.sum(np.square(x), -1)


def _ellipsoid(x):
  return np.square(x) @ np.power(1e6, np.linspace(0, 1, x.shape[-1]))


def _rosenbrock(x):
  valley = 100 * np.square(np.square(x[:, :-1]) - x[:, 1:])
  return np.sum(valley + np.square(1 - x[:, :-1]), -1)


def _rastrigin(x):
  return np.sum(np.square(x) + 20 * np.square(np.sin(math.pi * x)), -1)


_OBJECTIVES = {
  'sphere': _sphere,
  'ellipsoid': _ellipsoid,
  'rosenbrock': _rosenbrock,
  'rastrigin': _rastrigin,
}


def _bbob(function, x, first, second):
  if function == 1:
    return _sphere(x)
  if function == 2:
    return _ellipsoid(_oscillate(x))
  if function == 8:
    return _rosenbrock(max(1, math.sqrt(x.shape[-1]) / 8) * x + 1)
  turned = _oscillate(x @ first.T)
  if function == 10:
    return _ellipsoid(turned)
  share = np.linspace(0, 1, x.shape[-1])
  positive = np.maximum(turned, 0)
  skewed = np.where(
    turned > 0, positive ** (1 + 0.2 * share * np.sqrt(positive)), turned
  )
  scaled = np.sqrt(10.0**share) * (skewed @ second.T)
  return _rastrigin(scaled @ first.T)


def _oscillate(x):
  log = np.log(np.where(x == 0, 1, np.abs(x)))
  fast, slow = np.where(x > 0, 10, 5.5), np.where(x > 0, 7.9, 3.1)
  wave = 0.049 * (np.sin(fast * log) + np.sin(slow * log))
  return np.where(x == 0, 0, np.sign(x) * np.exp(log + wave))


def values(objective, x):
  """Returns an objective's values at x [P, n]."""
  return make_objective(objective)(np.array(x)).tolist()


def minimise(
  objective, x0, sigma0, popsize, seed, maxfevals, ftarget, bounds=None
):
  """Runs pycma once; returns the evaluations used and the best value."""
  import cma

  options = {'maxfevals': maxfevals, 'ftarget': ftarget, **_quiet(seed)}
  if popsize:
    options['popsize'] = popsize
  if bounds:
    options['bounds'] = bounds
  es = cma.CMAEvolutionStrategy(x0, sigma0, options)
  f = make_objective(objective)
  while not es.stop():
    x = es.ask()
    es.tell(x, f(np.asarray(x)).tolist())
  return {'evaluations': int(es.countevals), 'best': float(es.best.f)}


def minimise_with_restarts(objective, starts, sigma0, seed, maxfevals, ftarget):
  """Runs pycma with IPOP: each restart has twice the candidates of the last.

  The arguments are those of `many_searches`; the budget is for all runs.
  """
  used, best, popsize = 0, math.inf, 4 + int(3 * math.log(len(starts[0])))
  for i, x0 in enumerate(starts):
    answer = minimise(
      objective, x0, sigma0, popsize, seed + 1000 * i, maxfevals - used, ftarget
    )
    used += answer['evaluations']
    best = min(best, answer['best'])
    popsize *= 2
    if best <= ftarget or used + popsize > maxfevals:
      break
  return {'evaluations': used, 'best': best}


def _quiet(seed):
  # pycma takes its seed from the clock when given 0.
  return {'verbose': -9, 'verb_log': 0, 'seed': seed + 1}


def _pycma(n, popsize, span):
  """Returns pycma's `advance`: whole runs on the ellipsoid, of `span`.

  A run continues from call to call where the span is 0.
  """
  import cma

  weights = np.power(1e6, np.linspace(0, 1, n))
  es, runs = None, 0

  def advance(generations):
    nonlocal es, runs
    seconds = 0.0
    length = span or generations
    for _ in range(max(1, generations // length)):
      if span or es is None:
        runs += 1
        options = {'popsize': popsize, **_quiet(runs)}
        es = cma.CMAEvolutionStrategy(n * [1.0], 0.5, options)
      began = time.process_time()
      for _ in range(length):
        x = es.ask()
        es.tell(x, (np.square(np.asarray(x)) @ weights).tolist())
      seconds += time.process_time() - began
    return seconds

  return advance


def _evosax(n, popsize, span):
  """Returns the same of evosax in float32: a chunk is one compiled call."""
  import jax
  import jax.numpy as jnp
  from evosax import algorithms

  es = algorithms.CMA_ES(popsize, jnp.zeros(n))
  params = es.default_params.replace(std_init=0.5)
  weights = jnp.array(np.power(1e6, np.linspace(0, 1, n)), jnp.float32)

  def generation(i, carry):
    key, state = carry
    key, ask_key, tell_key = jax.random.split(key, 3)
    x, state = es.ask(ask_key, state, params)
    fitness = jnp.square(x) @ weights
    return key, es.tell(tell_key, x, fitness, state, params)[0]

  def first(key):
    return es.init(key, jnp.ones(n), params)

  def run(i, carry):
    key, total = carry
    key, _ = jax.random.split(key)
    state = jax.lax.fori_loop(0, span, generation, (key, first(key)))[1]
    return key, total + state.mean

  @jax.jit
  def chunk(count, carry):
    return jax.lax.fori_loop(0, count, run if span else generation, carry)

  key = jax.random.key(0)
  total, state = jnp.zeros(n), first(key)

  def advance(generations):
    nonlocal key, state
    began = time.process_time()
    if span:
      key, mean = chunk(max(1, generations // span), (key, total))
    else:
      key, state = chunk(generations, (key, state))
      mean = state.mean
    mean.block_until_ready()
    return time.process_time() - began

  return advance


@functools.cache
def _make(peer, n, popsize, span):
  return {'pycma': _pycma, 'evosax': _evosax}[peer](n, popsize, span)


def advance(peer, n, popsize, span, generations):
  """Runs so many generations of a peer; returns the CPU seconds they took."""
  return _make(peer, n, popsize, span)(generations)
