"""Precision reaches layers and optimisers; global state is put back."""

import keras
import numpy as np
import pytest

from nca_tf.precision import set_precision


@pytest.fixture(autouse=True)
def _restored():
  floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
  yield
  keras.config.set_floatx(floatx)
  keras.config.set_dtype_policy(policy)


@pytest.mark.parametrize(
  'name, variable, output, zeros',
  [
    ('float32', 'float32', 'float32', 'float32'),
    ('float64', 'float64', 'float64', 'float64'),
    ('mixed_bfloat16', 'float32', 'bfloat16', 'float32'),
  ],
)
def test_precision_of_a_new_layer(name, variable, output, zeros):
  set_precision(name)
  layer = keras.layers.Dense(2)
  result = layer(np.ones((1, 3)))
  assert layer.kernel.dtype == variable
  assert keras.backend.standardize_dtype(result.dtype) == output
  assert keras.backend.standardize_dtype(keras.ops.zeros(1).dtype) == zeros
  optimizer = keras.optimizers.Adam()
  optimizer.build([layer.kernel])
  slots = [v for v in optimizer.variables if v.shape == (3, 2)]
  assert {v.dtype for v in slots} == {variable}


def test_going_back_leaves_nothing_behind():
  set_precision('float64')
  set_precision('float32')
  assert keras.config.floatx() == 'float32'
  assert keras.config.dtype_policy().name == 'float32'


def test_an_unknown_precision_changes_nothing():
  set_precision('float64')
  message = "name must be one of float32, float64, mixed_bfloat16, got 'half'"
  with pytest.raises(ValueError, match=message):
    set_precision('half')
  with pytest.raises(ValueError, match=r"name must be one of .*, got \['float"):
    set_precision(['float32'])
  assert keras.config.floatx() == 'float64'
