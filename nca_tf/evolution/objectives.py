"""Test functions for optimisers: [popsize, n] -> [popsize], minimum 0 or f_opt.

Every function computes in the type of its argument and avoids cancellation near
the minimum: 1 - cos t is written 2 sin^2(t / 2), and so on. Rastrigin's
textbook form is a multiple of 1e-6 in float32, so that an optimiser "reaches"
1e-8 by rounding; these forms keep their relative precision.

Hansen, Finck, Ros and Auger, Real-parameter black-box optimization
benchmarking: noiseless functions definitions (INRIA RR-6829, 2009/2010), in
short BBOB, for functions 1, 2, 8, 10 and 15 with Tosz and Tasy (section 0.2).

Letters: P popsize, n dimension.
"""

import math
import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from nca_tf import checks

SCHAFFER_MINIMUM = (10.0, 10.0)
BBOB_FUNCTIONS = (1, 2, 8, 10, 15)

Objective = Callable[[tf.Tensor], tf.Tensor]


def sphere(x):
  """Sum of squares; minimum 0 at 0."""
  return tf.reduce_sum(tf.square(x), -1)


def ellipsoid(x, condition: float = 1e6):
  """Squares with axis weights from 1 to `condition`; minimum 0 at 0."""
  condition = checks.real('condition', condition, above=0)
  weights = tf.constant(_powers(condition, x.shape[-1]), x.dtype)
  return tf.reduce_sum(weights * tf.square(x), -1)


def rosenbrock(x):
  """The curved valley, 100 (x_i^2 - x_i+1)^2 + (1 - x_i)^2; minimum 0 at 1."""
  head, tail = x[..., :-1], x[..., 1:]
  valley = 100 * tf.square(tf.square(head) - tail)
  return tf.reduce_sum(valley + tf.square(1 - head), -1)


def rastrigin(x):
  """Squares and a grid of local minima; minimum 0 at 0.

  10 n + sum(x^2 - 10 cos(2 pi x)), with 10 - 10 cos(2 t) = 20 sin^2(t).
  """
  waves = 20 * tf.square(tf.sin(math.pi * x))
  return tf.reduce_sum(tf.square(x) + waves, -1)


def schaffer(x):
  """Square of Schaffer's second function, moved; minimum 0 at (10, 10).

  With d = x - (10, 10), r = |d|^2 and q = 1 + 0.001 r, f is
      0.5 + (sin^2(d_0^2 - d_1^2) - 0.5) / q^2
    = (sin^2(d_0^2 - d_1^2) + 0.5 (q^2 - 1)) / q^2,
  where q^2 - 1 = 0.001 r (2 + 0.001 r). The first form is 0 in float32 within
  3e-3 of the minimum. Returned is f^2, of x [P, 2].
  """
  squares = tf.square(x - tf.constant(SCHAFFER_MINIMUM, x.dtype))
  near = 0.001 * (squares[..., 0] + squares[..., 1])  # 0.001 r
  wave = tf.square(tf.sin(squares[..., 0] - squares[..., 1]))
  return tf.square((wave + 0.5 * near * (2 + near)) / tf.square(1 + near))


def rotation(n: int, seed: int) -> np.ndarray:
  """Random orthogonal matrix, float64 [n, n], uniform (Haar).

  The factor Q of a matrix of normal numbers, with the signs that make it
  unique: Mezzadri, How to generate random matrices from the classical compact
  groups (2007).
  """
  n, seed = checks.integer('n', n, 1), checks.integer('seed', seed, 0)
  draws = np.random.default_rng((seed, n)).standard_normal((n, n))
  q, r = np.linalg.qr(draws)
  return q * np.sign(np.diag(r))


def rotated(objective: Objective, matrix) -> Objective:
  """Returns x -> objective(R x) for each row x.

  The matrix R [n, n] is an array, or a tensor of the type of x.
  """
  return lambda x: objective(_turn(x, tf.convert_to_tensor(matrix, x.dtype)))


class BbobInstance(typing.NamedTuple):
  """One function of BBOB with its shift and rotations.

  The numbers are drawn with NumPy, not with COCO's generator: an instance here
  is not COCO's of that number, but comes from the same distribution. A
  comparison gives both optimisers the same `BbobInstance`.
  """

  function: int  # 1, 2, 8, 10 or 15
  x_opt: np.ndarray  # [n], the minimum
  f_opt: float  # value there
  first: np.ndarray  # R, [n, n]
  second: np.ndarray  # Q, [n, n]

  @classmethod
  def make(cls, function: int, n: int, instance: int) -> 'BbobInstance':
    """Draws the instance of a number, the same on every machine.

    Args:
      function: one of `BBOB_FUNCTIONS`.
      n: dimension, at least 2.
      instance: at least 1.
    """
    function = checks.integer('function', function)
    if function not in BBOB_FUNCTIONS:
      raise ValueError(
        f'function must be one of {BBOB_FUNCTIONS}, got {function}'
      )
    n = checks.integer('n', n, 2)
    instance = checks.integer('instance', instance, 1)
    rng = np.random.default_rng((function, n, instance))
    seed = 2 * (100 * function + instance)  # Of the first rotation.
    reach = 3.0 if function == 8 else 4.0
    ratio = rng.standard_normal(2)
    f_opt = np.clip(np.round(100 * ratio[0] / ratio[1], 2), -1000, 1000)
    return cls(
      function,
      rng.uniform(-reach, reach, n),
      float(f_opt),
      rotation(n, seed),
      rotation(n, seed + 1),
    )


def bbob(instance: BbobInstance) -> Objective:
  """Returns the function of an instance.

  Example:
    f = objectives.bbob(objectives.BbobInstance.make(15, 10, instance=1))
    f(x)  # [P, 10] -> [P]; f_opt at x_opt

  The leaves of the instance may also be tensors, so that one compiled program
  serves all instances of a function.
  """

  def shifted(x):
    x_opt, f_opt, first, second = (
      tf.convert_to_tensor(part, x.dtype) for part in instance[1:]
    )
    return _BBOB[instance.function](x - x_opt, first, second) + f_opt

  return shifted


def oscillate(x):
  """Tosz: smooth, small irregularities that keep 0, sign and order."""
  positive = x > 0
  size = tf.abs(x)
  is_zero = tf.equal(size, 0)
  log = tf.math.log(tf.where(is_zero, tf.ones_like(x), size))
  fast, slow = (
    tf.where(positive, tf.constant(above, x.dtype), tf.constant(below, x.dtype))
    for above, below in ((10.0, 5.5), (7.9, 3.1))
  )
  wave = 0.049 * (tf.sin(fast * log) + tf.sin(slow * log))
  return tf.where(is_zero, x, tf.sign(x) * tf.exp(log + wave))


def skew(x, beta: float):
  """Tasy: x_i^(1 + beta (i-1)/(n-1) sqrt(x_i)) where x_i is positive."""
  beta = checks.real('beta', beta)
  share = tf.constant(np.linspace(0, 1, x.shape[-1]), x.dtype)
  positive = x > 0
  safe = tf.where(positive, x, tf.ones_like(x))
  return tf.where(positive, tf.pow(safe, 1 + beta * share * tf.sqrt(safe)), x)


def _bbob_rosenbrock(x):
  # z = s x + 1. With z for x, z^2 - z' is written in the offset from 1:
  # (u + 1)^2 - (v + 1) = u (u + 2) - v, which does not cancel near 0.
  offset = max(1.0, math.sqrt(x.shape[-1]) / 8) * x
  head, tail = offset[..., :-1], offset[..., 1:]
  valley = 100 * tf.square(head * (head + 2) - tail)
  return tf.reduce_sum(valley + tf.square(head), -1)


def _bbob_rastrigin(x, first, second):
  z = _turn(skew(oscillate(_turn(x, first)), 0.2), second)
  z = tf.constant(np.sqrt(_powers(10.0, x.shape[-1])), x.dtype) * z
  return rastrigin(_turn(z, first))


# By BBOB's number: of x - x_opt, R and Q.
_BBOB = {
  1: lambda x, first, second: sphere(x),
  2: lambda x, first, second: ellipsoid(oscillate(x)),
  8: lambda x, first, second: _bbob_rosenbrock(x),
  10: lambda x, first, second: ellipsoid(oscillate(_turn(x, first))),
  15: _bbob_rastrigin,
}


def _turn(x, matrix):
  """R x for each row x."""
  return tf.matmul(x, matrix, transpose_b=True)


def _powers(condition, n):
  """condition^((i-1)/(n-1)) for i = 1..n; 1 for n = 1."""
  return np.power(condition, np.linspace(0, 1, n)) if n > 1 else np.ones(1)
