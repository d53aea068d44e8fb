"""CMA-ES as pure tensor functions: ask, tell and a whole run in one graph.

Hansen, The CMA evolution strategy: a tutorial (2023), arXiv:1604.00772v2;
equation numbers are its own. The covariance C is kept as a root A, C = A A',
and updated exactly by the root of a small matrix: no eigen-decomposition, no
lazy update, and C stays positive definite. The paths are kept in the space of
the standard normal z, x = mean + sigma A z. After the first generation A is
C^(1/2) times a rotation, so p_sigma lives in a rotated frame, as with
Cholesky factors; its length is distributed as the tutorial's.

  settings = Settings.make(10)
  state = initial(settings, np.ones(10), 0.5, seed=3)
  x = ask(settings, state)
  state = tell(settings, state, x, tf.reduce_sum(x**2, 1))

Numbers that are not finite: x0 has none. A candidate failed if its fitness is
NaN or +inf or any of its coordinates is NaN or infinite, whatever its fitness:
it has no weight and is never the best. A fitness of -inf is the lowest there
can be: such a candidate is the best, and every `ftarget` is reached.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from nca_tf import checks
from nca_tf import random_numbers
from nca_tf import random_tensors
from nca_tf.evolution import arrays
from nca_tf.evolution import square_root
from nca_tf.evolution.settings import Settings

__all__ = [
  'Settings',
  'State',
  'ask',
  'initial',
  'limit_stds',
  'run',
  'stds',
  'step',
  'tell',
]

_COMPARED = 512  # Largest population that is ranked by comparing all pairs.


class State(NamedTuple):
  """Everything that a search carries from one generation to the next."""

  mean: tf.Tensor  # m, [n]
  sigma: tf.Tensor  # []
  root: tf.Tensor  # A, [n, n]; the diagonal variant: [n]
  path_sigma: tf.Tensor  # p_sigma, [n], in the space of z
  path_c: tf.Tensor  # A^-1 p_c, [n]
  generation: tf.Tensor  # int32 []
  evaluations: tf.Tensor  # int64 []
  best_x: tf.Tensor  # [n]
  best_fitness: tf.Tensor  # float64 []; inf before the first generation
  best_evaluation: tf.Tensor  # int64 []; counted from 1
  seed: tf.Tensor  # int32 []; first word of the random numbers' key


def initial(settings: Settings, x0, sigma0, seed: int = 0) -> State:
  """State of generation 0.

  Args:
    settings: constants.
    x0: first mean, [n].
    sigma0: first step size, positive; x0 +- 2 sigma0 should hold the minimum.
    seed: an int; equal seeds give equal searches.

  Raises:
    ValueError: x0 has another shape or is not finite, or sigma0 is not
      positive, in the type of the search.
  """
  n, dtype = settings.n, tf.as_dtype(settings.dtype)
  seed = checks.integer('seed', seed)
  mean = arrays.start(settings, x0)
  ones = tf.ones([n], dtype)
  return State(
    mean=mean,
    sigma=arrays.first_step(settings, sigma0),
    root=ones if settings.is_diagonal else tf.linalg.diag(ones),
    path_sigma=tf.zeros([n], dtype),
    path_c=tf.zeros([n], dtype),
    generation=tf.zeros([], tf.int32),
    evaluations=tf.zeros([], tf.int64),
    best_x=tf.identity(mean),
    best_fitness=tf.constant(math.inf, tf.float64),
    best_evaluation=tf.zeros([], tf.int64),
    seed=tf.constant(random_numbers.key(seed, 'cma_es')[0], tf.int32),
  )


def ask(settings: Settings, state: State) -> tf.Tensor:
  """Candidates [P, n] of this generation, a function of the state alone."""
  return _place(state, _stretch(settings, state, _draw(settings, state)))


def tell(settings: Settings, state: State, x, fitness) -> State:
  """The next state, from candidates and their fitness.

  Candidates other than those of `ask`, or in another order, are allowed; their
  z then costs a solve, O(n^3). A generation in which all fitness is equal
  carries no information: only the counters change.

  Args:
    settings: constants.
    state: as given to `ask`.
    x: [P, n]; rows that are not finite failed.
    fitness: [P], any float or integers, minimised. NaN and +inf mark rows that
      failed: they get no weight, neither positive nor negative.

  Raises:
    ValueError: a shape differs.
  """
  x = tf.convert_to_tensor(x, settings.dtype)
  shape = (settings.popsize, settings.n)
  if x.shape != shape:
    raise ValueError(f'x must be of shape {shape}, got {tuple(x.shape)}')
  fitness = arrays.fitness(settings, fitness, x)
  z = _draw(settings, state)
  y = _stretch(settings, state, z)
  # In one graph with `ask`, the compiler computes these two only once.
  z, y = tf.cond(
    tf.reduce_all(x == _place(state, y)),
    lambda: (z, y),
    lambda: _whiten(settings, state, x),
  )
  return _update(settings, state, z, y, x, fitness)


def run(
  settings: Settings, state: State, f, generations, ftarget=None
) -> State:
  """Runs generations in one loop; call it inside a tf.function.

  Args:
    settings: constants.
    state: where to begin.
    f: fitness, a function of [P, n] that gives [P], of any float type.
    generations: how many, an int or an int32 tensor.
    ftarget: ends the loop once the best fitness is at most this, a float or a
      tensor.

  Returns:
    The last state. After convergence it stays finite however long it runs.
  """
  if not tf.is_tensor(generations):
    generations = checks.integer('generations', generations, 0, 2**31 - 1)
  if ftarget is not None and not tf.is_tensor(ftarget):
    ftarget = tf.constant(ftarget, tf.float64)
  end = state.generation + generations

  def is_running(*fields):
    state = State(*fields)
    running = state.generation < end
    if ftarget is not None:
      running &= state.best_fitness > tf.cast(ftarget, tf.float64)
    return running

  return tf.while_loop(
    is_running, lambda *fields: step(settings, State(*fields), f)[0], state
  )


def step(settings: Settings, state: State, f) -> tuple[State, tf.Tensor]:
  """One generation of its own candidates: state, fitness [P].

  The fitness is +inf where a candidate is not finite.
  """
  z = _draw(settings, state)
  y = _stretch(settings, state, z)
  x = _place(state, y)
  fitness = arrays.fitness(settings, f(x), x)
  return _update(settings, state, z, y, x, fitness), fitness


def limit_stds(settings: Settings, state: State, largest) -> State:
  """Shrinks the coordinates whose standard deviation is larger than `largest`.

  The step size takes what all of them have in common; its path then begins
  anew, since it asks for a longer step than there may be. The path of the
  covariance, kept in the space of z, shrinks with its coordinates.

  Args:
    settings: constants.
    state: of any generation.
    largest: float64 [n], inf where there is no limit.
  """
  largest = tf.constant(largest, settings.dtype)
  scale = tf.minimum(largest / stds(settings, state), 1)
  common = tf.reduce_max(scale)
  scale = scale / common
  root = state.root * (scale if settings.is_diagonal else scale[:, None])
  return state._replace(
    sigma=state.sigma * common,
    root=root,
    path_sigma=tf.where(common < 1, tf.zeros_like(scale), state.path_sigma),
  )


def stds(settings: Settings, state: State) -> tf.Tensor:
  """Standard deviation of each coordinate of the candidates, [n]."""
  root = tf.abs(state.root)
  if not settings.is_diagonal:
    root = tf.norm(root, axis=1)
  return state.sigma * root


def _draw(settings, state):
  """z_k of equation 38, [P, n]."""
  key = tf.stack([state.seed, state.generation])
  shape = [settings.popsize, settings.n]
  return random_tensors.paired_normal(key, shape, settings.dtype)


def _stretch(settings, state, z):
  """y_k of equation 39: rows A z, [P, n]."""
  if settings.is_diagonal:
    return z * state.root
  return tf.matmul(z, state.root, transpose_b=True)


def _place(state, y):
  """x_k of equation 40, [P, n]."""
  return state.mean + state.sigma * y


def _whiten(settings, state, x):
  """Returns z and y of candidates that `ask` has not given."""
  y = (x - state.mean) / state.sigma
  y = tf.where(tf.math.is_finite(y), y, 0)  # Rows of NaN that failed.
  if settings.is_diagonal:
    return y / state.root, y
  z = tf.linalg.solve(state.root, tf.transpose(y))
  return tf.transpose(z), y


def _recombination_weights(settings, fitness):
  """Returns weights by rank, [P], and whether the fitness differs at all."""
  popsize = settings.popsize
  valid = fitness < math.inf  # False for NaN too.
  fitness = tf.where(valid, fitness, math.inf)
  if popsize <= _COMPARED:  # Comparisons vectorise, a sort does not.
    before = np.tril(np.ones([popsize, popsize], bool), -1)
    ahead = (fitness < fitness[:, None]) | (
      (fitness == fitness[:, None]) & before
    )
    rank = tf.reduce_sum(tf.cast(ahead, tf.int32), 1)
  else:
    order = tf.argsort(fitness, stable=True)
    rank = tf.math.invert_permutation(order)
  table = tf.constant(settings.weights, settings.dtype)
  weights = tf.where(valid, tf.gather(table, rank), 0)
  # Failed rows may leave fewer than mu: what is left still sums to one.
  total = tf.reduce_sum(tf.maximum(weights, 0))
  weights = tf.where(weights > 0, weights / total, weights)
  best = tf.reduce_min(fitness)
  worst = tf.reduce_max(tf.where(valid, fitness, -math.inf))
  return weights, best < worst


def _update(settings, state, z, y, x, fitness):
  """Equations 41 to 47, in the space of z."""
  dtype = z.dtype
  weights, informative = _recombination_weights(settings, fitness)
  positive = tf.maximum(weights, 0)
  c1, cmu, cc, cs = settings.c1, settings.cmu, settings.cc, settings.cs

  mean = state.mean + state.sigma * tf.linalg.matvec(y, positive, True)  # 42
  z_mean = tf.linalg.matvec(z, positive, True)
  path_sigma = (1 - cs) * state.path_sigma + (
    math.sqrt(cs * (2 - cs) * settings.mueff) * z_mean
  )  # 43
  length = tf.norm(path_sigma)
  growth = cs / settings.ds * (length / settings.chi_n - 1)
  sigma = state.sigma * tf.exp(tf.minimum(growth, 1))  # 44

  # h_sigma: 1 unless the path is longer than a random walk's would often be.
  count = tf.cast(state.generation + 1, dtype)
  expected = tf.sqrt(1 - tf.exp(2 * math.log(1 - cs) * count))
  longest = (1.4 + 2 / (settings.n + 1)) * settings.chi_n
  is_short = tf.cast(length < longest * expected, dtype)
  path_c = (1 - cc) * state.path_c + is_short * (
    math.sqrt(cc * (2 - cc) * settings.mueff) * z_mean
  )  # 45

  # 46 and 47, without the A on both sides.
  squares = tf.maximum(tf.reduce_sum(z * z, 1), 1e-30)
  columns = cmu * tf.where(weights < 0, weights * settings.n / squares, weights)
  decay = (
    1
    - c1
    - cmu * tf.reduce_sum(weights)
    + (1 - is_short) * (c1 * cc * (2 - cc))
  )
  learns = informative & (sigma > 0) & _is_finite(sigma) & _is_finite(mean)
  root, path_c, learns = _update_root(
    settings, state.root, z, y, path_c, columns, decay, learns
  )
  moved = [mean, sigma, root, path_sigma, path_c]
  kept = [state.mean, state.sigma, root, state.path_sigma, state.path_c]
  return State(
    *[tf.where(learns, *pair) for pair in zip(moved, kept, strict=True)],
    state.generation + 1,
    state.evaluations + settings.popsize,
    *_best(state, x, fitness),
    state.seed,
  )


def _update_root(settings, root, z, y, path_c, columns, decay, learns):
  """A_new = A M^(1/2) with M = decay I + V' W V, V the rows of z and path_c.

  Returns the root, the path in the new space, and whether all is finite; if
  not, the root is the old one. Replacing what enters the product then costs
  less than a choice between two results of n x n numbers.
  """
  vectors = tf.concat([z, path_c[None]], 0)  # [K, n]
  columns = tf.concat([columns, [settings.c1]], 0)  # [K]
  if settings.is_diagonal:
    scale = tf.sqrt(decay + tf.linalg.matvec(vectors**2, columns, True))
    learns &= _is_finite(scale)
    return tf.where(learns, root * scale, root), path_c / scale, learns
  squares = tf.reduce_sum(vectors**2, 1)
  bound = decay + tf.reduce_sum(tf.maximum(columns, 0) * squares)
  if _is_dense(settings):
    matrix = tf.matmul(vectors * columns[:, None], vectors, True)
    small, inverse = square_root.root_and_inverse(
      tf.linalg.set_diag(matrix, tf.linalg.diag_part(matrix) + decay), bound
    )
    learns &= _is_finite(small) & _is_finite(inverse)
    small = tf.where(learns, small, tf.eye(settings.n, dtype=z.dtype))
    path_c = tf.linalg.matvec(inverse, path_c)
    return tf.matmul(root, small), path_c, learns
  core, weights = square_root.low_rank_root(vectors, columns, decay, bound)
  learns &= _is_finite(core) & _is_finite(weights)
  images = tf.concat([y, tf.linalg.matvec(root, path_c)[None]], 0)  # A V'
  change = tf.matmul(images, tf.where(learns, core, 0), True)  # [n, K]
  shift = tf.where(learns, tf.sqrt(decay), 1)
  root = shift * root + tf.matmul(change, vectors)
  return root, tf.linalg.matvec(vectors, weights, True), learns


def _is_dense(settings):
  """Whether the n x n root costs less than that of K x K, in products."""
  n, k = settings.n, settings.popsize + 1
  return 15 * n**3 + n * n * k < 20 * k**3 + n * k * k + 2 * n * n * k


def _best(state, x, fitness):
  """Returns the best candidate so far, its fitness and its evaluation."""
  fitness = tf.cast(fitness, tf.float64)
  fitness = tf.where(fitness < math.inf, fitness, math.inf)
  index = tf.argmin(fitness)
  lowest = tf.gather(fitness, index)
  better = lowest < state.best_fitness
  place = state.evaluations + index + 1
  return (
    tf.where(better, tf.gather(x, index), state.best_x),
    tf.where(better, lowest, state.best_fitness),
    tf.where(better, place, state.best_evaluation),
  )


def _is_finite(tensor):
  """Whether all numbers of a tensor are finite."""
  return tf.reduce_all(tf.math.is_finite(tensor))
