"""The DNC as a Keras RNN cell."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nca_tf import memory

SIZES = {'memory_slots': 6, 'word_size': 4, 'read_heads': 2}
CONTROLLERS = {
  'units': lambda: 8,
  'gru': lambda: keras.layers.GRUCell(8),
  'stack': lambda: keras.layers.StackedRNNCells(
    [keras.layers.LSTMCell(8), keras.layers.LSTMCell(7)]
  ),
  'dense': lambda: keras.layers.Dense(8, activation='tanh'),
  'activation': lambda: keras.layers.Activation('tanh'),
  'dropout': lambda: keras.layers.LSTMCell(8, dropout=0.5),
}


def random(*shape, seed=0, dtype='float32'):
  return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def run(cell, sequences, states=None, training=False):
  """Outputs and states of single steps, [B, T, O] and the last state."""
  outputs = []
  if states is None:
    states = cell.get_initial_state(batch_size=sequences.shape[0])
  for t in range(sequences.shape[1]):
    output, states = cell(sequences[:, t], states, training=training)
    outputs.append(output)
  return tf.stack(outputs, axis=1), states


@pytest.fixture(scope='module')
def cell():
  keras.utils.set_random_seed(1)
  cell = memory.DNCCell(8, output_size=3, **SIZES)
  cell.build((None, 5))
  return cell


@pytest.mark.parametrize('name', CONTROLLERS)
def test_any_controller_drives_the_memory(name):
  keras.utils.set_random_seed(1)
  cell = memory.DNCCell(CONTROLLERS[name](), output_size=3, **SIZES)
  variables_before = len(cell.trainable_variables)
  with tf.GradientTape() as tape:
    outputs, state = run(cell, random(2, 3, 5), training=True)
    loss = tf.reduce_sum(outputs**2)
  assert variables_before == 0  # Built by its first call.
  assert outputs.shape == (2, 3, 3)
  assert np.any(state.access.memory)
  for gradient in tape.gradient(loss, cell.trainable_variables):
    assert np.isfinite(gradient).all()
    assert np.any(gradient)


@pytest.mark.parametrize('name', ('gru', 'stack', 'dense', 'dropout'))
def test_any_controller_runs_in_a_keras_rnn_graph(name):
  layer = keras.layers.RNN(
    memory.DNCCell(CONTROLLERS[name](), **SIZES), return_sequences=True
  )
  sequences = random(2, 3, 5)
  layer.build(sequences.shape)
  train = tf.function(lambda x: layer(x, training=True), autograph=False)
  assert train(sequences).shape == (2, 3, layer.cell.output_size)
  expected, _ = run(layer.cell, sequences)
  np.testing.assert_allclose(layer(sequences), expected, atol=1e-6)


def test_the_smallest_memory_works():
  cell = memory.DNCCell(2, 2, 1, 1, output_size=1)
  with tf.GradientTape() as tape:
    outputs, _ = run(cell, random(1, 4, 1))
    loss = tf.reduce_sum(outputs**2)
  assert outputs.shape == (1, 4, 1)
  for gradient in tape.gradient(loss, cell.trainable_variables):
    assert np.isfinite(gradient).all()


def test_output_without_readout_is_h_beside_the_reads():
  cell = memory.DNCCell(8, **SIZES)
  output, state = cell(random(2, 5), cell.get_initial_state(2))
  assert cell.output_size == 8 + 2 * 4
  np.testing.assert_array_equal(output[:, :8], state.controller[0])
  np.testing.assert_array_equal(output[:, 8:], np.reshape(state.reads, (2, 8)))


def test_a_batch_is_its_single_runs(cell):
  sequences = random(3, 8, 5)
  outputs, state = run(cell, sequences)
  for b in range(3):
    single, after = run(cell, sequences[b : b + 1])
    np.testing.assert_allclose(outputs[b : b + 1], single, atol=1e-5)
    # Usages tie at the start: the slots may come in another order.
    words = np.sort(np.ravel(after.access.memory))
    expected = np.sort(np.ravel(state.access.memory[b]))
    np.testing.assert_allclose(words, expected, atol=1e-5)


def test_reads_reach_the_controller_within_a_sequence(cell):
  """The words read are an input of the next step, with a gradient."""
  kernel = cell.controller.kernel
  assert kernel.shape == (5 + 2 * 4, 4 * 8)
  sequences = random(2, 4, 5)
  with tf.GradientTape() as tape:
    outputs, _ = run(cell, sequences)
    loss = tf.reduce_sum(outputs[:, -1] ** 2)
  gradient = tape.gradient(loss, kernel.value)[5:]
  assert np.count_nonzero(gradient) == gradient.shape.num_elements()
  changed = cell.resize(6)
  weights = changed.controller.kernel.numpy()
  weights[5:] *= -1.0
  changed.controller.kernel.assign(weights)
  moved, _ = run(changed, sequences)
  np.testing.assert_array_equal(moved[:, 0], outputs[:, 0])  # Nothing read yet.
  assert np.abs(moved[:, 1:] - outputs[:, 1:]).max() > 1e-4


def test_gradients_reach_keys_strengths_and_gates(cell):
  """Every output of the interface is trained by a loss on the outputs."""
  (bias,) = (v for v in cell.weights if v.path.endswith('interface/bias'))
  with tf.GradientTape() as tape:
    outputs, _ = run(cell, random(2, 5, 5))
    loss = tf.reduce_sum(outputs**2)
  gradient = tape.gradient(loss, bias.value)
  assert np.count_nonzero(gradient) == gradient.shape.num_elements()


def test_resized_memory_runs_with_the_same_weights(cell):
  larger = cell.resize(9)
  sequences = random(2, 5, 5)
  outputs, state = run(larger, sequences)
  assert state.access.memory.shape == (2, 9, 4)
  assert cell.memory_slots == 6
  assert np.isfinite(outputs).all()
  for own, copied in zip(cell.weights, larger.weights, strict=True):
    assert own is not copied
    np.testing.assert_array_equal(own, copied)
  same, _ = run(cell.resize(6), sequences)
  np.testing.assert_array_equal(same, run(cell, sequences)[0])


def test_conventions_differ_in_values():
  """Same weights, other strengths and modes."""
  keras.utils.set_random_seed(1)
  paper = memory.DNCCell(8, **SIZES)
  deepmind = memory.DNCCell(8, convention='deepmind', **SIZES)
  for cell in (paper, deepmind):
    cell.build((None, 5))
  deepmind.set_weights(paper.get_weights())
  sequences = random(2, 4, 5)
  difference = run(paper, sequences)[0] - run(deepmind, sequences)[0]
  assert np.abs(difference).max() > 1e-4


def test_float64_computes_in_float64(cell):
  double = memory.DNCCell(8, output_size=3, dtype='float64', **SIZES)
  double.build((None, 5))
  double.set_weights(cell.get_weights())
  sequences = random(2, 4, 5, dtype='float64')
  outputs, state = run(double, sequences)
  assert {t.dtype.name for t in keras.tree.flatten(state)} == {'float64'}
  assert outputs.dtype == 'float64'
  single, _ = run(cell, sequences)
  np.testing.assert_allclose(outputs, single, atol=1e-5)
  assert np.any(outputs != tf.cast(single, 'float64'))


def test_mixed_precision_keeps_the_memory_in_float32(cell):
  mixed = memory.DNCCell(8, output_size=3, dtype='mixed_bfloat16', **SIZES)
  mixed.build((None, 5))
  mixed.set_weights(cell.get_weights())
  sequences = random(2, 20, 5)
  outputs, state = run(mixed, sequences)
  assert outputs.dtype == 'bfloat16'
  assert {t.dtype.name for t in state.access} == {'float32'}
  assert {w.dtype for w in mixed.weights} == {'float32'}
  exact, _ = run(cell, sequences)
  np.testing.assert_allclose(tf.cast(outputs, 'float32'), exact, atol=0.1)


def test_mixed_precision_trains_over_a_long_sequence():
  layer = keras.layers.RNN(
    memory.DNCCell(8, output_size=3, dtype='mixed_bfloat16', **SIZES)
  )
  sequences = 3 * random(2, 40, 5)
  layer.build(sequences.shape)

  @tf.function(autograph=False)
  def gradients():
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(layer(sequences) ** 2)
    return tape.gradient(loss, [v.value for v in layer.trainable_variables])

  for gradient in gradients():
    assert np.isfinite(tf.cast(gradient, 'float32')).all()


def test_config_makes_an_equal_cell():
  cell = memory.DNCCell(
    keras.layers.GRUCell(7), 5, 3, 1, output_size=2, convention='deepmind'
  )
  config = cell.get_config()
  copy = memory.DNCCell.from_config(config)
  assert copy.get_config() == config
  assert copy.controller is not cell.controller
  assert (copy.memory_slots, copy.word_size, copy.read_heads) == (5, 3, 1)
  assert (copy.output_size, copy.convention) == (2, 'deepmind')


@pytest.mark.parametrize(
  ('arguments', 'message'),
  (
    ({'controller': 0}, 'controller must be an integer of at least 1, got 0'),
    ({'controller': 'lstm'}, "controller must be .* got 'lstm'"),
    ({'memory_slots': 0}, 'memory_slots must be .* got 0'),
    ({'word_size': 2.5}, 'word_size must be .* got 2.5'),
    ({'read_heads': True}, 'read_heads must be .* got True'),
    ({'output_size': -1}, 'output_size must be .* got -1'),
    ({'convention': 'x'}, r"convention must be one of \('paper', .* got 'x'"),
  ),
)
def test_wrong_constructor_arguments_are_named(arguments, message):
  with pytest.raises(ValueError, match=message):
    memory.DNCCell(**{'controller': 8, **arguments})


def test_wrong_states_and_inputs_are_named(cell):
  state = cell.get_initial_state(2)
  with pytest.raises(ValueError, match='states must be 9 tensors of shapes'):
    cell(random(2, 5), state.access)
  other = memory.DNCCell(8, 7, 4, 2).get_initial_state(2)
  with pytest.raises(ValueError, match=r'\(6, 4\).* got .*\(7, 4\)'):
    cell(random(2, 5), other)
  with pytest.raises(ValueError, match='inputs must have a known last axis'):
    memory.DNCCell(8).build((None, None))
  with pytest.raises(ValueError, match='output_size must be given, or the cel'):
    _ = memory.DNCCell(keras.layers.Activation('tanh')).output_size
