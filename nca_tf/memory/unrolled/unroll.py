"""A DNC over whole sequences, with a gradient written by hand.

The recurrence of `DNCCell` with an LSTM as its controller, forwards and
backwards, for TensorFlow; exact to rounding. It is faster than the automatic
gradient and takes less memory:

- It keeps of each step the state before it, the pre-activations of gates and
  interface, and the order of the sorted usages. The rest is computed again.
- The gradients of the weights are not summed step by step: those of gates and
  interfaces are collected, and one large product follows the loop.
- `checkpoint` keeps states only at the starts of chunks and runs each chunk
  again for its gradient, with the order of the usages from the first run, as
  rounding could sort ties otherwise and change the gradient.

The memory access itself is `access_gradient` in TensorFlow's operations, or
the compiled kernel of `native`.

A gradient may be asked for where the steps cannot be reached that were kept:
`GradientTape.jacobian` traces a graph after an eager run, and SavedModels save
gradients as functions of their own. There the run is repeated, in TensorFlow's
operations, with the first run's order of the usages.
"""

from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.saved_model import save_context

from nca_tf import checks
from nca_tf.memory import dnc
from nca_tf.memory.unrolled import access_gradient
from nca_tf.memory.unrolled import native
from nca_tf.memory.unrolled import recurrence

Tensor = Any

KERNELS = ('auto', 'native', 'pure')


def supports(cell) -> bool:
  """Whether `unroll` can run a cell: a plain DNCCell with a plain LSTM.

  Other controllers, dropout, half precision, the options of `extensions` and
  sparse links need the loop over `DNCCell.advance`.
  """
  if not isinstance(cell, dnc.DNCCell):
    return False
  policy = cell.dtype_policy
  lstm = cell.controller
  return (
    type(cell).advance is dnc.DNCCell.advance
    and not any(cell.options)
    and cell.sparse_links is None
    and policy.compute_dtype == policy.variable_dtype
    and policy.compute_dtype in ('float32', 'float64')
    and type(lstm) is keras.layers.LSTMCell
    and lstm.activation is keras.activations.tanh
    and lstm.recurrent_activation is keras.activations.sigmoid
    and not lstm.dropout
    and not lstm.recurrent_dropout
    and lstm.compute_dtype == policy.compute_dtype
  )


def unroll(
  cell: dnc.DNCCell,
  sequences: Tensor,
  state: dnc.DNCState,
  keep: Tensor | None = None,
  checkpoint: int | None = None,
  kernel: str = 'auto',
  by_hand: bool = True,
) -> tuple[Tensor, dnc.DNCState]:
  """Runs a cell over sequences.

  Args:
    cell: a cell that `supports` accepts.
    sequences: [B, T, F].
    state: before the first step, in any form that `DNCCell.pack_state` takes.
    keep: [B, T], 0 where a new episode begins, whose step starts from a state
      of zeros, else 1; None for all ones.
    checkpoint: steps per chunk, see the module; None keeps every step. About
      sqrt(T) takes the least memory; the forward pass is computed twice.
    kernel: 'native' or 'pure', see the module; 'auto' uses the native one
      where possible: on a CPU, with a compiler, and outside XLA.
    by_hand: False leaves the gradient to TensorFlow, for graphs that are saved
      or run without one: nothing is kept of the steps.

  Returns:
    As from `DNCCell.advance`: h beside the words read, [B, T, H + R W], and
    the state after the last step.

  Raises:
    ValueError: an argument is out of its range.
  """
  if kernel not in KERNELS:
    raise ValueError(f'kernel must be one of {KERNELS}, got {kernel!r}')
  if checkpoint is not None:
    checkpoint = checks.integer('checkpoint', checkpoint, 1)
  step = _select_kernel(kernel, cell.read_heads)
  settings = access_gradient.Settings(
    cell.read_heads, cell.word_size, cell.convention
  )
  sequences = tf.transpose(tf.cast(sequences, cell.compute_dtype), [1, 0, 2])
  if keep is not None:
    keep = tf.transpose(tf.cast(keep, sequences.dtype))
  state = cell.pack_state(state)
  h, c = state.controller
  reads = tf.reshape(state.reads, [-1, cell.reads_size])
  carry = recurrence.Carry(h, c, reads, state.access)

  def run(sequences, weights, carry):
    def make(step):
      return recurrence.Recurrence(step, settings, sequences, keep, weights)

    if by_hand:
      return _differentiable(make, step, carry, checkpoint)
    return _run_only(make(step), carry)

  run = tf.custom_gradient(run) if by_hand else run
  hidden, carry = run(sequences, _weights(cell), carry)
  reads = tf.reshape(carry.reads, [-1, cell.read_heads, cell.word_size])
  after = dnc.DNCState((carry.h, carry.c), reads, carry.access)
  return tf.transpose(hidden, [1, 0, 2]), after


def _run_only(loops, carry):
  """Hidden [T, B, H + R W] and the last carry."""
  last, hidden, _, _ = loops.forward(
    (0, loops.steps), carry, loops.array(), loops.array(dtype=tf.int32)
  )
  return hidden.stack(), last


def _differentiable(make, step, carry, checkpoint):
  """As `_run_only`, and the gradient of both.

  `make` makes the `Recurrence` of a kernel, and `step` is the kernel.
  """

  def run(loops, orders=None):
    if checkpoint is None:
      return _whole(loops, carry, orders)
    return _in_chunks(loops, carry, checkpoint, orders)

  was_eager = tf.executing_eagerly()
  loops = make(step)
  hidden, last, orders, reverse = run(loops)
  hidden, order = hidden.stack(), orders.stack()

  def gradient(d_hidden, *d_last):
    here, seen, back = loops, hidden, reverse
    if was_eager != tf.executing_eagerly() or save_context.in_save_context():
      here = make(access_gradient)
      orders = here.array(dtype=tf.int32).unstack(order)
      seen, _, _, back = run(here, orders)
      seen = seen.stack()
    d_last = tf.nest.pack_sequence_as(carry, d_last)
    slopes = here.array(), here.array()
    d_hidden = here.array().unstack(d_hidden)
    d_carry, slopes = back(d_hidden, d_last, slopes)
    slopes = tuple(array.stack() for array in slopes)
    d_sequences, d_weights = here.input_gradients(seen, carry, slopes)
    return d_sequences, d_weights, d_carry

  return (hidden, last), gradient


def _whole(loops, carry, orders=None):
  """Runs all steps at once with one tape.

  Returns hidden, the last carry, the orders of the usages, which are read where
  they are given, and the gradient.
  """
  span = (0, loops.steps)
  replay = orders is not None
  orders = orders if replay else loops.array(dtype=tf.int32)
  last, hidden, orders, tape = loops.forward(
    span, carry, loops.array(), orders, loops.tape(), replay
  )

  def reverse(d_hidden, d_last, slopes):
    return loops.backward(
      span, last.access, tape, orders, d_hidden, d_last, slopes
    )

  return hidden, last, orders, reverse


def _in_chunks(loops, carry, length, orders=None):
  """As `_whole`, but keeps the carries at the chunks' starts, not a tape."""
  chunks = -(-loops.steps // length)
  replay = orders is not None
  orders = orders if replay else loops.array(dtype=tf.int32)

  def span(chunk):
    return chunk * length, tf.minimum((chunk + 1) * length, loops.steps)

  def run(chunk, carry, hidden, orders, starts):
    starts = recurrence.write(starts, chunk, carry)
    carry, hidden, orders, _ = loops.forward(
      span(chunk), carry, hidden, orders, replay=replay
    )
    return chunk + 1, carry, hidden, orders, starts

  starts = tf.nest.map_structure(lambda _: loops.array(chunks), carry)
  carried = tf.constant(0), carry, loops.array(), orders, starts
  _, last, hidden, orders, starts = recurrence.loop(
    lambda chunk, *_: chunk < chunks, run, carried
  )

  def reverse(d_hidden, d_carry, slopes):
    def run_again(chunk, d_carry, slopes):
      start = recurrence.read(starts, chunk)
      last, _, _, tape = loops.forward(
        span(chunk), start, (), orders, loops.tape(length), replay=True
      )
      d_carry, slopes = loops.backward(
        span(chunk), last.access, tape, orders, d_hidden, d_carry, slopes
      )
      return chunk - 1, d_carry, slopes

    carried = tf.convert_to_tensor(chunks) - 1, d_carry, slopes
    return recurrence.loop(lambda chunk, *_: chunk >= 0, run_again, carried)[1:]

  return hidden, last, orders, reverse


def _select_kernel(kernel, read_heads):
  """The module that has `forward` and `backward` of one access."""
  if kernel == 'pure':
    return access_gradient
  if native.is_usable(read_heads):
    return native
  if kernel == 'native':
    raise ValueError(
      'kernel must be auto or pure here, got native: it needs a compiler, a '
      f'CPU, no XLA, and read_heads up to {native.MOST_HEADS}'
    )
  return access_gradient


def _weights(cell):
  lstm, dense = cell.controller, cell._interface
  bias = lstm.bias
  if bias is None:
    bias = tf.zeros([4 * lstm.units], lstm.kernel.dtype)
  return recurrence.Weights(
    gates=tf.concat([lstm.kernel, lstm.recurrent_kernel], axis=0),
    gates_bias=tf.convert_to_tensor(bias),
    interface=tf.convert_to_tensor(dense.kernel),
    interface_bias=tf.convert_to_tensor(dense.bias),
  )
