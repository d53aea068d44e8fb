"""As much of Sonnet 1 as deepmind/dnc needs, on TensorFlow 2's compat.v1.

Sonnet 1 needs TensorFlow 1. `install` makes `import sonnet` give this module
and `import tensorflow` give compat.v1, in a process that does nothing else.
Modules, Linear and LSTM compute what Sonnet's did (LSTM: forget bias 1).
"""

import contextlib
import sys
import types

import tensorflow.compat.v1 as tf


class AbstractModule:
  """A callable: `_build` computes, with variables in the module's scope."""

  def __init__(self, name='module'):
    with tf.variable_scope(None, default_name=name) as scope:
      self._scope = scope

  @contextlib.contextmanager
  def _enter_variable_scope(self):
    with tf.variable_scope(self._scope, reuse=tf.AUTO_REUSE):
      yield

  def __call__(self, *inputs, **named):
    """Calls `_build` in the module's scope."""
    with self._enter_variable_scope():
      return self._build(*inputs, **named)


class RNNCore(AbstractModule):
  """A module that carries a state from step to step."""

  def initial_state(self, batch_size, dtype=tf.float32):
    """Returns zeros."""
    return self.zero_state(batch_size, dtype)

  def zero_state(self, batch_size, dtype):
    """Returns zeros; `tf.nn.dynamic_rnn` calls it by this name."""
    return tf.nest.map_structure(
      lambda size: tf.zeros([batch_size, *tf.TensorShape(size)], dtype),
      self.state_size,
    )


class Linear(AbstractModule):
  """X W + b."""

  def __init__(self, output_size, name='linear'):
    super().__init__(name)
    self._size = output_size

  def _build(self, inputs):
    size = int(inputs.shape[-1])
    weights = tf.get_variable(
      'w',
      [size, self._size],
      initializer=tf.truncated_normal_initializer(stddev=size**-0.5),
    )
    bias = tf.get_variable(
      'b', [self._size], initializer=tf.zeros_initializer()
    )
    return tf.matmul(inputs, weights) + bias


class LSTM(RNNCore):
  """One layer, no peepholes."""

  def __init__(self, hidden_size, name='lstm'):
    super().__init__(name)
    self._linear = Linear(4 * hidden_size, name='gates')
    self.output_size = tf.TensorShape([hidden_size])
    self.state_size = (self.output_size, self.output_size)

  def _build(self, inputs, state):
    h, c = state
    gates = self._linear(tf.concat([inputs, h], axis=1))
    i, j, f, o = tf.split(gates, 4, axis=1)
    c = tf.sigmoid(f + 1.0) * c + tf.sigmoid(i) * tf.tanh(j)
    h = tf.sigmoid(o) * tf.tanh(c)
    return h, (h, c)


class BatchFlatten(AbstractModule):
  """Reshapes [B, ...] to [B, n]."""

  def _build(self, inputs):
    return tf.reshape(inputs, [-1, inputs.shape[1:].num_elements()])


class BatchApply(AbstractModule):
  """Applies an op to [B * R, ...], the first two axes of its input merged."""

  def __init__(self, module_or_op, name='batch_apply'):
    super().__init__(name)
    self._apply = module_or_op

  def _build(self, inputs):
    first = tf.shape(inputs)[:2]
    rest = inputs.shape[2:]
    outputs = self._apply(tf.reshape(inputs, [-1, *rest]))
    return tf.reshape(outputs, tf.concat([first, rest], axis=0))


def install():
  """Puts the shims of sonnet and TensorFlow 1 into `sys.modules`."""
  tensorflow = types.ModuleType('tensorflow')
  tensorflow.__dict__.update(tf.__dict__)
  tensorflow.contrib = types.SimpleNamespace(
    framework=types.SimpleNamespace(nest=tf.nest)
  )
  sys.modules['tensorflow'] = tensorflow
  sys.modules['sonnet'] = sys.modules[__name__]
