"""Generations of CMA-ES per CPU-second, beside pycma and evosax.

All contestants work in turn, a chunk each, in every round of one run: what
else the machine does then falls on all of them. Time is the CPU time of the
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
from nca_tf.runs import progress

POPSIZE = 64
# A run starts again after so many generations, before the ellipsoid has
# converged; 0 lets one run go on from chunk to chunk, since pycma decomposes
# its matrix only every third generation at 1089 dimensions.
SPANS = {2: 50, 10: 150, 100: 500, 1089: 0}
DIMENSIONS = tuple(SPANS)
# Generations that a chunk must have at least, so that pycma's decompositions
# are in it.
_LEAST = {1089: 24}
# (n, precision, peer, least ratio of generations per CPU-second).
BARS = (
  (2, 'float64', 'pycma', 40.0),
  (10, 'float64', 'pycma', 10.0),
  (100, 'float64', 'pycma', 2.0),
  (1089, 'float64', 'pycma', 2.0),
  (1089, 'float32', 'pycma', 5.0),
  (2, 'float64', 'evosax', 0.9),
  (10, 'float64', 'evosax', 1.0),
  (100, 'float32', 'evosax', 1.0),
  (1089, 'float32', 'evosax', 10.0),
)
PRODUCT_BAR = 4.0  # A generation at 1089, in products of its sampling.


@dataclasses.dataclass(frozen=True)
class Contestant:
  """Something that can run generations.

  Attributes:
    advance: runs so many, returns the CPU seconds they took.
    least: fewest generations that make a chunk.
    step: a chunk is a multiple of it.
  """

  advance: Callable[[int], float]
  least: int
  step: int


def measure(n: int, peers, rounds: int, seconds: float, jit: bool = True):
  """Measures all contestants at one dimension.

  Args:
    n: dimension.
    peers: `PeerProcess` of `cma_es_peers.py`, or None for this library alone.
    rounds: how often each contestant works.
    seconds: CPU time of a chunk, about.
    jit: compile with XLA.

  Returns:
    For each contestant its generations per CPU-second in each round.
  """
  contestants = {
    f'nca_tf {precision}': _ours(n, precision, jit)
    for precision in ('float64', 'float32')
  }
  if n == max(DIMENSIONS):
    for precision in ('float64', 'float32'):
      contestants[f'product {precision}'] = _product(n, precision, jit)
  if peers is not None:
    for peer in ('pycma', 'evosax'):
      contestants[peer] = _peer(peers, peer, n)
  chunks = {
    name: _calibrate(contestant, seconds)
    for name, contestant in contestants.items()
  }
  speeds = {name: [] for name in contestants}
  with progress.Progress(f'speed, n = {n}', rounds, 'rounds') as bar:
    for i in range(rounds):
      for name, contestant in contestants.items():
        speeds[name].append(chunks[name] / contestant.advance(chunks[name]))
      bar.update(i + 1)
  return speeds


def ratio(speeds, name: str, other: str) -> intervals.Interval:
  """Median over the rounds of one speed over another, with its quartiles."""
  ratios = np.array(speeds[name]) / np.array(speeds[other])
  low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
  return intervals.Interval(float(middle), float(low), float(high))


def _calibrate(contestant, seconds):
  """How many generations take so long; the first, which compile, don't count.

  The chunk that is measured again is long enough to be told from the call.
  """
  contestant.advance(contestant.least)
  generations = contestant.least
  while True:
    took = contestant.advance(generations)
    if took > seconds / 4:
      break
    generations *= 4
  wanted = max(contestant.least, generations * seconds / took)
  return max(1, round(wanted / contestant.step)) * contestant.step


def _peer(peers, peer, n):
  span = SPANS.get(n, 0)
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

  return Contestant(advance, least, span or 1)


def _ours(n, precision, jit):
  """Whole runs on the ellipsoid, a chunk being one call of one graph."""
  settings = cma_es.Settings.make(n, popsize=POPSIZE, dtype=precision)
  span = SPANS.get(n, 0)
  first = cma_es.initial(settings, np.ones(n), 0.5)

  def run(state, count):
    return cma_es.run(settings, state, objectives.ellipsoid, count)

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
    latest[0].mean.numpy()  # The result is there, not only promised.
    return time.process_time() - began

  return Contestant(advance, span or 8, span or 1)


def _product(n, precision, jit):
  """The product z A' alone: what any full covariance has to do."""
  rng = np.random.default_rng(0)
  root = tf.constant(objectives.rotation(n, 0), precision)
  z = tf.constant(rng.standard_normal((POPSIZE, n)), precision)

  @tf.function(jit_compile=jit, autograph=False)
  def chunk(z, root, count):
    # Each product takes the last one's result, so that none can be left out;
    # a rotation keeps its size.
    def again(i, y):
      return i + 1, tf.matmul(y, root, transpose_b=True)

    return tf.while_loop(lambda i, _: i < count, again, (0, z))[1]

  def advance(count):
    count = tf.constant(count)
    began = time.process_time()
    chunk(z, root, count).numpy()
    return time.process_time() - began

  return Contestant(advance, 8, 1)
