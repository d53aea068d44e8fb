"""Random streams: distribution, keys, and the same numbers under XLA."""

import pathlib
import random
import re

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf import random_tensors


@pytest.mark.parametrize(
  ('sampler', 'distribution'),
  [
    (random_tensors.uniform, 'uniform'),
    (random_tensors.normal, 'norm'),
    (random_tensors.paired_normal, 'norm'),
  ],
)
def test_distribution(sampler, distribution):
  values = sampler(random_numbers.key(0, 'test'), [50_001]).numpy()
  assert scipy.stats.kstest(values, distribution).pvalue > 1e-3
  assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.02


@pytest.mark.parametrize(
  'sampler',
  [random_tensors.uniform, random_tensors.normal, random_tensors.paired_normal],
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
  values = random_tensors.uniform(np.array([1, 2]), [1_000_000]).numpy()
  assert 0 < values.min() and values.max() < 1


def test_float64_follows_float32():
  key = np.array([5, 6])
  np.testing.assert_allclose(
    random_tensors.normal(key, [9], tf.float64),
    random_tensors.normal(key, [9], tf.float32),
    atol=1e-5,
  )


def test_each_of_seed_purpose_and_step_changes_the_stream():
  keys = [
    random_numbers.key(*words)
    for words in [(0, 'a', 0), (1, 'a', 0), (0, 'b', 0), (0, 'a', 1)]
  ]
  draws = [random_tensors.normal(key, [8]).numpy() for key in keys]
  for i, one in enumerate(draws):
    for other in draws[i + 1 :]:
      assert np.all(one != other)


def test_key_of_a_tensor_step_equals_that_of_an_int():
  np.testing.assert_array_equal(
    random_numbers.key(1, 'x', tf.constant(7)), random_numbers.key(1, 'x', 7)
  )


def test_philox_gives_the_published_words():
  # The known answers of Salmon et al.'s Random123 for philox4x32-10.
  words = random_tensors.philox(np.zeros(2, np.int32), 4).numpy()
  assert [f'{word:08x}' for word in words] == [
    '6627e8d5',
    'e169c58d',
    'bc57ac4c',
    '9b00dbd8',
  ]


def test_the_halves_of_a_pair_are_independent():
  values = random_tensors.paired_normal(random_numbers.key(0, 'x'), [200_000])
  one, other = np.split(values.numpy(), 2)
  assert abs(np.corrcoef(one, other)[0, 1]) < 0.01
  assert abs(np.corrcoef(one**2, other**2)[0, 1]) < 0.01
  turns = np.arctan2(other, one) / (2 * np.pi) + 0.5
  assert scipy.stats.kstest(turns, 'uniform').pvalue > 1e-3


def test_paired_normals_in_float64_are_those_in_float32():
  key = np.array([5, 6])
  one = random_tensors.paired_normal(key, [3, 3], tf.float64)
  other = random_tensors.paired_normal(key, [3, 3], tf.float32)
  assert one.dtype == tf.float64
  np.testing.assert_array_equal(one, other)


PURPOSES = (
  *('model', 'held-out model', 'vision', 'held-out vision', 'windows'),
  *('held-out windows', 'pools of frames', 'held-out latents', 'restarts'),
  *('final', 'selection', 'runoff', 'iteration 2', 'collect 2', 'dream check'),
  *('weights of V', 'weights of M', 'weights of untrained M', 'games played'),
)


def test_no_two_purposes_or_seeds_share_a_stream():
  words = {
    random_numbers.derive(seed, purpose)
    for seed in range(200)
    for purpose in PURPOSES
  }
  assert len(words) == 200 * len(PURPOSES)
  one, next_step, same = (
    random_numbers.generator(3, 'x', step).random(4) for step in (0, 1, 0)
  )
  assert np.array_equal(one, same)
  assert not np.array_equal(one, next_step)


def test_an_untrained_model_is_no_other_seeds_trained_one():
  def first_weights(seed, purpose):
    with random_numbers.weights(seed, purpose):
      layer = keras.layers.Dense(3)
      layer.build((None, 4))
    return layer.kernel.numpy()

  drawn = [
    first_weights(seed, purpose)
    for seed in range(4)
    for purpose in ('M', 'untrained M')
  ]
  assert np.array_equal(drawn[0], first_weights(0, 'M'))
  for i, one in enumerate(drawn):
    assert not any(np.array_equal(one, other) for other in drawn[:i])


def test_first_weights_leave_the_global_generators_alone():
  before = random.getstate(), np.random.get_state()[1].tolist()
  with random_numbers.weights(0, 'M'):
    keras.layers.Dense(3).build((None, 4))
  assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def test_generators_come_from_here():
  # These take a seed or a key from their caller, or draw a problem that a
  # number names, such as BBOB's instances and a benchmark's fixed inputs.
  others = {
    'analysis/intervals.py',
    'analysis/score_figures.py',
    'environments/pommerman/parallel.py',
    'evolution/objectives.py',
    'experiments/controller/dream_check.py',
    'experiments/predictions/measures.py',
    'random_numbers.py',
  }
  root = pathlib.Path(random_numbers.__file__).parent
  global_or_own = r'np\.random\.(default_rng|seed)\(|set_random_seed'
  found = {
    str(file.relative_to(root))
    for file in root.rglob('*.py')
    if 'benchmarks' not in file.parts
    and re.search(global_or_own, file.read_text(encoding='utf-8'))
  }
  assert found == others
