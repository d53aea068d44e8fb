"""The DNC as a layer over sequences: masks, traces, saving, compilation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nca_tf import memory

SIZES = {'memory_slots': 6, 'word_size': 4, 'read_heads': 2}


def random(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype('float32')


MASK = np.array(
  [[1, 1, 0, 1, 0, 0, 1], [0, 0, 1, 1, 1, 1, 0], [0] * 7], dtype='bool'
)
SEQUENCES = random(3, 7, 5)


def states_close(one, other, atol=1e-6):
  for a, b in zip(
    keras.tree.flatten(one), keras.tree.flatten(other), strict=True
  ):
    np.testing.assert_allclose(a, b, atol=atol, rtol=0)


@pytest.fixture(scope='module')
def cell():
  keras.utils.set_random_seed(1)
  cell = memory.DNCCell(8, output_size=3, **SIZES)
  cell.build((None, 5))
  for variable in cell.trainable_variables:  # No bias is zero then.
    variable.assign(variable + 0.1 * random(*variable.shape))
  return cell


@pytest.fixture(scope='module')
def full(cell):
  """Outputs, state and trace of the whole sequence."""
  layer = memory.DNC(
    cell, return_sequences=True, return_state=True, return_trace=True
  )
  return layer(SEQUENCES)


def test_whole_sequence_equals_its_steps(cell, full):
  outputs, last, trace = full
  state = cell.get_initial_state(3)
  for t in range(7):
    output, state = cell(SEQUENCES[:, t], state)
    np.testing.assert_allclose(outputs[:, t], output, atol=1e-6)
    for name in ('memory', 'usage', 'write_weights', 'read_weights'):
      traced = getattr(trace, name)[:, t]
      expected = getattr(state.access, name)
      np.testing.assert_allclose(traced, expected, atol=1e-6)
  assert isinstance(last, memory.DNCState)
  states_close(last, state)


def test_traced_gates_explain_the_traced_weights(full):
  """w_t sums to gate * (g_a * sum(a) + 1 - g_a), with a from the usage."""
  _, _, trace = full
  allocated = memory.addressing.allocation_weights(
    tf.reshape(trace.usage, (21, 6))
  )
  total = np.reshape(np.sum(allocated, -1), (3, 7))
  gate = trace.allocation_gate[..., 0]
  expected = trace.write_gate[..., 0] * (gate * total + 1 - gate)
  np.testing.assert_allclose(
    np.sum(trace.write_weights, -1), expected, atol=1e-5
  )
  assert trace.free_gates.shape == (3, 7, 2)
  assert trace.read_modes.shape == (3, 7, 2, 3)
  np.testing.assert_allclose(np.sum(trace.read_modes, -1), 1, atol=1e-5)


def test_last_output_without_sequences(cell, full):
  last = memory.DNC(cell)(SEQUENCES)
  np.testing.assert_allclose(last, full[0][:, -1], atol=1e-6)
  output, trace = memory.DNC(cell, return_trace=True)(SEQUENCES)
  np.testing.assert_allclose(output, last, atol=1e-6)
  np.testing.assert_allclose(trace.usage, full[2].usage, atol=1e-6)


def test_a_sequence_in_two_halves(cell, full):
  layer = memory.DNC(cell, return_sequences=True, return_state=True)
  first, state = layer(SEQUENCES[:, :4])
  second, state = layer(SEQUENCES[:, 4:], initial_state=state)
  joined = np.concatenate([first, second], axis=1)
  np.testing.assert_allclose(joined, full[0], atol=1e-6)
  states_close(state, full[1])


@pytest.mark.parametrize('sequences', (True, False))
def test_a_mask_freezes_the_state_as_in_keras(cell, sequences):
  options = {'return_sequences': sequences, 'return_state': True}
  output, state = memory.DNC(cell, **options)(SEQUENCES, mask=MASK)
  expected, *states = keras.layers.RNN(cell, **options)(SEQUENCES, mask=MASK)
  np.testing.assert_allclose(output, expected, atol=1e-6)
  states_close(state, states)
  assert not any(np.any(t[2]) for t in keras.tree.flatten(state))


def test_masked_steps_could_as_well_not_be_there(cell):
  layer = memory.DNC(cell, return_sequences=True, return_state=True)
  broken = np.where(MASK[..., None], SEQUENCES, np.nan)
  with tf.GradientTape() as tape:
    outputs, state = layer(broken, mask=MASK)
    loss = tf.reduce_sum(outputs**2)
  for gradient in tape.gradient(loss, layer.trainable_variables):
    assert np.isfinite(gradient).all()
  kept = MASK[0]
  expected, after = layer(SEQUENCES[:1, kept])
  np.testing.assert_allclose(outputs[:1].numpy()[:, kept], expected, atol=1e-6)
  states_close([t[:1] for t in keras.tree.flatten(state)], after)


def test_trace_under_a_mask_repeats_the_frozen_state(cell):
  _, trace = memory.DNC(cell, return_trace=True)(SEQUENCES, mask=MASK)
  usage, words = trace.usage.numpy(), trace.memory.numpy()
  np.testing.assert_array_equal(usage[0, 2], usage[0, 1])
  np.testing.assert_array_equal(words[0, 5], words[0, 3])
  assert np.any(words[0, 6] != words[0, 5])


def test_a_masking_layer_is_heard_and_the_mask_goes_on(cell):
  inputs = keras.Input((7, 5))
  masked = keras.layers.Masking()(inputs)
  layer = memory.DNC(cell, return_sequences=True)
  model = keras.Model(inputs, layer(masked))
  padded = SEQUENCES * MASK[..., None]
  expected = layer(SEQUENCES, mask=MASK)
  np.testing.assert_allclose(model(padded), expected, atol=1e-6)
  assert layer.compute_mask(None, MASK) is MASK
  assert memory.DNC(cell).compute_mask(None, MASK) is None


def test_keras_file_round_trip(tmp_path):
  inputs = keras.Input((None, 5))
  layer = memory.DNC(
    memory.DNCCell(keras.layers.GRUCell(8), output_size=3, **SIZES),
    return_sequences=True,
    return_state=True,
  )
  model = keras.Model(inputs, layer(inputs))
  path = tmp_path / 'dnc.keras'
  model.save(path)
  loaded = keras.saving.load_model(path)
  outputs, state = model(SEQUENCES)
  again, after = loaded(SEQUENCES)
  np.testing.assert_array_equal(again, outputs)
  for a, b in zip(
    keras.tree.flatten(after), keras.tree.flatten(state), strict=True
  ):
    np.testing.assert_array_equal(a, b)


def test_resized_layer_works_after_training(cell):
  layer = memory.DNC(cell.resize(6), return_sequences=True, return_state=True)
  with tf.GradientTape() as tape:
    loss = tf.reduce_sum(layer(SEQUENCES)[0] ** 2)
  weights = layer.trainable_variables
  for weight, slope in zip(weights, tape.gradient(loss, weights), strict=True):
    weight.assign_sub(0.01 * slope)
  larger = layer.resize(11)
  outputs, state = larger(SEQUENCES)
  assert state.access.memory.shape == (3, 11, 4)
  assert larger.return_state
  assert np.isfinite(outputs).all()
  for old, new in zip(weights, larger.trainable_variables, strict=True):
    np.testing.assert_array_equal(old, new)


def test_mixed_precision_carries_float32(cell):
  mixed = memory.DNCCell(8, output_size=3, dtype='mixed_bfloat16', **SIZES)
  layer = memory.DNC(mixed, return_sequences=True, return_state=True)
  outputs, state = layer(SEQUENCES)
  assert outputs.dtype == 'bfloat16'
  assert {t.dtype.name for t in state.access} == {'float32'}
  assert layer(SEQUENCES, mask=MASK, initial_state=state)[0].shape == (3, 7, 3)


def test_compiled_training_step_equals_the_plain_one(cell):
  """With XLA and without: from distinct usages, the same gradients."""
  layer = memory.DNC(cell, return_sequences=True)
  start = layer.get_initial_state(3)
  usage = np.random.default_rng(2).uniform(0.1, 0.9, (3, 6)).astype('float32')
  start = start._replace(access=start.access._replace(usage=tf.constant(usage)))
  values = [variable.value for variable in layer.trainable_variables]

  def gradients():
    with tf.GradientTape() as tape:
      outputs = layer(SEQUENCES[:, :3], initial_state=start)
      loss = tf.reduce_sum(outputs**2)
    return tape.gradient(loss, values)

  compiled = tf.function(gradients, jit_compile=True, autograph=False)()
  plain = tf.function(gradients, autograph=False)()
  for one, other in zip(compiled, plain, strict=True):
    largest = np.abs(other).max()
    assert largest > 0
    np.testing.assert_allclose(one, other, atol=1e-4 * largest)


def test_time_and_batch_may_be_unknown(cell):
  layer = memory.DNC(cell, return_sequences=True)
  signature = tf.TensorSpec((None, None, 5), 'float32')
  compute = tf.function(layer, input_signature=[signature], autograph=False)
  expected = layer(SEQUENCES)
  np.testing.assert_allclose(compute(SEQUENCES), expected, atol=1e-6)
  np.testing.assert_allclose(
    compute(SEQUENCES[:, :2]), expected[:, :2], atol=1e-6
  )


def test_wrong_arguments_are_named(cell):
  with pytest.raises(ValueError, match='cell must be a DNCCell, got LSTMCell'):
    memory.DNC(keras.layers.LSTMCell(3))
  with pytest.raises(ValueError, match=r'sequences must be \[B, T, F\], got'):
    memory.DNC(cell)(SEQUENCES[:, 0])
  with pytest.raises(ValueError, match=r'mask must be \[B, T\], got'):
    memory.DNC(cell)(SEQUENCES, mask=MASK[..., None])
  with pytest.raises(ValueError, match='states must be 9 tensors'):
    memory.DNC(cell)(SEQUENCES, initial_state=[MASK])
