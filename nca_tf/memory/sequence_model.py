"""A recurrent cell over sequences with a linear output; any registered cell."""

import keras

from nca_tf import checks
from nca_tf.memory import cells


@keras.saving.register_keras_serializable(package='nca_tf')
class SequenceModel(keras.layers.Layer):
  """Maps sequences [B, T, F] to outputs [B, T, O].

      model = SequenceModel(cells.make('dnc', 64), output_size=8)
      outputs = model(sequences)
      state = model.get_initial_state(batch_size)
      output, state = model.step(inputs, state)  # The same, step by step.

  Args:
    cell: from `cells.make`; a DNC without an output of its own.
    output_size: O.
    **kwargs: Keras' own: name, dtype, trainable.

  Raises:
    ValueError: the cell is of an unknown kind, or output_size out of its range.
  """

  def __init__(self, cell: keras.layers.Layer, output_size: int, **kwargs):
    super().__init__(autocast=False, **kwargs)
    self.cell = cell
    self.unroll = cells.sequence_layer(cell)
    self.readout = keras.layers.Dense(
      checks.integer('output_size', output_size, 1), name='readout'
    )

  def build(self, sequences_shape):
    """Builds the cell and the output's matrix."""
    self.unroll.build(sequences_shape)
    self.readout.build((*sequences_shape[:2], self.cell.output_size))

  def call(self, sequences, training=False):
    """Runs sequences from the first state on."""
    return self.readout(self.unroll(sequences, training=training))

  def get_initial_state(self, batch_size: int):
    """The state before the first step."""
    return self.cell.get_initial_state(batch_size=batch_size)

  def step(self, inputs, state):
    """One step: [B, F] -> [B, O], and the next state."""
    hidden, state = self.cell(inputs, state)
    return self.readout(hidden), state

  def trace(self, sequences) -> tuple:
    """Outputs, and what happens in the cell's memory at every step.

    Args:
      sequences: [B, T, F].

    Returns:
      [B, T, O] and the arrays of `cells.trace`, None without a memory.
    """
    return self(sequences), cells.trace(self.cell, sequences)

  def get_config(self):
    """Keras' configuration; the cell as a serialised layer."""
    return {
      **super().get_config(),
      'cell': keras.saving.serialize_keras_object(self.cell),
      'output_size': self.readout.units,
    }

  @classmethod
  def from_config(cls, config):
    """The model of a configuration."""
    cell = keras.saving.deserialize_keras_object(config['cell'])
    return cls(**{**config, 'cell': cell})


def make(
  name: str, units: int, input_size: int, output_size: int, **options
) -> SequenceModel:
  """Makes and builds a model; see `cells.make`."""
  model = SequenceModel(cells.make(name, units, **options), output_size)
  model.build((None, None, input_size))
  return model


def nearest_units(
  name: str, parameters: int, input_size: int, output_size: int
) -> int:
  """Units that bring a model nearest to another one's number of weights.

  Args:
    name: of a cell without a memory, whose weights grow with its units.
    parameters: weights of the other model.
    input_size: F.
    output_size: O.
  """

  def count(units):
    return make(name, units, input_size, output_size).count_params()

  low, high = 1, 2
  while count(high) <= parameters:
    low, high = high, 2 * high
  while high - low > 1:  # count(low) <= parameters < count(high), or low is 1.
    middle = (low + high) // 2
    low, high = (middle, high) if count(middle) <= parameters else (low, middle)
  return min(low, high, key=lambda units: abs(count(units) - parameters))
