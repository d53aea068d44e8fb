"""Any cell over windows of several episodes, each with a state of its own."""

from typing import Any

import keras
import tensorflow as tf

from nca_tf.memory.unrolled import unroll as unroll_lib

Tensor = Any


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
  """
  kept = tf.logical_not(is_first)
  state = [
    part * tf.cast(_like(kept, part), part.dtype)
    for part in map(tf.convert_to_tensor, state)
  ]
  output, after = cell(inputs, _pack(cell, state))
  return output, keras.tree.flatten(after)


def unroll(
  cell: keras.layers.Layer,
  inputs: Tensor,
  is_first: Tensor,
  state: list,
  kernel: str = 'auto',
) -> tuple[Tensor, list]:
  """Runs T steps, by the fast gradient where the cell has one.

  Args:
    cell: A built cell of the registry.
    inputs: [B, T, F].
    is_first: Bool [B, T], where episodes begin.
    state: Before the first step, as in `advance`.
    kernel: Of `unroll.unroll`, or 'plain' for the loop over the cell.

  Returns:
    Outputs [B, T, O], and the state after the last step, flat.
  """
  if kernel == 'plain' or not unroll_lib.supports(cell):
    return _loop(cell, inputs, is_first, state)
  keep = tf.cast(tf.logical_not(is_first), inputs.dtype)
  state = _pack(cell, [tf.convert_to_tensor(part) for part in state])
  hidden, after = unroll_lib.unroll(cell, inputs, state, keep, kernel=kernel)
  return cell.read_out(hidden), keras.tree.flatten(after)


def _loop(cell, inputs, is_first, state):
  inputs, is_first = (
    tf.transpose(part, [1, 0, *range(2, len(part.shape))])
    for part in (inputs, is_first)
  )
  steps = inputs.shape[0] or tf.shape(inputs)[0]
  outputs = tf.TensorArray(
    inputs.dtype, steps, element_shape=[None, cell.output_size]
  )

  def body(t, state, outputs):
    output, state = advance(cell, inputs[t], is_first[t], state)
    return t + 1, state, outputs.write(t, output)

  start = tf.constant(0), [tf.convert_to_tensor(part) for part in state]
  _, state, outputs = tf.while_loop(
    lambda t, *_: t < steps, body, (*start, outputs), maximum_iterations=steps
  )
  return tf.transpose(outputs.stack(), [1, 0, 2]), state


def _pack(cell, flat):
  return keras.tree.pack_sequence_as(cell.get_initial_state(batch_size=1), flat)


def _like(mask, part):
  """Returns bool [B] with as many axes as a part of the state."""
  return tf.reshape(mask, [-1] + [1] * (len(part.shape) - 1))
