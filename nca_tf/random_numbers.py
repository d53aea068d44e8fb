"""Random numbers that are a function of (seed, purpose, step).

A resumed run needs no generator state. TensorFlow's stateless samplers give
the same *bits* with and without XLA when asked for Philox, but turn them into
other floating-point numbers (seen with TensorFlow 2.21 on CPU), so the floats
are made here. Salmon et al., Parallel random numbers: as easy as 1, 2, 3
(2011); Box and Muller, A note on the generation of random normal deviates
(1958).
"""

import math
import zlib

import numpy as np
import tensorflow as tf


def key(seed, purpose, step=0):
  """Key of one stream, int32 [2].

  Args:
    seed: the run's seed, an int.
    purpose: what the numbers are for, a string.
    step: an int, or an int32 scalar tensor inside a graph.

  Returns:
    A NumPy array, or a tensor when `step` is one.
  """
  word = zlib.crc32(f'{seed}/{purpose}'.encode()) & 0x7FFFFFFF
  if isinstance(step, int | np.integer):
    return np.array([word, step], np.int32)
  return tf.stack([tf.constant(word, tf.int32), tf.cast(step, tf.int32)])


def uniform(key, shape, dtype=tf.float32):
  """Numbers strictly between 0 and 1, multiples of 2 ** -24."""
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
  """Standard normal numbers, by the transform of Box and Muller."""
  pairs = uniform(key, tf.concat([[2], shape], 0), dtype)
  radius = tf.sqrt(-2 * tf.math.log(pairs[0]))
  return radius * tf.cos(tf.cast(2 * math.pi, dtype) * pairs[1])


def paired_normal(key, shape, dtype=tf.float32):
  """Standard normal numbers from both halves of each pair, at half the cost.

  Not the numbers of `normal`. They are made in float32 whatever `dtype` is,
  so a search in float64 sees the same ones; none lies beyond 5.8.

  Args:
    key: int32 [2].
    shape: a static shape, Python ints.
    dtype: of the result.

  Returns:
    A tensor [*shape].
  """
  size = math.prod(shape)
  pairs = uniform(key, [2, (size + 1) // 2])
  radius = tf.sqrt(-2 * tf.math.log(pairs[0]))
  angle = tf.constant(2 * math.pi) * pairs[1]
  both = tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], 0)
  return tf.cast(tf.reshape(both[:size], shape), dtype)
