"""The Differentiable Neural Computer as a layer over sequences."""

import types
from typing import Any, NamedTuple

import keras
from keras import ops

from nca_tf import checks
from nca_tf.memory import dnc
from nca_tf.memory import keras_loop

Tensor = Any

KERNELS = ('auto', 'native', 'pure', 'plain')


class Trace(NamedTuple):
  """Memory, weightings and gates at every step of a sequence."""

  memory: Tensor  # [B, T, N, W], after the step, as all states here
  usage: Tensor  # [B, T, N]
  write_weights: Tensor  # [B, T, N]
  read_weights: Tensor  # [B, T, R, N]
  free_gates: Tensor  # [B, T, R]
  allocation_gate: Tensor  # [B, T, 1]
  write_gate: Tensor  # [B, T, 1]
  read_modes: Tensor  # [B, T, R, 3]: backward, content, forward


@keras.saving.register_keras_serializable(package='nca_tf')
class DNC(keras.layers.Layer):
  """Runs a DNCCell over sequences.

  `call(sequences [B, T, F], mask=None, initial_state=None)`. Where the mask
  [B, T] is false the input is ignored, the state stays as it is, and the output
  repeats the last one (zeros before the first), as in Keras.

      layer = DNC(DNCCell(256), return_sequences=True, return_state=True)
      outputs, state = layer(sequences)
      outputs, state = layer(more_sequences, initial_state=state)

  Returns the outputs [B, T, O], or the last one [B, O]; with `return_state`
  also the last `DNCState`, and with `return_trace` also a `Trace`, whose gates
  at masked steps mean nothing. Inputs, masks and states are cast to what the
  cell computes with. For keras.layers.Bidirectional and Keras' other tools it
  has the options, `states` and `reset_state` of keras.layers.LSTM.

  Args:
    cell: a DNCCell; its dtype policy is the layer's.
    return_sequences: outputs of all steps instead of the last one.
    return_state: append the last state.
    return_trace: append the trace; memory-hungry, [B, T, N, W].
    kernel: 'auto', 'native' or 'pure', see `unroll`, or 'plain' for Keras' loop
      and the automatic gradient. A mask, a trace, `unroll` and a cell that
      `unroll.supports` refuses always use Keras' loop; so does 'auto' in eager
      mode outside training, where no gradient is needed. A graph outside
      training never holds the compiled kernel, so that it can be exported; one
      that trains does unless the kernel is 'pure' or 'plain'.
    checkpoint: steps per chunk of `unroll`, to save memory in training.
    go_backwards: from the last step to the first; outputs come in that order.
    stateful: each call starts where the last one ended, for a known batch size.
    unroll: Keras' loop as a graph without a loop, for few steps.
    zero_output_for_mask: zeros at masked steps instead of the last output.
    **kwargs: Keras' own: name, trainable.

  Raises:
    ValueError: cell is no DNCCell, an argument is out of its range, a tensor
      has another shape, or there is no step.
  """

  # More than seven arguments: Keras' tools ask a layer for the last four.
  def __init__(
    self,
    cell: dnc.DNCCell,
    return_sequences: bool = False,
    return_state: bool = False,
    return_trace: bool = False,
    kernel: str = 'auto',
    checkpoint: int | None = None,
    go_backwards: bool = False,
    stateful: bool = False,
    unroll: bool = False,
    zero_output_for_mask: bool = False,
    **kwargs,
  ):
    if not isinstance(cell, dnc.DNCCell):
      raise ValueError(f'cell must be a DNCCell, got {type(cell).__name__}')
    kwargs['dtype'] = cell.dtype_policy
    super().__init__(autocast=False, **kwargs)
    self.cell = cell
    self.return_sequences = checks.boolean('return_sequences', return_sequences)
    self.return_state = checks.boolean('return_state', return_state)
    self.return_trace = checks.boolean('return_trace', return_trace)
    if kernel not in KERNELS:
      raise ValueError(f'kernel must be one of {KERNELS}, got {kernel!r}')
    if checkpoint is not None:
      checkpoint = checks.integer('checkpoint', checkpoint, 1)
    self.kernel = str(kernel)
    self.checkpoint = checkpoint
    self.go_backwards = checks.boolean('go_backwards', go_backwards)
    if self.go_backwards and self.return_trace:
      raise ValueError(
        'return_trace must be False where go_backwards is True, as it is in '
        'keras.layers.Bidirectional'
      )
    self.stateful = checks.boolean('stateful', stateful)
    self.unroll = checks.boolean('unroll', unroll)
    self.zero_output_for_mask = checks.boolean(
      'zero_output_for_mask', zero_output_for_mask
    )
    self.supports_masking = True
    self._carried = None

  def build(self, sequences_shape, initial_state_shape=None):
    """Builds the cell, and the states that a stateful layer carries."""
    del initial_state_shape
    self._check_sequences(sequences_shape)
    if not self.cell.built:
      self.cell.build((sequences_shape[0], sequences_shape[2]))
    if self.stateful and self._carried is None:
      if sequences_shape[0] is None:
        raise ValueError(
          'sequences must be of a known batch size where stateful is True, got '
          f'shape {tuple(sequences_shape)}'
        )
      self._carried = _hold(self.get_initial_state(sequences_shape[0]))

  def get_initial_state(self, batch_size: int | None = None) -> dnc.DNCState:
    """The state before the first step: all zeros."""
    return self.cell.get_initial_state(batch_size)

  @property
  def states(self) -> list | None:
    """Variables of what a stateful layer carries, in flattening order."""
    return None if self._carried is None else list(self._carried.states)

  def reset_state(self):
    """Lets a stateful layer start from zeros."""
    for variable in self.states or ():
      variable.assign(ops.zeros_like(variable.value))

  def reset_states(self):
    """The same, under Keras' older name."""
    self.reset_state()

  def call(self, sequences, mask=None, initial_state=None, training=False):
    """Runs the sequence; see the class."""
    sequences = ops.cast(sequences, self.compute_dtype)
    self._check_sequences(sequences.shape)
    if initial_state is None:
      initial_state = self.states
    if initial_state is None:
      initial_state = self.get_initial_state(ops.shape(sequences)[0])
    state = self.cell.pack_state(initial_state, sequences.shape[0])
    if mask is not None:
      mask = self._check_mask(mask, sequences.shape)
    if self.go_backwards:
      sequences = ops.flip(sequences, axis=1)
      mask = None if mask is None else ops.flip(mask, axis=1)
    results = None
    if mask is None and not self.return_trace and not self.unroll:
      results = self._unroll_fast(sequences, state, training)
    hidden, trace, state = results or keras_loop.run(
      self.cell,
      sequences,
      mask,
      state,
      training,
      traced=Trace._fields if self.return_trace else (),
      all_steps=self.return_sequences or self.return_trace,
      in_graph=self.unroll,
    )
    if self.stateful:
      for kept, new in zip(self.states, keras.tree.flatten(state), strict=True):
        kept.assign(new)
    outputs = self._read_out(hidden, mask)
    results = [outputs if self.return_sequences else outputs[:, 0]]
    if self.return_state:
      results.append(state)
    if self.return_trace:
      results.append(Trace(*trace))
    return results[0] if len(results) == 1 else tuple(results)

  def _check_sequences(self, shape):
    shape = tuple(shape)
    if len(shape) != 3:
      raise ValueError(f'sequences must be [B, T, F], got shape {shape}')
    if 0 in shape:
      raise ValueError(
        f'sequences must be [B, T, F] with none of them 0, got shape {shape}'
      )
    if self.unroll and shape[1] is None:
      raise ValueError(
        'sequences must be of a known length where unroll is True, got shape '
        f'{shape}'
      )
    features = self.cell.input_size
    if features is not None and shape[2] not in (None, features):
      raise ValueError(
        f'sequences must be [B, T, {features}], as those that the layer was '
        f'built for, got shape {shape}'
      )

  def _check_mask(self, mask, shape):
    mask = ops.cast(ops.convert_to_tensor(mask), 'bool')
    pairs = zip(mask.shape, shape[:2], strict=False)
    if len(mask.shape) != 2 or any(
      None not in pair and pair[0] != pair[1] for pair in pairs
    ):
      raise ValueError(
        f'mask must be [B, T], got shape {tuple(mask.shape)} for sequences of '
        f'shape {tuple(shape)}'
      )
    return mask

  def _read_out(self, hidden, mask):
    """The outputs of all steps or of the last one: [B, T or 1, O]."""
    outputs = self.cell.read_out(
      hidden if self.return_sequences else hidden[:, -1:]
    )
    if mask is None:
      return outputs
    seen = mask
    if not self.zero_output_for_mask:  # As in Keras: zeros before the first.
      seen = ops.cumsum(ops.cast(mask, 'int32'), axis=1) > 0
    seen = (seen if self.return_sequences else seen[:, -1:])[:, :, None]
    return ops.where(seen, outputs, ops.zeros_like(outputs))

  def _unroll_fast(self, sequences, state, training):
    """As `keras_loop.run` but by `unroll`; None where it does not apply."""
    if self.kernel == 'plain' or keras.backend.backend() != 'tensorflow':
      return None
    import tensorflow as tf
    from tensorflow.python.eager import record

    from nca_tf.memory.unrolled import unroll

    kernel, by_hand = self.kernel, True
    if not training and tf.executing_eagerly():
      if kernel == 'auto':
        return None
    elif not training:
      # The graph may be saved, and a SavedModel has to load in a process that
      # does not have the compiled kernel. Without a tape there is no gradient
      # to save with it.
      kernel, by_hand = 'pure', record.could_possibly_record()
    if not unroll.supports(self.cell):
      return None
    hidden, state = unroll.unroll(
      self.cell,
      sequences,
      state,
      checkpoint=self.checkpoint,
      kernel=kernel,
      by_hand=by_hand,
    )
    return hidden, (), state

  def compute_output_shape(self, sequences_shape, initial_state_shape=None):
    """Shapes of the results, as keras.layers.Bidirectional asks for them."""
    del initial_state_shape
    batch, steps, _ = sequences_shape
    middle = (steps,) if self.return_sequences else ()
    outputs = (batch, *middle, self.cell.output_size)
    if not self.return_state:
      return outputs
    state = self.cell.state_shapes(batch)
    # Keras takes an empty tuple for the shape of a scalar.
    return outputs, state._replace(controller=state.controller or {})

  def compute_output_spec(self, *args, **kwargs):
    """From a trial run: the state has dtypes of its own."""
    return keras.Operation.compute_output_spec(self, *args, **kwargs)

  def compute_mask(self, inputs, mask=None):
    """Passes the mask on where the output is a sequence."""
    del inputs
    return mask if self.return_sequences else None

  def resize(self, memory_slots: int) -> 'DNC':
    """A new layer with copies of the weights and another number of slots."""
    config = {**self.get_config(), 'cell': self.cell.resize(memory_slots)}
    return type(self)(**config)

  def get_config(self):
    """Keras' configuration; the cell as a serialised layer."""
    config = super().get_config()
    del config['dtype']  # It is the cell's.
    return {
      **config,
      'cell': keras.saving.serialize_keras_object(self.cell),
      'return_sequences': self.return_sequences,
      'return_state': self.return_state,
      'return_trace': self.return_trace,
      'kernel': self.kernel,
      'checkpoint': self.checkpoint,
      'go_backwards': self.go_backwards,
      'stateful': self.stateful,
      'unroll': self.unroll,
      'zero_output_for_mask': self.zero_output_for_mask,
    }

  @classmethod
  def from_config(cls, config):
    """The layer of a configuration."""
    cell = keras.saving.deserialize_keras_object(config['cell'])
    return cls(**{**config, 'cell': cell})


def _hold(state):
  """An object with variables of a state.

  As in Keras they are no weights, which would tie them to a batch size, but an
  exported model has them: TensorFlow sees what a tf.Module holds, Keras not.
  """
  holder = types.SimpleNamespace()
  if keras.backend.backend() == 'tensorflow':
    import tensorflow as tf

    holder = tf.Module()
  holder.states = [
    keras.Variable(
      tensor,
      dtype=keras.backend.standardize_dtype(tensor.dtype),
      trainable=False,
      name='state',
    )
    for tensor in keras.tree.flatten(state)
  ]
  return holder
