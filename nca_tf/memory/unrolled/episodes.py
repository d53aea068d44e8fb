"""Any cell over windows of several episodes, each with a state of its own."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from nca_tf.memory.unrolled import unroll as unroll_lib

Tensor = Any


def pack(cell: keras.layers.Layer, state: list) -> Any:
  """Returns a flat state in the nesting, and the dtypes, of the cell's own.

  Raises:
    ValueError: It has another number of tensors.
  """
  reference = cell.get_initial_state(batch_size=1)
  state, own = list(state), keras.tree.flatten(reference)
  if len(state) != len(own):
    raise ValueError(f'state must be {len(own)} tensors, got {len(state)}')
  pairs = zip(state, own, strict=True)
  return keras.tree.pack_sequence_as(
    reference, [ops.cast(part, like.dtype) for part, like in pairs]
  )


def advance(
  cell: keras.layers.Layer, inputs: Tensor, is_first: Tensor, state: list
) -> tuple[Tensor, list]:
  """Runs one step.

  Args:
    cell: A built cell of the registry.
    inputs: [B, F].
    is_first: Bool [B]; there the step starts from a state of zeros.
    state: Flat list of tensors [B, ...].

  Returns:
    The output [B, O], and the state after the step, flat.

  Raises:
    ValueError: The state has another number of tensors.
  """
  return _advance(cell, inputs, 1 - ops.cast(is_first, inputs.dtype), state)


def unroll(
  cell: keras.layers.Layer,
  inputs: Tensor,
  is_first: Tensor,
  state: list,
  kernel: str = 'auto',
  checkpoint: int | None = None,
) -> tuple[Tensor, list]:
  """Runs T steps, by the fast gradient where the cell has one.

  Args:
    cell: A built cell of the registry.
    inputs: [B, T, F].
    is_first: Bool [B, T], where episodes begin.
    state: Before the first step, as in `advance`.
    kernel: Of `unroll.unroll`, or 'plain' for the loop over the cell.
    checkpoint: Of `unroll.unroll`.

  Returns:
    Outputs [B, T, O], and the state after the last step, flat.

  Raises:
    ValueError: The state has another number of tensors.
  """
  keep = 1 - ops.cast(is_first, inputs.dtype)
  if kernel == 'plain' or not unroll_lib.supports(cell):
    return _loop(cell, inputs, keep, state)
  hidden, after = unroll_lib.unroll(
    cell, inputs, pack(cell, state), keep, checkpoint, kernel
  )
  return cell.read_out(hidden), keras.tree.flatten(after)


def _advance(cell, inputs, keep, state):
  """As `advance`; keep is [B], 0 where an episode begins, else 1."""

  def forget(part):
    rows = ops.reshape(keep, (-1,) + (1,) * (len(part.shape) - 1))
    return part * ops.cast(rows, part.dtype)

  output, after = cell(inputs, pack(cell, map(forget, state)))
  return output, keras.tree.flatten(after)


def _loop(cell, inputs, keep, state):
  """`unroll` for any cell, with the automatic gradient."""
  inputs = tf.transpose(inputs, [1, 0, 2])
  steps = inputs.shape[0] or tf.shape(inputs)[0]
  source = tf.TensorArray(inputs.dtype, steps).unstack(inputs)
  kept = tf.TensorArray(inputs.dtype, steps).unstack(tf.transpose(keep))
  outputs = tf.TensorArray(
    inputs.dtype, steps, element_shape=[None, cell.output_size]
  )

  def body(t, state, outputs):
    output, state = _advance(cell, source.read(t), kept.read(t), state)
    return t + 1, state, outputs.write(t, output)

  start = tf.constant(0), keras.tree.flatten(pack(cell, state)), outputs
  _, state, outputs = tf.while_loop(
    lambda t, *_: t < steps, body, start, maximum_iterations=steps
  )
  return tf.transpose(outputs.stack(), [1, 0, 2]), state
