"""The feed-forward controller: its equation, its bound, in a DNC."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nca_tf import memory
from nca_tf.memory import controllers

INPUTS, READS, UNITS = 3, 4, 5


@pytest.fixture(scope='module')
def controller():
  keras.utils.set_random_seed(0)
  layer = controllers.FeedForward(UNITS, READS)
  layer.build((None, INPUTS + READS))
  return layer


def random(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype('float32')


def test_hidden_units_equal_the_equation(controller):
  joined = random(6, INPUTS + READS)
  kernel, bias = (variable.numpy() for variable in controller.weights)
  reads = joined[:, INPUTS:].copy()
  length = np.linalg.norm(reads, axis=1, keepdims=True)
  joined[:, INPUTS:] = reads / np.sqrt(1 + length**2)
  expected = np.tanh(joined @ kernel + bias)
  joined[:, INPUTS:] = reads
  np.testing.assert_allclose(controller(joined), expected, atol=1e-6)


def test_reads_beyond_those_of_training_look_alike(controller):
  joined = random(6, INPUTS + READS)
  longer = joined * np.array([1] * INPUTS + [1000] * READS, 'float32')
  longest = joined * np.array([1] * INPUTS + [10000] * READS, 'float32')
  near, far = controller(longer).numpy(), controller(longest).numpy()
  np.testing.assert_allclose(near, far, atol=1e-4)
  assert np.abs(near - controller(joined).numpy()).max() > 0.01


def test_gradients_are_finite_where_nothing_was_read(controller):
  joined = tf.zeros((2, INPUTS + READS))
  with tf.GradientTape() as tape:
    tape.watch(joined)
    loss = tf.reduce_sum(controller(joined))
  assert np.isfinite(tape.gradient(loss, joined)).all()


def test_a_dnc_with_it_is_saved_and_loaded(tmp_path):
  cell = memory.DNCCell(
    controllers.FeedForward(UNITS, READS),
    memory_slots=6,
    word_size=READS,
    read_heads=1,
    output_size=2,
  )
  inputs = keras.Input((None, INPUTS))
  outputs = memory.DNC(cell, return_sequences=True)(inputs)
  model = keras.Model(inputs, outputs)
  model.save(tmp_path / 'model.keras')
  loaded = keras.saving.load_model(tmp_path / 'model.keras')
  sequences = random(2, 5, INPUTS)
  np.testing.assert_allclose(loaded(sequences), model(sequences), atol=1e-6)
  shape = cell.controller.compute_output_shape((None, INPUTS + READS))
  assert shape == (None, UNITS)
