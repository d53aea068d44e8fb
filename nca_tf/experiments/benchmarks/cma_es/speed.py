"""Generations of CMA-ES per CPU-second, beside pycma and evosax.

In every round each implementation runs one chunk, in turn, so that whatever
else the machine does slows all of them alike. Time is the CPU time of the
process on one core, with one thread.
"""

import itertools
import time

import numpy as np
import tensorflow as tf

from nca_tf.analysis import intervals
from nca_tf.evolution import cma_es
from nca_tf.evolution import objectives
from nca_tf.experiments.benchmarks import measurement
from nca_tf.experiments.benchmarks.cma_es import settings

POPSIZE = 64
# Fewest generations of a chunk, by dimension, so that pycma's decompositions
# are in it.
_LEAST = {1089: 24}


def measure(n: int, peers, config: settings.Config):
  """Measures all implementations at n dimensions.

  `peers` is the `PeerProcess` of `peers.py`, or None for this library alone.
  Returns for each implementation its generations per CPU-second in each round.
  """
  players = {}
  seconds, jit = config.chunk_seconds, config.jit != 'off'
  for precision in ('float64', 'float32'):
    players[f'nca_tf {precision}'] = _rate(*_ours(n, precision, jit), seconds)
  if n == max(settings.SPANS):
    for precision in ('float64', 'float32'):
      product = _product(n, precision, jit)
      players[f'product {precision}'] = _rate(product, 8, 1, seconds)
  if peers is not None:
    for peer in ('pycma', 'evosax'):
      players[peer] = _rate(*_peer(peers, peer, n), seconds)
  return measurement.alternate(f'speed, n = {n}', players, config.rounds)


def ratio(speeds, name: str, other: str) -> intervals.Interval:
  """Returns the median of one speed over another, with its quartiles."""
  return quartiles(np.array(speeds[name]) / np.array(speeds[other]))


def quartiles(values) -> intervals.Interval:
  """Returns the median with the quartiles around it."""
  low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
  return intervals.Interval(middle, low, high)


def _rate(advance, least, step, seconds):
  """Returns an iterator of generations per CPU-second, of a chunk each time.

  A chunk takes about `seconds`: trials find how many generations that is. The
  last trial takes a quarter of the time at least: the overhead of a call does
  not count. `advance` runs so many generations and returns the CPU seconds they
  took. A chunk is a multiple of `step` and has `least` generations or more.
  """
  advance(least)  # Compiles.
  generations = least
  while (took := advance(generations)) <= seconds / 4:
    generations *= 4
  wanted = max(least, generations * seconds / took)
  generations = max(1, round(wanted / step)) * step
  return (generations / advance(generations) for _ in itertools.count())


def _peer(peers, peer, n):
  span = settings.SPANS.get(n, 0)
  least = span or (_LEAST.get(n, 8) if peer == 'pycma' else 4)
  sizes = {'n': n, 'popsize': POPSIZE, 'span': span}

  def advance(generations):
    return peers.ask('advance', peer=peer, generations=generations, **sizes)

  return advance, least, span or 1


def _ours(n, precision, jit):
  """Returns whole runs on the ellipsoid; a chunk is one call of one graph."""
  constants = cma_es.Settings.make(n, popsize=POPSIZE, dtype=precision)
  span = settings.SPANS.get(n, 0)
  first = cma_es.initial(constants, np.ones(n), 0.5)

  def run(state, count):
    return cma_es.run(constants, state, objectives.ellipsoid, count)

  @tf.function(jit_compile=jit, autograph=False)
  def chunk(state, count):
    if not span:
      return run(state, count)

    def again(i, state):
      begin = first._replace(seed=state.seed + 1)
      return i + 1, run(begin, span)

    return tf.while_loop(lambda i, _: i < count // span, again, (0, state))[1]

  latest = first

  def advance(generations):
    nonlocal latest
    count = tf.constant(generations)
    began = time.process_time()
    latest = chunk(latest, count)
    latest.mean.numpy()  # Waits for the result.
    return time.process_time() - began

  return advance, span or 8, span or 1


def _product(n, precision, jit):
  """Returns the product z A' alone: any full covariance needs it."""
  rng = np.random.default_rng(0)
  root = tf.constant(objectives.rotation(n, 0), precision)
  z = tf.constant(rng.standard_normal((POPSIZE, n)), precision)

  @tf.function(jit_compile=jit, autograph=False)
  def chunk(z, root, count):
    # Each product takes the result of the one before, so that the compiler
    # cannot drop any; a rotation keeps its size.
    def again(i, y):
      return i + 1, tf.matmul(y, root, transpose_b=True)

    return tf.while_loop(lambda i, _: i < count, again, (0, z))[1]

  def advance(count):
    count = tf.constant(count)
    began = time.process_time()
    chunk(z, root, count).numpy()
    return time.process_time() - began

  return advance
