"""A DNCCell over sequences in Keras' loop: masks, traces, any backend."""

import keras
from keras import ops


def run(
  cell, sequences, mask, state, training, traced, all_steps, in_graph=False
):
  """Runs a cell over sequences.

  On some backends Keras' own masks assume that the output is one tensor and
  part of the state. So the mask is passed as a last column of the inputs, and
  the last output as a last tensor of the state.

  Args:
    cell: a DNCCell.
    sequences: [B, T, F].
    mask: bool [B, T], or None. Where it is false state and output stay.
    state: before the first step.
    training: for a controller with dropout.
    traced: names of fields of `access.AccessState` and `access.Interface`.
    all_steps: whether all steps are wanted, or the last one alone.
    in_graph: step after step without a loop, for a known T.

  Returns:
    h beside the words read [B, T or 1, H + R W], the traced fields of each
    step, and the last state.
  """

  def pack(flat):
    return keras.tree.pack_sequence_as(state, flat)

  carried = keras.tree.flatten(state)
  count = len(carried)
  if mask is not None:
    sequences = _append(mask, sequences)
    shape = ops.shape(sequences)[0], cell.controller_size + cell.reads_size
    carried = [*carried, ops.zeros(shape, cell.compute_dtype)]

  def step(inputs, carried):
    seen = inputs if mask is None else inputs[:, :-1]
    hidden, after, interface = cell.advance(
      seen, pack(carried[:count]), training
    )
    flat = keras.tree.flatten(after)
    if mask is not None:
      keep = inputs[:, -1] > 0.5  # [B]
      pairs = zip([*flat, hidden], carried, strict=True)
      flat = [_select(keep, new, old) for new, old in pairs]
      after, hidden = pack(flat[:count]), flat[-1]
    parts = {**after.access._asdict(), **interface._asdict()}
    return (hidden, *(parts[name] for name in traced)), tuple(flat)

  if in_graph:
    emitted, last = _without_loop(step, sequences, carried)
  else:
    loop = keras.layers.RNN(
      _Step(step), return_sequences=all_steps, name='unroll'
    )
    _, emitted, last = loop.inner_loop(sequences, tuple(carried), mask=None)
  hidden, *trace = emitted
  return hidden, trace, pack(list(last)[:count])


def _append(mask, sequences):
  """The mask as a last column of the sequences, which are zero where it is."""
  keep = mask[:, :, None]
  sequences = ops.where(keep, sequences, ops.zeros_like(sequences))
  return ops.concatenate([sequences, ops.cast(keep, sequences.dtype)], axis=-1)


class _Step:
  """A function in the form of a cell for keras.layers.RNN."""

  state_size = 1

  def __init__(self, function):
    self.call = function

  def __call__(self, inputs, states):
    return self.call(inputs, states)


def _without_loop(step, sequences, carried):
  """What all steps emit, [B, T, ...], and the tensors carried at the end."""
  emitted = []
  for t in range(sequences.shape[1]):
    now, carried = step(sequences[:, t], carried)
    emitted.append(now)
  return [ops.stack(parts, 1) for parts in zip(*emitted, strict=True)], carried


def _select(keep, new, old):
  """New where `keep` [B], else old; the tensors are [B, ...]."""
  keep = ops.reshape(keep, (-1, *[1] * (len(new.shape) - 1)))
  return ops.where(keep, new, old)
