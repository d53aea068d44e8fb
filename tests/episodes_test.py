"""Windows of several episodes: whole ones equal their steps, for every cell."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nca_tf.memory import cells
from nca_tf.memory.unrolled import episodes

LANES, STEPS, FEATURES = 3, 5, 4
IS_FIRST = np.array([[1, 0, 0, 1, 0], [0, 0, 1, 1, 0], [0] * 5], bool)


@pytest.mark.parametrize('kernel', ['auto', 'plain'])
@pytest.mark.parametrize('name', cells.names())
def test_a_window_equals_its_steps(name, kernel):
  keras.utils.set_random_seed(1)
  cell = cells.make(name, 6, memory_slots=5, word_size=3, read_heads=2)
  cell.build((None, FEATURES))
  rng = np.random.default_rng(2)
  inputs = rng.normal(size=(LANES, STEPS, FEATURES)).astype('float32')
  state = keras.tree.flatten(cell.get_initial_state(batch_size=LANES))
  for step in inputs.swapaxes(0, 1):  # Into the middle of an episode.
    _, state = episodes.advance(cell, step, np.zeros(LANES, bool), state)
  start, outputs = state, []
  for t in range(STEPS):
    output, state = episodes.advance(cell, inputs[:, t], IS_FIRST[:, t], state)
    outputs.append(output)
  found, after = tf.function(
    lambda *args: episodes.unroll(cell, *args, kernel=kernel), autograph=False
  )(tf.constant(inputs), tf.constant(IS_FIRST), start)
  np.testing.assert_allclose(found, np.stack(outputs, 1), atol=1e-5)
  for one, other in zip(after, state, strict=True):
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_first_step_forgets_and_others_do_not():
  keras.utils.set_random_seed(1)
  cell = cells.make('lstm', 4)
  cell.build((None, FEATURES))
  inputs = tf.ones([2, FEATURES])
  used = [tf.ones([2, 4]), tf.ones([2, 4])]
  fresh = [tf.zeros([2, 4]), tf.zeros([2, 4])]
  output, _ = episodes.advance(cell, inputs, tf.constant([True, False]), used)
  expected, _ = cell(inputs, fresh)
  np.testing.assert_allclose(output[0], expected[0], atol=1e-7)
  assert np.abs(output[1] - expected[1]).max() > 0.01
