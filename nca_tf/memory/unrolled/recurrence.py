"""The loops of `unroll`: a DNC's steps forwards, and their gradient.

The controller is an LSTM (Hochreiter and Schmidhuber 1997, with a forget gate)
as Keras has it: with z = [x, reads, h] W + b in four parts i, f, g, o,
  c' = sigmoid(f) c + sigmoid(i) tanh(g),  h' = sigmoid(o) tanh(c').
Time comes first here. As everywhere, d_x is the gradient with respect to x.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from nca_tf.memory import access

Tensor = Any


class Weights(NamedTuple):
  """The matrices of the recurrence."""

  gates: Tensor  # [F + R W + H, 4 H], the LSTM's: from input, reads and h
  gates_bias: Tensor  # [4 H]
  interface: Tensor  # [H, S]
  interface_bias: Tensor  # [S]


class Carry(NamedTuple):
  """The state carried from step to step, or its gradient."""

  h: Tensor  # [B, H]
  c: Tensor  # [B, H]
  reads: Tensor  # [B, R W]
  access: access.AccessState


class Tape(NamedTuple):
  """TensorArrays of what the gradient needs, one entry per step."""

  gates: Any  # z, [B, 4 H]
  raw: Any  # the interface before activation, [B, S]
  c: Any  # before the step, zero where an episode begins
  access: access.AccessState  # before the step


class Recurrence:
  """The steps over one batch of sequences."""

  def __init__(self, kernel, settings, sequences, keep, weights: Weights):
    """Takes the batch, sequences [T, B, F], and computes nothing.

    `keep` [T, B] is 0 where a step starts from zeros, else 1, or None. `kernel`
    and `settings` are as of the module `access_gradient`.
    """
    self._kernel = kernel
    self._settings = settings
    self._sequences = sequences
    self._keep = keep
    self._weights = weights
    self._units = weights.interface.shape[0]
    self.steps = sequences.shape[0] or tf.shape(sequences)[0]
    self._inputs = self.array().unstack(sequences)
    self._keeps = None if keep is None else self.array().unstack(keep)

  def array(self, size=None, dtype=None):
    """An empty TensorArray with an entry for each step, or for `size`."""
    return tf.TensorArray(
      dtype or self._sequences.dtype,
      self.steps if size is None else size,
      clear_after_read=False,
    )

  def tape(self, size=None):
    """An empty Tape."""
    state = access.AccessState(*(self.array(size) for _ in range(6)))
    return Tape(self.array(size), self.array(size), self.array(size), state)

  def forward(self, span, carry, hidden, orders, tape=(), replay=False):
    """Runs the steps of a span.

    Args:
      span: (first step, one past the last).
      carry: before the first step.
      hidden: TensorArray of all steps, receives h beside the words read; ()
        where they are not needed.
      orders: TensorArray of all steps, receives the order of the usages.
      tape: a Tape that receives what `backward` needs, or ().
      replay: read `orders`, which an earlier run of these steps has written.

    Returns:
      The carry after the last step, hidden, orders, tape.
    """
    begin, end = span

    def body(t, carry, hidden, orders, tape):
      keep = self._keep_at(t)
      h, c, reads = (_masked(part, keep) for part in carry[:3])
      joined = tf.concat([self._inputs.read(t), reads, h], axis=-1)
      gates = _affine(joined, self._weights.gates, self._weights.gates_bias)
      i, f, g, o = _activate(gates)
      after = f * c + i * g
      h = o * tf.tanh(after)
      raw = _affine(h, self._weights.interface, self._weights.interface_bias)
      order = orders.read(t) if replay else None
      words, state, order = self._kernel.forward(
        raw, keep, carry.access, self._settings, order
      )
      if tape:
        kept = Tape(gates, raw, c, carry.access)
        tape = write(tape, t - begin, kept)
      reads = tf.reshape(words, tf.shape(reads))
      if not replay:
        orders = orders.write(t, order)
      if hidden:
        hidden = hidden.write(t, tf.concat([h, reads], axis=-1))
      return t + 1, Carry(h, after, reads, state), hidden, orders, tape

    carried = (tf.convert_to_tensor(begin), carry, hidden, orders, tape)
    return loop(lambda t, *_: t < end, body, carried)[1:]

  def backward(self, span, after, tape, orders, d_hidden, d_carry, slopes):
    """The gradient of `forward`, which gave `tape` and `orders`.

    Args:
      span: as given to `forward`.
      after: the access state after the last step.
      tape: of the span.
      orders: of all steps.
      d_hidden: TensorArray of all steps.
      d_carry: gradient of the carry after the last step.
      slopes: two TensorArrays of all steps, receive the gradients of the
        gates and of the interface before activation.

    Returns:
      The gradient of the carry before the first step, and slopes.
    """
    begin, end = span
    # Transposed once, as a transposed right factor is slow in each step.
    inputs = self._sequences.shape[-1]
    by_gates = tf.transpose(self._weights.gates[inputs:])
    by_interface = tf.transpose(self._weights.interface)

    def body(t, after, d_carry, slopes):
      keep = self._keep_at(t)
      kept = read(tape, t - begin)
      d_h, d_reads = self._split(d_hidden.read(t))
      d_h = d_h + d_carry.h
      words = self._settings.read_heads, self._settings.word_size
      d_raw, d_access = self._kernel.backward(
        kept.raw,
        keep,
        kept.access,
        after,
        orders.read(t),
        tf.reshape(d_reads + d_carry.reads, [-1, *words]),
        d_carry.access,
        self._settings,
      )
      d_h = d_h + tf.matmul(d_raw, by_interface)
      d_gates, d_c = _controller_backward(kept.gates, kept.c, d_h, d_carry.c)
      d_joined = tf.matmul(d_gates, by_gates)
      d_reads, d_h = tf.split(d_joined, [words[0] * words[1], -1], axis=-1)
      d_h, d_c, d_reads = (_masked(part, keep) for part in (d_h, d_c, d_reads))
      slopes = slopes[0].write(t, d_gates), slopes[1].write(t, d_raw)
      return t - 1, kept.access, Carry(d_h, d_c, d_reads, d_access), slopes

    carried = (tf.convert_to_tensor(end) - 1, after, d_carry, slopes)
    return loop(lambda t, *_: t >= begin, body, carried)[2:]

  def input_gradients(self, hidden, carry, slopes):
    """Gradients of sequences and weights, in products over all steps.

    Args:
      hidden: h beside the words read at all steps, [T, B, H + R W].
      carry: before the first step.
      slopes: from `backward`, stacked: [T, B, 4 H] and [T, B, S].
    """
    d_gates, d_raw = slopes
    inputs = self._sequences.shape[-1]
    h, reads = self._split(hidden)
    joined = []
    for first, values in ((carry.reads, reads), (carry.h, h)):
      before = tf.concat([first[None], values[:-1]], axis=0)
      joined.append(_masked(before, self._keep))
    joined = tf.concat([self._sequences, *joined], axis=-1)
    d_weights = Weights(
      gates=_outer(joined, d_gates),
      gates_bias=tf.reduce_sum(d_gates, [0, 1]),
      interface=_outer(h, d_raw),
      interface_bias=tf.reduce_sum(d_raw, [0, 1]),
    )
    d_sequences = tf.matmul(
      d_gates, self._weights.gates[:inputs], transpose_b=True
    )
    return d_sequences, d_weights

  def _keep_at(self, t):
    return None if self._keeps is None else self._keeps.read(t)

  def _split(self, hidden):
    """The h and the words read that stand side by side in `hidden`."""
    return hidden[..., : self._units], hidden[..., self._units :]


def _affine(x, matrix, bias):
  return tf.nn.bias_add(tf.matmul(x, matrix), bias)


def _activate(gates):
  i, f, g, o = tf.split(gates, 4, axis=-1)
  return tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)


def _controller_backward(gates, c, d_h, d_after):
  """Gradients of z and of c before the step."""
  i, f, g, o = _activate(gates)
  after = tf.tanh(f * c + i * g)
  d_c = d_after + d_h * o * (1.0 - after * after)
  parts = (
    d_c * g * i * (1.0 - i),
    d_c * c * f * (1.0 - f),
    d_c * i * (1.0 - g * g),
    d_h * after * o * (1.0 - o),
  )
  return tf.concat(parts, axis=-1), d_c * f


def _masked(tensor, keep):
  return tensor if keep is None else tensor * keep[..., None]


def _outer(left, right):
  """Sum over time and batch of left right^T."""
  left = tf.reshape(left, [-1, left.shape[-1]])
  right = tf.reshape(right, [-1, right.shape[-1]])
  return tf.matmul(left, right, transpose_a=True)


def loop(condition, body, carried):
  """A while loop that runs one iteration at a time.

  TensorFlow's default runs up to ten at once, and needs the memory of ten.
  """
  return tf.while_loop(condition, body, carried, parallel_iterations=1)


def write(arrays, t, tensors):
  """Writes each tensor into its TensorArray, in any nesting."""
  return tf.nest.map_structure(lambda a, x: a.write(t, x), arrays, tensors)


def read(arrays, t):
  """The TensorArrays' entries at t."""
  return tf.nest.map_structure(lambda a: a.read(t), arrays)
