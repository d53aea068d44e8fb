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


def _data(batch, steps):
  """Returns inputs [B, T, 68] and targets of 0 and 1 [B, T, 64]."""
  import numpy as np

  rng = np.random.default_rng(0)
  inputs = rng.normal(size=(batch, steps, INPUTS)).astype('float32')
  targets = (rng.uniform(size=(batch, steps, OUTPUTS)) > 0.5).astype('float32')
  return inputs, targets


class _Layer:
  """Trains a Keras layer over sequences, a step at a time."""

  def __init__(self, layer, sizes, jit=False):
    import tensorflow as tf

    inputs, targets = map(tf.constant, _data(sizes['batch'], sizes['steps']))
    readout = tf.keras.layers.Dense(OUTPUTS)
    readout.build((None, UNITS))

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

    layer.build(inputs.shape)
    function = tf.function(train, autograph=False, jit_compile=jit)
    self.step = lambda: float(function())


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


def _ours(sizes, kernel, jit=False, checkpoint=None):
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
    return _Layer(layer, sizes, jit)

  return make


def _keras_lstm(sizes):
  tf = _import_tensorflow()
  return lambda: _Layer(
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

  class Trainer:
    def __init__(self):
      # Its output has the size of the input; the loss uses the first 64.
      self.net = dnc.DNC(
        input_size=INPUTS,
        hidden_size=UNITS,
        num_hidden_layers=1,
        nr_cells=sizes['slots'],
        cell_size=sizes['words'],
        read_heads=sizes['heads'],
      )
      self.data = list(map(torch.tensor, _data(sizes['batch'], sizes['steps'])))
      self.optimiser = torch.optim.SGD(self.net.parameters(), lr=RATE)

    def step(self):
      inputs, targets = self.data
      self.optimiser.zero_grad()
      outputs, _ = self.net(inputs, None, reset_experience=True)
      if outputs.shape[0] != inputs.shape[0]:
        outputs = outputs.transpose(0, 1)
      loss = torch.nn.functional.binary_cross_entropy_with_logits(
        outputs[..., :OUTPUTS], targets
      )
      loss.backward()
      self.optimiser.step()
      return loss.item()

  return Trainer


def _deepmind_dnc(sizes, folder):
  tf = _import_tensorflow().compat.v1
  tf.disable_v2_behavior()
  sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
  import sonnet_shim

  sonnet_shim.install()
  sys.path[0] = folder
  from dnc import dnc

  class Trainer:
    def __init__(self):
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
      inputs, targets = map(tf.constant, _data(sizes['batch'], sizes['steps']))
      outputs, _ = tf.nn.dynamic_rnn(
        core, inputs, initial_state=core.initial_state(sizes['batch'])
      )
      self.loss = tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=outputs)
      )
      self.train = tf.train.GradientDescentOptimizer(RATE).minimize(self.loss)
      self.session = tf.Session(
        config=tf.ConfigProto(
          intra_op_parallelism_threads=1, inter_op_parallelism_threads=1
        )
      )
      self.session.run(tf.global_variables_initializer())

    def step(self):
      return float(self.session.run((self.loss, self.train))[0])

  return Trainer


_MAKERS = {
  'nca_tf': lambda sizes, folder: _ours(sizes, 'auto'),
  'nca_tf pure': lambda sizes, folder: _ours(sizes, 'pure'),
  'nca_tf pure XLA': lambda sizes, folder: _ours(sizes, 'pure', jit=True),
  'nca_tf plain': lambda sizes, folder: _ours(sizes, 'plain'),
  'nca_tf checkpoint': lambda sizes, folder: _ours(
    sizes, 'auto', checkpoint=max(1, round(sizes['steps'] ** 0.5))
  ),
  'keras LSTM': lambda sizes, folder: _keras_lstm(sizes),
  'pytorch-dnc': _pytorch_dnc,
  'deepmind/dnc': _deepmind_dnc,
}

_state = {}


def start(implementation, sizes, folder=None):
  """Makes an implementation and does its first step, which compiles.

  Args:
    implementation: A name of `_MAKERS`.
    sizes: slots, words, heads, batch, steps.
    folder: Of its sources, where they are not this library's.

  Returns:
    Memory at rest, when all is imported but nothing made, in bytes; CPU
    seconds until the first step is done; its loss.
  """
  make = _MAKERS[implementation](sizes, folder)
  _state.setdefault('rest', _memory('VmRSS'))
  began = time.process_time()
  _state['trainer'] = make()
  loss = _state['trainer'].step()
  seconds = time.process_time() - began
  return {'rest': _state['rest'], 'first': seconds, 'loss': loss}


def advance(count):
  """Trains; returns the CPU seconds of each step."""
  seconds = []
  for _ in range(count):
    began = time.process_time()
    _state['trainer'].step()
    seconds.append(time.process_time() - began)
  return seconds


def peak():
  """Returns the most memory that the process has had, in bytes."""
  return _memory('VmHWM')


def _memory(name):
  for line in pathlib.Path('/proc/self/status').read_text().splitlines():
    if line.startswith(name + ':'):
      return 1024 * int(line.split()[1])
  raise ValueError(f'name must be in /proc/self/status, got {name!r}')


CALLS = {'start': start, 'advance': advance, 'peak': peak}
