"""Random tensors from the keys of `random_numbers`, alike with and without XLA.

With Philox, TensorFlow's stateless samplers give the same *bits* with and
without XLA but make different floating-point numbers of them (TensorFlow 2.21
on CPU), so the floats are made here. Salmon et al., Parallel random numbers: as
easy as 1, 2, 3 (2011); Box and Muller, A note on the generation of random
normal deviates (1958).
"""

import math

import numpy as np
import tensorflow as tf


def uniform(key, shape, dtype=tf.float32):
  """Returns numbers strictly between 0 and 1, multiples of 2 ** -24."""
  bits = tf.random.stateless_uniform(
    shape, key, None, None, tf.int32, alg='philox'
  )
  # 23 high bits, and half a step up: 0 and 1 cannot occur.
  high = tf.bitwise.right_shift(
    tf.bitcast(bits, tf.uint32), tf.constant(9, tf.uint32)
  )
  whole = tf.cast(tf.bitcast(high, tf.int32), dtype)
  return (whole + 0.5) * tf.cast(2.0**-23, dtype)


def normal(key, shape, dtype=tf.float32):
  """Returns standard normal numbers, by the transform of Box and Muller."""
  pairs = uniform(key, tf.concat([[2], shape], 0), dtype)
  return _box_muller(pairs[0], pairs[1])


def normal_rows(key, shape, dtype=tf.float32):
  """Like `normal`, but no row depends on how many others there are.

  A single row [1, ...] gets the numbers of `normal`.
  """
  pairs = uniform(key, tf.concat([shape[:1], [2], shape[1:]], 0), dtype)
  return _box_muller(pairs[:, 0], pairs[:, 1])


def philox(key, count):
  """Returns random bits, uint32 [count], by Philox 4x32-10.

  The numbers are those of the published generator with `key` as its key and
  0, 1, 2, ... as its counter. XLA compiles these tensor operations to one loop
  that is several times faster than its `tf.random.stateless_uniform`.

  Args:
    key: int32 [2], from `key`.
    count: A Python int.

  Returns:
    The first words of all counters, then the second ones, and so on.
  """
  key = tf.bitcast(tf.convert_to_tensor(key, tf.int32), tf.uint32)
  counters = tf.cast(tf.range((count + 3) // 4), tf.uint32)
  zeros = tf.zeros_like(counters)
  words = (counters, zeros, zeros, zeros)
  for i in range(10):
    high_0, low_0 = _multiply(words[0], 0xD2511F53)
    high_1, low_1 = _multiply(words[2], 0xCD9E8D57)
    step = [0x9E3779B9 * i % 2**32, 0xBB67AE85 * i % 2**32]
    round_key = key + tf.constant(step, tf.uint32)
    words = (
      high_1 ^ words[1] ^ round_key[0],
      low_1,
      high_0 ^ words[3] ^ round_key[1],
      low_0,
    )
  return tf.concat(words, 0)[:count]


def paired_normal(key, shape, dtype=tf.float32):
  """Returns standard normal numbers; uses both of each Box-Muller pair.

  Much faster than `normal`, and other numbers. They are computed in float32
  whatever `dtype` is, so that searches in float32 and float64 get the same
  ones; none is beyond 5.8.

  Args:
    key: int32 [2], from `key`.
    shape: A static shape, Python ints.
    dtype: Of the result.

  Returns:
    A tensor [*shape].
  """
  size = math.prod(shape)
  half = (size + 1) // 2
  bits = philox(key, 2 * half)
  radius = tf.sqrt(-2 * tf.math.log(_fraction(bits[:half])))
  # An angle within 45 degrees of an axis, where the sine's series is short and
  # the cosine follows from it without cancellation, and one of four axes.
  axis = tf.bitwise.right_shift(bits[half:], tf.constant(30, tf.uint32))
  turn = _fraction(
    tf.bitwise.left_shift(bits[half:], tf.constant(2, tf.uint32))
  )
  angle = (turn - 0.5) * np.float32(math.pi / 2)
  square = angle * angle
  sine = 1.0
  for i in (72, 42, 20, 6):  # 1 - x^2 / 6 (1 - x^2 / 20 (1 - ...))
    sine = 1 - square * np.float32(1 / i) * sine
  sine *= angle
  sign = 1 - tf.cast(tf.bitcast(axis & 2, tf.int32), tf.float32)
  cosine = sign * tf.sqrt(1 - sine * sine)
  swaps = tf.bitcast(axis & 1, tf.int32) > 0
  one = radius * tf.where(swaps, sine, cosine)
  other = radius * tf.where(swaps, cosine, sine)
  both = tf.concat([one, other], 0)
  return tf.cast(tf.reshape(both[:size], shape), dtype)


def _box_muller(one, other):
  """Returns standard normal numbers of two uniform ones each."""
  radius = tf.sqrt(-2 * tf.math.log(one))
  return radius * tf.cos(tf.cast(2 * math.pi, one.dtype) * other)


def _fraction(bits):
  """Returns the 23 high bits of uint32 words, strictly between 0 and 1."""
  high = tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32))
  whole = tf.cast(tf.bitcast(high, tf.int32), tf.float32)
  return (whole + 0.5) * np.float32(2.0**-23)


def _multiply(words, constant):
  """Returns high and low halves of the 64-bit products of uint32 words."""
  product = tf.cast(words, tf.uint64) * tf.constant(constant, tf.uint64)
  high = tf.bitwise.right_shift(product, tf.constant(32, tf.uint64))
  return tf.cast(high, tf.uint32), tf.cast(product, tf.uint32)
