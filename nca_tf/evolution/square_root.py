"""Square roots of covariance updates by matrix products alone.

XLA's eigen-decomposition on CPU is inexact and slow; products are neither.
Newton and Schulz's coupled iteration: Higham, Functions of matrices (2008),
section 6.3.

Letters: k columns of the update, n dimension.
"""

import tensorflow as tf

_ITERATIONS = 60  # Quadratic: a condition of 1e12 takes about 40.


def root_and_inverse(matrix, bound):
  """Principal square root of a matrix and the root's inverse.

  Args:
    matrix: [n, n], with positive eigenvalues (symmetric, or similar to such).
    bound: scalar, at least the largest eigenvalue.

  Returns:
    (root [n, n], inverse of the root [n, n]).
  """
  dtype = matrix.dtype
  size = matrix.shape[0]
  identity = tf.eye(size, dtype=dtype)
  # The iteration takes scaled eigenvalues between 0 and 3, best near 1.
  scale = tf.maximum(tf.linalg.trace(matrix) / size, bound / 2.5)
  # With Z_0 = I the first step needs no product by Z.
  scaled = matrix / scale
  rest = identity - scaled
  factor = identity + 0.5 * rest
  state = (
    tf.constant(0),
    tf.reduce_sum(rest * rest),
    tf.matmul(scaled, factor),  # Y, towards the root.
    factor,  # Z, towards its inverse.
  )

  def step(i, error, y, z):
    del error
    rest = identity - tf.matmul(z, y)
    factor = identity + 0.5 * rest
    return (
      i + 1,
      tf.reduce_sum(rest * rest),
      tf.matmul(y, factor),
      tf.matmul(factor, z),
    )

  _, _, y, z = _iterate(step, state)
  scale = tf.sqrt(scale)
  return y * scale, z / scale


def inverse(matrix, guess):
  """Inverse of a matrix by Newton's iteration from a near `guess`."""
  dtype = matrix.dtype
  identity = tf.eye(matrix.shape[0], dtype=dtype)

  def step(i, error, x):
    del error
    rest = identity - tf.matmul(matrix, x)
    return i + 1, tf.reduce_sum(rest * rest), x + tf.matmul(x, rest)

  return _iterate(step, (tf.constant(0), tf.constant(1, dtype), guess))[2]


def low_rank_root(vectors, weights, decay, bound):
  """Root of M = decay I + V' W V without forming an n x n matrix.

  With G = V V' and E = W G [k, k], every function f of M is
  f(decay) I + V' h(E) W V, h(x) = (f(decay + x) - f(decay)) / x, because
  (V' W V)^j = V' (W G)^(j-1) W V. For the root, h(x) is
  1 / (sqrt(decay + x) + sqrt(decay)): no division by the small x, no QR.
  And f(M) V' = V' f(decay I + E).

  Args:
    vectors: V, [k, n].
    weights: diagonal of W, [k].
    decay: scalar, positive.
    bound: scalar, at least the largest eigenvalue of M.

  Returns:
    (core [k, k], moved [k]): the root is sqrt(decay) I + V' core V, and the
    inverse root times the last of the vectors is V' moved.
  """
  dtype = vectors.dtype
  gram = tf.matmul(vectors, vectors, transpose_b=True)
  identity = tf.eye(vectors.shape[0], dtype=dtype)
  root, inverse_root = root_and_inverse(
    decay * identity + weights[:, None] * gram, bound
  )
  shift = tf.sqrt(decay)
  # 1 / (s + t) is near (1/s + 1/t) / 4 when s is near t.
  guess = 0.25 * (inverse_root + identity / shift)
  core = inverse(root + shift * identity, guess) * weights[None, :]
  return core, inverse_root[:, -1]


def _iterate(step, state):
  """Repeats a step until the error, squared in Frobenius' norm, is small.

  A step leaves 3/4 of the square of the error it saw: it ends at an error whose
  square is rounding.
  """
  dtype = state[1].dtype
  enough = tf.constant(1e-16 if dtype == tf.float64 else 1e-7, dtype)

  def is_far(i, error, *unused):
    return (i < _ITERATIONS) & (error > enough)

  return tf.while_loop(is_far, step, state)
