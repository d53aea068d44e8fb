"""Feed-forward controllers of a DNC."""

import keras
from keras import ops

from nca_tf import checks


@keras.saving.register_keras_serializable(package='nca_tf')
class FeedForward(keras.layers.Layer):
  """tanh(W [x; r / sqrt(1 + |r|^2)] + b): no state but the memory's.

  A controller without a state of its own has to keep everything in the memory
  (Graves et al., Neural Turing Machines (2014), section 3.3.2). Its input, the
  words read, r, is scaled to a norm below 1, so that words longer than any in
  training still drive the gates as in training. The DNC's output has r itself.

  `call([B, F + R W]) -> [B, units]`, as `DNCCell` calls its controller.

  Args:
    units: length of the output.
    reads_size: R W, the length of r.
    **kwargs: Keras' own: name, dtype, trainable.

  Raises:
    ValueError: a size is no integer of at least 1.
  """

  def __init__(self, units: int, reads_size: int, **kwargs):
    super().__init__(**kwargs)
    self.units = checks.integer('units', units, 1)
    self.reads_size = checks.integer('reads_size', reads_size, 1)
    self._dense = keras.layers.Dense(
      self.units, activation='tanh', dtype=self.dtype_policy, name='dense'
    )

  def build(self, input_shape):
    """Makes the weights."""
    self._dense.build(input_shape)

  def call(self, inputs):
    """The hidden units."""
    reads = inputs[:, -self.reads_size :]
    square = ops.sum(ops.square(reads), axis=-1, keepdims=True)
    bounded = reads * ops.rsqrt(1.0 + square)
    seen = ops.concatenate([inputs[:, : -self.reads_size], bounded], axis=-1)
    return self._dense(seen)

  def compute_output_shape(self, input_shape):
    """[B, units]."""
    return (*input_shape[:-1], self.units)

  def get_config(self):
    """Constructor arguments."""
    config = {'units': self.units, 'reads_size': self.reads_size}
    return {**super().get_config(), **config}
