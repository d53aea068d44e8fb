"""Numbers of callers become plain Python numbers, or one line."""

import json

import numpy as np
import pytest
import tensorflow as tf

from nca_tf import checks

NAN, INF = float('nan'), float('inf')


@pytest.mark.parametrize(
  'value', [3, np.int8(3), np.uint64(3), np.array(3), tf.constant(3)]
)
def test_integers_become_python_integers(value):
  found = checks.integer('size', value, 1, 3)
  assert type(found) is int and json.dumps(found) == '3'


@pytest.mark.parametrize(
  'value',
  [True, np.True_, 2.5, 3.0, np.float32(3), '3', None, NAN, INF, [3], b'3']
  + [np.array([3]), tf.constant(3.0), 3j, object()],
)
def test_what_is_no_integer_is_refused(value):
  with pytest.raises(ValueError, match='size must be an integer, got ') as info:
    checks.integer('size', value)
  assert '\n' not in str(info.value)


@pytest.mark.parametrize(
  'value', [0.5, np.float64(0.5), np.float32(0.5), np.array(0.5)]
)
def test_reals_become_python_floats(value):
  found = checks.real('sigma0', value, above=0)
  assert type(found) is float and json.dumps(found) == '0.5'
  assert type(checks.real('sigma0', 2)) is float


@pytest.mark.parametrize(
  'value',
  [True, '0.5', None, NAN, INF, -INF, [0.5], np.array([0.5]), 10**400]
  + [np.float32('inf'), np.float16('nan'), 1j],
)
def test_what_is_no_finite_number_is_refused(value):
  with pytest.raises(ValueError, match='sigma0 must be a finite number, got'):
    checks.real('sigma0', value)


def test_ranges_are_named():
  with pytest.raises(ValueError, match='of at least 1 and of at most 4, got 5'):
    checks.integer('n', 5, 1, 4)
  with pytest.raises(ValueError, match='number above 0 and below 1, got 1'):
    checks.real('x', 1, above=0, below=1)
  with pytest.raises(ValueError, match='number above 0, got 0.0'):
    checks.real('x', 0.0, above=0)


def test_booleans_are_booleans():
  assert checks.boolean('jit', np.True_) is True
  for value in (1, 0, 'True', None):
    with pytest.raises(ValueError, match='jit must be True or False, got'):
      checks.boolean('jit', value)


def test_symbolic_tensor_has_no_value():
  @tf.function
  def build(size):
    with pytest.raises(ValueError, match='size must be an integer'):
      checks.integer('size', size)
    return size

  build(tf.constant(3))
