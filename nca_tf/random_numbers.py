"""Streams of random numbers, keyed by seed, purpose and step.

Every generator of the library comes from here, so that a resumed run needs no
generator's state and no two purposes or seeds share a stream. TensorFlow is not
imported; `random_tensors` makes tensors from the keys.
"""

import contextlib
import random
import zlib
from collections.abc import Iterator

import numpy as np


def key(seed, purpose, step=0):
  """Returns the key of one stream, int32 [2].

  Args:
    seed: The run's seed, an int.
    purpose: What the numbers are for, a string.
    step: An int, or an int32 scalar tensor inside a graph.

  Returns:
    A NumPy array, or a tensor when `step` is one.
  """
  word = zlib.crc32(f'{seed}/{purpose}'.encode()) & 0x7FFFFFFF
  if isinstance(step, int | np.integer):
    return np.array([word, step], np.int32)
  import tensorflow as tf

  return tf.stack([tf.constant(word, tf.int32), tf.cast(step, tf.int32)])


def derive(seed: int, purpose: str) -> int:
  """Returns the seed, 31 bits, of a part that has streams of its own."""
  return int(key(seed, purpose)[0])


def generator(seed: int, purpose: str, step: int = 0) -> np.random.Generator:
  """Returns NumPy's generator of one stream; see `key`."""
  return np.random.default_rng(key(seed, purpose, int(step)))


def policy_generator(episode_seed: int) -> np.random.Generator:
  """Returns the stream of a policy in an episode.

  Args:
    episode_seed: 63 bits from `environments.episode_seed`, which no key holds.
  """
  return np.random.default_rng((episode_seed, 1))


@contextlib.contextmanager
def weights(seed: int, purpose: str) -> Iterator[None]:
  """Gives the layers made within it first weights of a stream of their own.

  Keras' initialisers without a seed draw one from Python's global generator,
  which is left as it was found.

      with random_numbers.weights(seed, 'V'):
        vision = VisionModel()
  """
  state = random.getstate()
  random.seed(derive(seed, f'weights of {purpose}'))
  try:
    yield
  finally:
    random.setstate(state)
