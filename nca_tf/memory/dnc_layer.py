"""The Differentiable Neural Computer as a layer over sequences."""

from typing import Any, NamedTuple

import keras
from keras import ops

from nca_tf.memory import dnc

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
  at masked steps mean nothing.

  Args:
    cell: a DNCCell; its dtype policy is the layer's.
    return_sequences: outputs of all steps instead of the last one.
    return_state: append the last state.
    return_trace: append the trace; memory-hungry, [B, T, N, W].
    kernel: 'auto', 'native' or 'pure', see `unroll`, or 'plain' for Keras' loop
      and the automatic gradient. A mask, a trace and a cell that `unroll`
      does not support always use Keras' loop; so does 'auto' in eager mode
      outside training, where no gradient is needed.
    checkpoint: steps per chunk of `unroll`, to save memory in training.
    **kwargs: Keras' own: name, trainable.

  Raises:
    ValueError: cell is no DNCCell, or a tensor has another shape.
  """

  def __init__(
    self,
    cell: dnc.DNCCell,
    return_sequences: bool = False,
    return_state: bool = False,
    return_trace: bool = False,
    kernel: str = 'auto',
    checkpoint: int | None = None,
    **kwargs,
  ):
    if not isinstance(cell, dnc.DNCCell):
      raise ValueError(f'cell must be a DNCCell, got {type(cell).__name__}')
    kwargs['dtype'] = cell.dtype_policy
    super().__init__(autocast=False, **kwargs)
    self.cell = cell
    self.return_sequences = return_sequences
    self.return_state = return_state
    self.return_trace = return_trace
    if kernel not in KERNELS:
      raise ValueError(f'kernel must be one of {KERNELS}, got {kernel!r}')
    if checkpoint is not None and checkpoint < 1:
      raise ValueError(f'checkpoint must be at least 1, got {checkpoint}')
    self.kernel = kernel
    self.checkpoint = checkpoint
    self.supports_masking = True

  def build(self, sequences_shape, initial_state_shape=None):
    """Builds the cell."""
    del initial_state_shape
    if len(sequences_shape) != 3:
      raise ValueError(
        f'sequences must be [B, T, F], got shape {tuple(sequences_shape)}'
      )
    if not self.cell.built:
      self.cell.build((sequences_shape[0], sequences_shape[2]))

  def get_initial_state(self, batch_size: int | None = None) -> dnc.DNCState:
    """The state before the first step: all zeros."""
    return self.cell.get_initial_state(batch_size)

  def call(self, sequences, mask=None, initial_state=None, training=False):
    """Runs the sequence; see the class."""
    if initial_state is None:
      initial_state = self.get_initial_state(ops.shape(sequences)[0])
    state = self.cell.pack_state(initial_state)
    if mask is not None and len(mask.shape) != 2:
      raise ValueError(f'mask must be [B, T], got shape {tuple(mask.shape)}')
    sequences = ops.cast(sequences, self.compute_dtype)
    results = None
    if mask is None and not self.return_trace:
      results = self._unroll_fast(sequences, state, training)
    hidden, trace, state = results or self._unroll(
      sequences, mask, state, training
    )
    outputs = self.cell.read_out(
      hidden if self.return_sequences else hidden[:, -1:]
    )
    if mask is not None:  # As in Keras: zeros before the first output.
      seen = ops.cumsum(ops.cast(mask, 'int32'), axis=1) > 0
      seen = (seen if self.return_sequences else seen[:, -1:])[:, :, None]
      outputs = ops.where(seen, outputs, ops.zeros_like(outputs))
    results = [outputs if self.return_sequences else outputs[:, 0]]
    if self.return_state:
      results.append(state)
    if self.return_trace:
      results.append(trace)
    return results[0] if len(results) == 1 else tuple(results)

  def _unroll_fast(self, sequences, state, training):
    """As `_unroll` but by `unroll`; None where it does not apply."""
    if self.kernel == 'plain' or keras.backend.backend() != 'tensorflow':
      return None
    import tensorflow as tf

    from nca_tf.memory.unrolled import unroll

    kernel = self.kernel
    if kernel == 'auto' and not training:
      if tf.executing_eagerly():
        return None
      # The graph may be saved, and a SavedModel has to load in a process
      # that does not have the compiled kernel.
      kernel = 'pure'
    if not unroll.supports(self.cell):
      return None
    hidden, state = unroll.unroll(
      self.cell, sequences, state, checkpoint=self.checkpoint, kernel=kernel
    )
    return hidden, None, state

  def _unroll(self, sequences, mask, state, training):
    """Runs the cell over time in Keras' loop.

    On some backends Keras' own masks assume that the output is one tensor and
    part of the state. So the mask is passed as a last column of the inputs, and
    the last output as a last tensor of the state.
    """

    def pack(flat):
      return keras.tree.pack_sequence_as(state, flat)

    carried = keras.tree.flatten(state)
    count = len(carried)
    if mask is not None:
      keep = ops.cast(mask, 'bool')[:, :, None]
      sequences = ops.where(keep, sequences, ops.zeros_like(sequences))
      column = ops.cast(keep, sequences.dtype)
      sequences = ops.concatenate([sequences, column], axis=-1)
      size = self.cell.controller_size + self.cell.reads_size
      shape = (ops.shape(sequences)[0], size)
      carried = [*carried, ops.zeros(shape, self.compute_dtype)]

    def step(inputs, carried):
      seen = inputs if mask is None else inputs[:, :-1]
      hidden, after, interface = self.cell.advance(
        seen, pack(carried[:count]), training
      )
      flat = keras.tree.flatten(after)
      if mask is not None:
        keep = inputs[:, -1] > 0.5  # [B]
        flat = [
          _select(keep, new, old)
          for new, old in zip([*flat, hidden], carried, strict=True)
        ]
        after, hidden = pack(flat[:count]), flat[-1]
      emitted = (hidden,)
      if self.return_trace:
        parts = {**after.access._asdict(), **interface._asdict()}
        emitted = (hidden, *(parts[name] for name in Trace._fields))
      return emitted, tuple(flat)

    loop = keras.layers.RNN(
      _Step(step),
      return_sequences=self.return_sequences or self.return_trace,
      name='unroll',
    )
    _, emitted, last = loop.inner_loop(sequences, tuple(carried), mask=None)
    hidden, *trace = emitted
    trace = Trace(*trace) if self.return_trace else None
    return hidden, trace, pack(list(last)[:count])

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
    }

  @classmethod
  def from_config(cls, config):
    """The layer of a configuration."""
    cell = keras.saving.deserialize_keras_object(config['cell'])
    return cls(**{**config, 'cell': cell})


class _Step:
  """A function in the form of a cell for keras.layers.RNN."""

  state_size = 1

  def __init__(self, function):
    self.call = function

  def __call__(self, inputs, states):
    return self.call(inputs, states)


def _select(keep, new, old):
  """New where `keep` [B], else old; the tensors are [B, ...]."""
  keep = ops.reshape(keep, (-1, *[1] * (len(new.shape) - 1)))
  return ops.where(keep, new, old)
