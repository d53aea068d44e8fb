"""DNCs and an LSTM that train, in a process of their own.

`peer_server` runs this file, one process per implementation, so that each has
its own peak of memory. pytorch-dnc and deepmind/dnc need folders with their
sources; pytorch-dnc runs in an environment that has torch but not this library.

All train alike: an LSTM controller of 256 units, inputs of 68 numbers, 64
outputs, binary cross-entropy, plain gradient descent.
"""

import importlib
import pathlib
import sys
import time
import types

UNITS, INPUTS, OUTPUTS, RATE = 256, 68, 64, 0.01


def _data(sizes):
  """Returns inputs [B, T, 68] and targets of 0 and 1 [B, T, 64]."""
  import numpy as np

  rng, lead = np.random.default_rng(0), (sizes['batch'], sizes['steps'])
  inputs = rng.normal(size=(*lead, INPUTS)).astype('float32')
  targets = (rng.uniform(size=(*lead, OUTPUTS)) > 0.5).astype('float32')
  return inputs, targets


def _make_step(layer, sizes, jit=False):
  """Returns a function that trains a Keras layer by a step."""
  import tensorflow as tf

  inputs, targets = map(tf.constant, _data(sizes))
  readout = tf.keras.layers.Dense(OUTPUTS)
  readout.build((None, UNITS))
  layer.build(inputs.shape)

  def train():
    with tf.GradientTape() as tape:
      outputs = layer(inputs, training=True)
      if outputs.shape[-1] != OUTPUTS:
        outputs = readout(outputs)
      loss = tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(targets, outputs)
      )
    variables = layer.trainable_variables
    for variable, slope in zip(
      variables, tape.gradient(loss, variables), strict=True
    ):
      variable.assign_sub(RATE * slope)
    return loss

  return tf.function(train, autograph=False, jit_compile=jit)


def _import_tensorflow():
  """Imports it as this library does, with one thread, and warms it up."""
  root = pathlib.Path(__file__).resolve().parents[4]
  sys.path[0] = str(root)  # Instead of the folder of this file.
  importlib.import_module('nca_tf')  # Sets TensorFlow's environment defaults.
  import tensorflow as tf

  tf.config.threading.set_intra_op_parallelism_threads(1)
  tf.config.threading.set_inter_op_parallelism_threads(1)
  tf.linalg.matmul(tf.ones((64, 64)), tf.ones((64, 64)))
  return tf


def _ours(sizes, kernel='auto', jit=False, checkpoint=None):
  """Returns a maker of this library's DNC."""
  _import_tensorflow()
  from nca_tf import memory

  def make():
    cell = memory.DNCCell(
      UNITS,
      memory_slots=sizes['slots'],
      word_size=sizes['words'],
      read_heads=sizes['heads'],
      output_size=OUTPUTS,
    )
    layer = memory.DNC(
      cell, return_sequences=True, kernel=kernel, checkpoint=checkpoint
    )
    return _make_step(layer, sizes, jit)

  return make


def _keras_lstm(sizes):
  tf = _import_tensorflow()
  return lambda: _make_step(
    tf.keras.layers.LSTM(UNITS, return_sequences=True), sizes
  )


def _pytorch_dnc(sizes, folder):
  import torch

  torch.set_num_threads(1)
  torch.ones((64, 64)) @ torch.ones((64, 64))
  sys.path[0] = folder
  # The package imports these for classes that are not used here.
  for name in ('faiss', 'flann', 'pyflann'):
    sys.modules.setdefault(name, types.ModuleType(name))
  import dnc

  def make():
    # Its output has the size of the input; the loss uses the first 64.
    net = dnc.DNC(
      input_size=INPUTS,
      hidden_size=UNITS,
      num_hidden_layers=1,
      nr_cells=sizes['slots'],
      cell_size=sizes['words'],
      read_heads=sizes['heads'],
    )
    inputs, targets = map(torch.tensor, _data(sizes))
    optimiser = torch.optim.SGD(net.parameters(), lr=RATE)

    def step():
      optimiser.zero_grad()
      outputs, _ = net(inputs, None, reset_experience=True)
      if outputs.shape[0] != inputs.shape[0]:
        outputs = outputs.transpose(0, 1)
      loss = torch.nn.functional.binary_cross_entropy_with_logits(
        outputs[..., :OUTPUTS], targets
      )
      loss.backward()
      optimiser.step()
      return loss.item()

    return step

  return make


def _deepmind_dnc(sizes, folder):
  tf = _import_tensorflow().compat.v1
  tf.disable_v2_behavior()
  sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
  import sonnet_shim

  sonnet_shim.install()
  sys.path[0] = folder
  from dnc import dnc

  def make():
    core = dnc.DNC(
      {
        'memory_size': sizes['slots'],
        'word_size': sizes['words'],
        'num_reads': sizes['heads'],
      },
      {'hidden_size': UNITS},
      OUTPUTS,
      clip_value=20,
    )
    inputs, targets = map(tf.constant, _data(sizes))
    outputs, _ = tf.nn.dynamic_rnn(
      core, inputs, initial_state=core.initial_state(sizes['batch'])
    )
    loss = tf.reduce_mean(
      tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=outputs)
    )
    train = tf.train.GradientDescentOptimizer(RATE).minimize(loss)
    session = tf.Session(
      config=tf.ConfigProto(
        intra_op_parallelism_threads=1, inter_op_parallelism_threads=1
      )
    )
    session.run(tf.global_variables_initializer())
    return lambda: session.run((loss, train))[0]

  return make


OURS = {
  'nca_tf': _ours,
  'nca_tf pure': lambda sizes: _ours(sizes, 'pure'),
  'nca_tf pure XLA': lambda sizes: _ours(sizes, 'pure', jit=True),
  'nca_tf plain': lambda sizes: _ours(sizes, 'plain'),
  'nca_tf checkpoint': lambda sizes: _ours(
    sizes, checkpoint=max(1, round(sizes['steps'] ** 0.5))
  ),
  'keras LSTM': _keras_lstm,
}
PEERS = {'pytorch-dnc': _pytorch_dnc, 'deepmind/dnc': _deepmind_dnc}

_state = {}


def start(implementation, sizes, folder=None):
  """Makes an implementation and does its first step, which compiles.

  Args:
    implementation: A name of `OURS` or `PEERS`.
    sizes: slots, words, heads, batch, steps.
    folder: Of its sources, where they are not this library's.

  Returns:
    Memory at rest, when all is imported but nothing made, in bytes; CPU
    seconds until the first step is done; its loss.
  """
  if implementation in OURS:
    make = OURS[implementation](sizes)
  else:
    make = PEERS[implementation](sizes, folder)
  _state.setdefault('rest', _memory('VmRSS'))
  began = time.process_time()
  _state['step'] = make()
  loss = float(_state['step']())
  seconds = time.process_time() - began
  return {'rest': _state['rest'], 'first': seconds, 'loss': loss}


def advance(count):
  """Trains; returns the CPU seconds of each step."""
  seconds = []
  for _ in range(count):
    began = time.process_time()
    float(_state['step']())  # Waits for the result.
    seconds.append(time.process_time() - began)
  return seconds


def peak():
  """Returns the most memory that the process has had, in bytes."""
  return _memory('VmHWM')


def _memory(name):
  text = pathlib.Path('/proc/self/status').read_text()
  return 1024 * int(text.split(f'{name}:')[1].split()[0])
