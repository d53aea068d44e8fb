"""Random streams: distribution, keys, and the same numbers under XLA."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from nca_tf import random_numbers


@pytest.mark.parametrize(
  ('sampler', 'distribution'),
  [(random_numbers.uniform, 'uniform'), (random_numbers.normal, 'norm')],
)
def test_distribution(sampler, distribution):
  values = sampler(random_numbers.key(0, 'test'), [50_001]).numpy()
  assert scipy.stats.kstest(values, distribution).pvalue > 1e-3
  assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.02


@pytest.mark.parametrize(
  'sampler', [random_numbers.uniform, random_numbers.normal]
)
@pytest.mark.parametrize('shape', [[7, 3], [4], [1, 2, 5]])
def test_the_same_with_and_without_xla(sampler, shape):
  key = tf.constant(random_numbers.key(3, 'test', 9))
  compiled = tf.function(
    lambda key: sampler(key, shape), jit_compile=True, autograph=False
  )
  np.testing.assert_allclose(
    sampler(key, shape), compiled(key), rtol=1e-5, atol=1e-6
  )


def test_uniform_is_strictly_between_zero_and_one():
  values = random_numbers.uniform(np.array([1, 2]), [1_000_000]).numpy()
  assert 0 < values.min() and values.max() < 1


def test_float64_follows_float32():
  key = np.array([5, 6])
  np.testing.assert_allclose(
    random_numbers.normal(key, [9], tf.float64),
    random_numbers.normal(key, [9], tf.float32),
    atol=1e-5,
  )


def test_each_of_seed_purpose_and_step_changes_the_stream():
  keys = [
    random_numbers.key(*words)
    for words in [(0, 'a', 0), (1, 'a', 0), (0, 'b', 0), (0, 'a', 1)]
  ]
  draws = [random_numbers.normal(key, [8]).numpy() for key in keys]
  for i, one in enumerate(draws):
    for other in draws[i + 1 :]:
      assert np.all(one != other)


def test_key_of_a_tensor_step_equals_that_of_an_int():
  np.testing.assert_array_equal(
    random_numbers.key(1, 'x', tf.constant(7)), random_numbers.key(1, 'x', 7)
  )
