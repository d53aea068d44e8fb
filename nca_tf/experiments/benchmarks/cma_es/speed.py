"""Generations of CMA-ES per CPU-second, beside pycma and evosax.

In every round each implementation runs one chunk, in turn, so that whatever
else the machine does slows all of them alike. Time is the CPU time of the
process on one core, with one thread.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from nca_tf.analysis import intervals
from nca_tf.evolution import cma_es
from nca_tf.evolution import objectives
from nca_tf.experiments.benchmarks.cma_es import settings
from nca_tf.runs import progress

POPSIZE = 64
# Fewest generations of a chunk, by dimension, so that pycma's decompositions
# are in it.
_LEAST = {1089: 24}


@dataclasses.dataclass(frozen=True)
class Implementation:
  """Something that can run generations.

  Attributes:
    advance: Runs so many; returns the CPU seconds they took.
    least: Fewest generations of a chunk.
    step: A chunk is a multiple of it.
  """

  advance: Callable[[int], float]
  least: int
  step: int


def measure(n: int, peers, rounds: int, seconds: float, jit: bool = True):
  """Measures all implementations at one dimension.

  Args:
    n: Dimension.
    peers: `PeerProcess` of `peers.py`, or None for this library alone.
    rounds: Number of chunks of each implementation.
    seconds: CPU time of a chunk, about.
    jit: Whether to compile with XLA.

  Returns:
    For each implementation its generations per CPU-second in each round.
  """
  implementations = {
    f'nca_tf {precision}': _ours(n, precision, jit)
    for precision in ('float64', 'float32')
  }
  if n == max(settings.SPANS):
    for precision in ('float64', 'float32'):
      implementations[f'product {precision}'] = _product(n, precision, jit)
  if peers is not None:
    for peer in ('pycma', 'evosax'):
      implementations[peer] = _peer(peers, peer, n)
  chunks = {
    name: _calibrate(implementation, seconds)
    for name, implementation in implementations.items()
  }
  speeds = {name: [] for name in implementations}
  with progress.Progress(f'speed, n = {n}', rounds, 'rounds') as bar:
    for i in range(rounds):
      for name, implementation in implementations.items():
        speeds[name].append(chunks[name] / implementation.advance(chunks[name]))
      bar.update(i + 1)
  return speeds


def ratio(speeds, name: str, other: str) -> intervals.Interval:
  """Returns the median of one speed over another, with its quartiles."""
  ratios = np.array(speeds[name]) / np.array(speeds[other])
  low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
  return intervals.Interval(float(middle), float(low), float(high))


def _calibrate(implementation, seconds):
  """Returns how many generations take so long, compilation left out.

  The last trial takes a quarter of the time at least, so that the overhead of
  a call does not count.
  """
  implementation.advance(implementation.least)
  generations = implementation.least
  while True:
    took = implementation.advance(generations)
    if took > seconds / 4:
      break
    generations *= 4
  wanted = max(implementation.least, generations * seconds / took)
  return max(1, round(wanted / implementation.step)) * implementation.step


def _peer(peers, peer, n):
  span = settings.SPANS.get(n, 0)
  least = span or (_LEAST.get(n, 8) if peer == 'pycma' else 4)

  def advance(generations):
    return peers.ask(
      'advance',
      peer=peer,
      n=n,
      popsize=POPSIZE,
      span=span,
      generations=generations,
    )

  return Implementation(advance, least, span or 1)


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

  latest = [first]

  def advance(generations):
    count = tf.constant(generations)
    began = time.process_time()
    latest[0] = chunk(latest[0], count)
    latest[0].mean.numpy()  # Waits for the result.
    return time.process_time() - began

  return Implementation(advance, span or 8, span or 1)


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

  return Implementation(advance, 8, 1)
