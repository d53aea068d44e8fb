"""DeepMind's recorded accesses through the gradients by hand, every kernel."""

import access_test
import numpy as np
import pytest
import tensorflow as tf

from nca_tf.memory import access
from nca_tf.memory.unrolled import access_gradient
from nca_tf.memory.unrolled import native


@pytest.fixture(
  scope='module',
  params=(access_gradient, native) if native.load() else (access_gradient,),
  ids=lambda module: module.__name__.rpartition('.')[2],
)
def kernel(request):
  return request.param


def flat_raw(vectors, dtype):
  """Raw interfaces [T, B, S] in the order of `Interface`."""
  parts = access_test.raw_interface(vectors, dtype)
  steps, batch = parts.write_gate.shape[:2]
  return tf.concat([tf.reshape(part, (steps, batch, -1)) for part in parts], -1)


def settings_of(vectors):
  heads, words = vectors['read_words'].shape[2:]
  return access_gradient.Settings(heads, words, 'deepmind')


def replay(kernel, vectors, dtype):
  """Words, states (one more than steps) and orders."""
  settings = settings_of(vectors)
  states, words, orders = [access_test.initial_state(vectors, dtype)], [], []
  for raw in flat_raw(vectors, dtype):
    read, state, order = kernel.forward(raw, None, states[-1], settings)
    words.append(read)
    states.append(state)
    orders.append(order)
  return words, states, orders


def largest_errors(vectors, words, states, keys):
  arrays = {
    key: np.stack([getattr(state, key).numpy() for state in states[1:]])
    for key in access_test.STATE_KEYS
  }
  arrays['read_words'] = np.stack([read.numpy() for read in words])
  arrays['sorted_usage'] = np.sort(arrays['usage'], axis=-1)
  memory = arrays['memory']
  arrays['gram_memory'] = np.swapaxes(memory, -1, -2) @ memory
  return {
    key: access_test.largest_error(arrays[key], vectors[key]) for key in keys
  }


@pytest.mark.parametrize('dtype', access_test.TOLERANCE)
@pytest.mark.parametrize('name', access_test.DISTINCT)
def test_replay_equals_every_recorded_state(name, dtype, kernel):
  vectors = access_test.load(name)
  words, states, _ = replay(kernel, vectors, dtype)
  keys = {*access_test.STATE_KEYS, 'read_words'} & set(vectors)
  errors = largest_errors(vectors, words, states, keys)
  assert max(errors.values()) <= access_test.TOLERANCE[dtype], errors


@pytest.mark.parametrize('dtype', access_test.TOLERANCE)
@pytest.mark.parametrize('name', access_test.TIED)
def test_replay_from_ties_equals_up_to_the_order_of_slots(name, dtype, kernel):
  vectors = access_test.load(name)
  words, states, _ = replay(kernel, vectors, dtype)
  keys = ('read_words', 'sorted_usage', 'gram_memory')
  errors = largest_errors(vectors, words, states, keys)
  assert max(errors.values()) <= access_test.TOLERANCE[dtype], errors


@pytest.mark.parametrize('name', ('n16_w8_r2_gen', 'n16_w8_r2_rand'))
def test_gradients_equal_the_recorded_ones(name, kernel):
  vectors = access_test.load(name)
  settings = settings_of(vectors)
  words, states, orders = replay(kernel, vectors, 'float64')
  raw = flat_raw(vectors, 'float64')
  d_state = access.AccessState(*map(tf.zeros_like, states[-1]))
  d_state = d_state._replace(memory=tf.constant(vectors['cot_memory_last']))
  d_raw = []
  for t in reversed(range(len(words))):
    slope, d_state = kernel.backward(
      raw[t],
      None,
      states[t],
      states[t + 1],
      orders[t],
      tf.constant(vectors['cot_read_words'][t]),
      d_state,
      settings,
    )
    d_raw.append(slope)
  recorded = [
    np.reshape(
      vectors[key.replace('raw_', 'grad_')], (len(words), raw.shape[1], -1)
    )
    for key in (access_test.RAW_KEYS[part] for part in access.Interface._fields)
  ]
  recorded = np.concatenate(recorded, axis=-1)
  error = access_test.largest_error(np.stack(d_raw[::-1]), recorded)
  assert error <= 1e-6 * np.abs(recorded).max()
  for key, slope in d_state._asdict().items():
    wanted = vectors[f'grad_state0_{key}']
    error = access_test.largest_error(slope.numpy(), wanted)
    assert error <= 1e-6 * np.abs(wanted).max(), key
