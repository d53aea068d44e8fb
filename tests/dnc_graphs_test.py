"""TensorFlow's tools on a DNC: with every kernel they give the plain numbers.

The gradient by hand is not TensorFlow's own: exports, second derivatives,
Jacobians, maps and XLA each ask for it in another way.
"""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from nca_tf import memory
from nca_tf.memory.unrolled import native
from nca_tf.memory.unrolled import unroll

KERNELS = ('plain', 'pure', 'auto') + (('native',) if native.load() else ())
SEQUENCES = tf.constant(
  np.random.default_rng(0).normal(size=(2, 2, 2)), tf.float32
)


@pytest.fixture(scope='module', name='cell', params=('paper', 'deepmind'))
def make_cell(request):
  keras.utils.set_random_seed(1)
  cell = memory.DNCCell(
    2, 3, 2, 1, output_size=2, convention=request.param, dtype='float32'
  )
  cell.build((None, 2))
  for i, variable in enumerate(cell.trainable_variables):
    noise = np.random.default_rng(i).normal(size=variable.shape)
    variable.assign(variable + 0.3 * noise.astype('float32'))
  return cell


@pytest.fixture(scope='module', name='paper')
def make_paper_cell():
  keras.utils.set_random_seed(1)
  cell = memory.DNCCell(2, 3, 2, 1, output_size=2)
  cell.build((None, 2))
  return cell


class Net(tf.Module):
  """A user's module around a layer."""

  def __init__(self, layer):
    super().__init__()
    self.layer = layer

  @tf.function(input_signature=[tf.TensorSpec([None, None, 2])])
  def answer(self, sequences):
    return self.layer(sequences)

  @tf.function(input_signature=[tf.TensorSpec([None, None, 2])])
  def mapped(self, sequences):
    return tf.map_fn(lambda one: self.layer(one[None])[0], sequences)


class Trainer(tf.Module):
  """As `Net`, with a training step's gradients."""

  def __init__(self, layer):
    super().__init__()
    self.layer = layer

  @tf.function(input_signature=[tf.TensorSpec([None, None, 2])])
  def gradients(self, sequences):
    return gradients(self.layer, sequences)


def gradients(layer, sequences=SEQUENCES):
  with tf.GradientTape() as tape:
    loss = tf.reduce_sum(layer(sequences, training=True) ** 2)
  return tape.gradient(loss, layer.trainable_variables)


def model_export(layer, folder):
  model = keras.Sequential([keras.Input((None, 2)), layer])
  model.export(folder, verbose=False)
  loaded = tf.saved_model.load(folder)
  return [loaded.serve(SEQUENCES)]


def saved_model_save(layer, folder):
  net = Net(layer)
  net.answer(SEQUENCES)
  net.mapped(SEQUENCES)
  tf.saved_model.save(net, folder)
  loaded = tf.saved_model.load(folder)
  return [loaded.answer(SEQUENCES), loaded.mapped(SEQUENCES)]


def second_order(layer, folder):
  del folder
  with tf.GradientTape() as outer:
    with tf.GradientTape() as inner:
      inner.watch(SEQUENCES)
      loss = tf.reduce_sum(layer(SEQUENCES, training=True) ** 2)
    penalty = tf.reduce_sum(inner.gradient(loss, SEQUENCES) ** 2)
  return outer.gradient(penalty, layer.trainable_variables)


def jacobian(layer, folder):
  del folder
  with tf.GradientTape() as tape:
    tape.watch(SEQUENCES)
    outputs = layer(SEQUENCES, training=True)[:, -1]
  return [tape.jacobian(outputs, SEQUENCES)]


def map_fn(layer, folder):
  del folder

  def one(sequence):
    return layer(sequence[None], training=True)[0]

  with tf.GradientTape() as tape:
    outputs = tf.map_fn(one, SEQUENCES)
    loss = tf.reduce_sum(outputs**2)
  return [outputs, *tape.gradient(loss, layer.trainable_variables)]


def vectorized_map(layer, folder):
  del folder

  def one(sequence):
    return layer(sequence[None], training=True)[0]

  return [tf.vectorized_map(one, SEQUENCES)]


def jit_compile(layer, folder):
  del folder
  return tf.function(gradients, autograph=False, jit_compile=True)(layer)


def outer_tape(layer, folder):
  """The tape outside, the function that it differentiates inside."""
  del folder
  answer = tf.function(layer, autograph=False)
  with tf.GradientTape() as tape:
    loss = tf.reduce_sum(answer(SEQUENCES, training=True) ** 2)
  return tape.gradient(loss, layer.trainable_variables)


def saved_training(layer, folder):
  trainer = Trainer(layer)
  trainer.gradients(SEQUENCES)
  tf.saved_model.save(trainer, folder)
  loaded = tf.saved_model.load(folder)
  return loaded.gradients(SEQUENCES)


ALL = ('plain', 'pure', 'auto')
# Keras' loop needs no test where it is what the others are compared with.
TOOLS = {
  model_export: ALL,
  saved_model_save: ALL,
  second_order: KERNELS[1:],
  jacobian: ALL[1:],
  map_fn: KERNELS[1:],
  vectorized_map: ('auto',),
  jit_compile: ALL[1:],
  outer_tape: ALL[1:],
  saved_training: ('pure',),
}


def make_layer(cell, kernel):
  return memory.DNC(cell, return_sequences=True, kernel=kernel)


def assert_close(got, wanted, tolerance=5e-5):
  assert len(got) == len(wanted)
  for one, other in zip(got, wanted, strict=True):
    largest = np.abs(other).max()
    assert largest > 0
    np.testing.assert_allclose(one, other, atol=tolerance * largest)


@pytest.mark.parametrize('tool', TOOLS, ids=lambda tool: tool.__name__)
def test_every_tool_gives_the_live_numbers_with_every_kernel(
  tool, paper, tmp_path
):
  live = make_layer(paper, 'plain')
  if tool in (model_export, saved_model_save):
    wanted = [live(SEQUENCES)] * (1 if tool is model_export else 2)
  elif tool in (jit_compile, outer_tape, saved_training):
    wanted = gradients(live)
  else:
    wanted = tool(live, tmp_path)
  for kernel in TOOLS[tool]:
    assert_close(tool(make_layer(paper, kernel), tmp_path / kernel), wanted)


def test_xla_refuses_the_compiled_kernel_in_words(paper):
  with pytest.raises(ValueError, match='kernel must be auto or pure here, got'):
    jit_compile(make_layer(paper, 'native'), None)


@pytest.mark.parametrize('kernel', KERNELS[1:])
def test_second_derivatives_in_both_conventions(kernel, cell):
  wanted = second_order(make_layer(cell, 'plain'), None)
  assert_close(second_order(make_layer(cell, kernel), None), wanted)


@pytest.mark.parametrize('checkpoint', (None, 1))
def test_second_derivatives_by_finite_differences(checkpoint):
  """From distinct usages, in float64: no other code of ours is the oracle."""
  keras.utils.set_random_seed(2)
  cell = memory.DNCCell(2, 3, 2, 1, dtype='float64')
  cell.build((None, 2))
  state = cell.get_initial_state(2)
  usage = tf.constant([[0.2, 0.5, 0.7], [0.6, 0.1, 0.4]], tf.float64)
  state = state._replace(access=state.access._replace(usage=usage))

  def slope(sequences):
    with tf.GradientTape() as tape:
      tape.watch(sequences)
      hidden, _ = unroll.unroll(cell, sequences, state, checkpoint=checkpoint)
      loss = tf.reduce_sum(tf.sin(3 * hidden))
    return tape.gradient(loss, sequences)

  x = tf.cast(SEQUENCES, tf.float64)
  direction = tf.cos(5 * x)
  with tf.GradientTape() as tape:
    tape.watch(x)
    along = tf.reduce_sum(slope(x) * direction)
  got = tape.gradient(along, x)
  step = 1e-5 * direction
  wanted = (slope(x + step) - slope(x - step)) / 2e-5
  np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-8)


def test_without_a_gradient_by_hand_there_is_tensorflows(cell):
  """`by_hand` changes no output, and no gradient but for its rounding."""
  results = []
  for by_hand in (True, False):
    with tf.GradientTape() as tape:
      tape.watch(SEQUENCES)
      hidden, _ = unroll.unroll(
        cell,
        SEQUENCES,
        cell.get_initial_state(2),
        kernel='pure',
        by_hand=by_hand,
      )
      loss = tf.reduce_sum(hidden**2)
    variables = [v for v in cell.trainable_variables if 'readout' not in v.path]
    slopes = tape.gradient(loss, [SEQUENCES, *variables])
    results.append((hidden, slopes))
  np.testing.assert_array_equal(results[0][0], results[1][0])
  assert_close(results[0][1], results[1][1])


PROGRAM = """
import json, sys
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
print(json.dumps(loaded.serve(tf.constant(json.loads(sys.argv[2]))).numpy().tolist()))
assert not any(name.startswith('nca_tf') for name in sys.modules)
"""


def test_exports_run_in_processes_that_have_tensorflow_alone(paper, tmp_path):
  layer = memory.DNC(paper)
  inputs = keras.Input((None, 2))
  model = keras.Model(inputs, layer(inputs))
  model.export(tmp_path / 'model', verbose=False)
  given = json.dumps(SEQUENCES.numpy().tolist())
  done = subprocess.run(
    [sys.executable, '-c', PROGRAM, str(tmp_path / 'model'), given],
    check=True,
    capture_output=True,
    cwd=pathlib.Path(tmp_path),
    env={k: v for k, v in os.environ.items() if k != 'PYTHONPATH'},
  )
  got = json.loads(done.stdout)
  np.testing.assert_allclose(got, model(SEQUENCES), atol=1e-6)
