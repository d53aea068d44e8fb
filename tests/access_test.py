"""Replays DeepMind's recorded memory accesses, values and gradients."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from nca_tf.memory import access

VECTORS = pathlib.Path(__file__).parents[1] / 'testdata' / 'dnc'
DISTINCT = ('n16_w8_r2_gen', 'n16_w8_r2_rand', 'n64_w32_r4_gen')
DISTINCT += ('n256_w64_r4_gen',)
TIED = ('n16_w8_r2_zero', 'n64_w32_r4_zero', 'n8_w4_r1_edge')
TOLERANCE = {'float64': 1e-10, 'float32': 2e-5}
STATE_KEYS = access.AccessState._fields
RAW_KEYS = {
  'read_keys': 'raw_read_keys',
  'read_strengths': 'raw_read_strengths',
  'write_key': 'raw_write_keys',
  'write_strength': 'raw_write_strengths',
  'erase_vector': 'raw_erase_vectors',
  'write_vector': 'raw_write_vectors',
  'free_gates': 'raw_free_gate',
  'allocation_gate': 'raw_allocation_gate',
  'write_gate': 'raw_write_gate',
  'read_modes': 'raw_read_mode',
}


def load(name):
  with np.load(VECTORS / f'public_{name}.npz') as file:
    return {key: file[key] for key in file.files}


def raw_interface(vectors, dtype):
  return access.Interface(
    **{part: tf.constant(vectors[key], dtype) for part, key in RAW_KEYS.items()}
  )


def initial_state(vectors, dtype):
  _, batch, heads, words = vectors['read_words'].shape
  slots = vectors['usage'].shape[-1]
  shapes = access.state_shapes(slots, words, heads)
  arrays = {
    key: vectors.get(f'state0_{key}', np.zeros((batch, *shape)))
    for key, shape in shapes._asdict().items()
  }
  return access.AccessState(
    **{key: tf.constant(array, dtype) for key, array in arrays.items()}
  )


def replay(interfaces, state, convention):
  """Reads and states of each step, from activated interfaces [T, B, ...]."""
  reads, states = [], []
  for t in range(interfaces.write_gate.shape[0]):
    interface = access.Interface(*(part[t] for part in interfaces))
    words, state = access.step(interface, state, convention)
    reads.append(words)
    states.append(state)
  return reads, states


def replayed_arrays(name, dtype):
  vectors = load(name)
  interfaces = access.activate(raw_interface(vectors, dtype), 'deepmind')
  reads, states = replay(interfaces, initial_state(vectors, dtype), 'deepmind')
  arrays = {
    key: np.stack([getattr(state, key).numpy() for state in states])
    for key in STATE_KEYS
  }
  arrays['read_words'] = np.stack([words.numpy() for words in reads])
  arrays['sorted_usage'] = np.sort(arrays['usage'], axis=-1)
  memory = arrays['memory']
  arrays['gram_memory'] = np.swapaxes(memory, -1, -2) @ memory
  return vectors, arrays


def largest_error(got, expected):
  assert got.shape == expected.shape
  return np.abs(got.astype('float64') - expected).max()


@pytest.mark.parametrize('dtype', TOLERANCE)
@pytest.mark.parametrize('name', DISTINCT)
def test_replay_equals_every_recorded_state(name, dtype):
  vectors, arrays = replayed_arrays(name, dtype)
  keys = {*STATE_KEYS, 'read_words'} & set(vectors)
  assert len(keys) >= len(STATE_KEYS)  # The link is not stored everywhere.
  errors = {key: largest_error(arrays[key], vectors[key]) for key in keys}
  if 'link_at_steps' in vectors:
    links = arrays['link'][vectors['link_steps']]
    errors['link'] = largest_error(links, vectors['link_at_steps'])
  assert arrays['read_words'].dtype == dtype
  assert max(errors.values()) <= TOLERANCE[dtype], errors


@pytest.mark.parametrize('dtype', TOLERANCE)
@pytest.mark.parametrize('name', TIED)
def test_replay_from_ties_equals_up_to_the_order_of_slots(name, dtype):
  vectors, arrays = replayed_arrays(name, dtype)
  errors = {
    key: largest_error(arrays[key], vectors[key])
    for key in ('read_words', 'sorted_usage', 'gram_memory')
  }
  assert max(errors.values()) <= TOLERANCE[dtype], errors


@pytest.mark.parametrize('name', ('n16_w8_r2_gen', 'n16_w8_r2_rand'))
@pytest.mark.parametrize(
  ('convention', 'prefix'), (('paper', 'gradfull_'), ('deepmind', 'grad_'))
)
def test_gradients_equal_the_recorded_ones(name, convention, prefix):
  vectors = load(name)
  raw = raw_interface(vectors, 'float64')
  start = initial_state(vectors, 'float64')
  with tf.GradientTape() as tape:
    tape.watch([*raw, *start])
    reads, states = replay(access.activate(raw, 'deepmind'), start, convention)
    loss = tf.reduce_sum(tf.stack(reads) * vectors['cot_read_words'])
    loss += tf.reduce_sum(states[-1].memory * vectors['cot_memory_last'])
  assert abs(loss.numpy() - vectors['loss']) <= 1e-9
  parts = {**raw._asdict(), **start._asdict()}
  gradients = tape.gradient(
    loss, parts, unconnected_gradients=tf.UnconnectedGradients.ZERO
  )
  names = {part: key[len('raw_') :] for part, key in RAW_KEYS.items()}
  names |= {key: f'state0_{key}' for key in STATE_KEYS}
  assert {f'{prefix}{key}' for key in names.values()} == {
    key for key in vectors if key.startswith(prefix)
  }
  for part, key in names.items():
    recorded = vectors[f'{prefix}{key}']
    error = largest_error(gradients[part].numpy(), recorded)
    assert error <= 1e-6 * np.abs(recorded).max(), part
