"""A recurrent cell over sequences with a linear output: DNC and LSTM alike."""

import keras
from keras import ops

from nca_tf.memory import cells
from nca_tf.memory import dnc
from nca_tf.memory import dnc_layer


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
  """

  def __init__(self, cell: keras.layers.Layer, output_size: int, **kwargs):
    super().__init__(autocast=False, **kwargs)
    self.cell = cell
    layer = keras.layers.RNN
    if isinstance(cell, dnc.DNCCell):
      layer = dnc_layer.DNC
    self.unroll = layer(cell, return_sequences=True)
    self.readout = keras.layers.Dense(output_size, name='readout')

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
    """Outputs, and what happened in the memory at every step of a DNC.

    Returns:
      [B, T, O] and a `Trace`, or None for a cell without a memory.
    """
    if not isinstance(self.cell, dnc.DNCCell):
      return self(sequences), None
    tracing = dnc_layer.DNC(self.cell, return_sequences=True, return_trace=True)
    hidden, trace = tracing(ops.convert_to_tensor(sequences))
    return self.readout(hidden), trace


def lstm_parameters(units: int, input_size: int, output_size: int) -> int:
  """Weights of an LSTM with its output: 4 u (F + u + 1) + (u + 1) O."""
  return 4 * units * (input_size + units + 1) + (units + 1) * output_size


def lstm_units(parameters: int, input_size: int, output_size: int) -> int:
  """Units that bring an LSTM nearest to another model's number of weights.

  Args:
    parameters: what the other model has.
    input_size: F.
    output_size: O.
  """

  def distance(units):
    return abs(lstm_parameters(units, input_size, output_size) - parameters)

  units = 1
  while distance(units + 1) < distance(units):
    units += 1
  return units


def make(
  name: str, units: int, input_size: int, output_size: int, **options
) -> SequenceModel:
  """Makes and builds a model; see `cells.make`."""
  model = SequenceModel(cells.make(name, units, **options), output_size)
  model.build((None, None, input_size))
  return model
