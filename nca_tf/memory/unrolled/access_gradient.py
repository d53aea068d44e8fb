"""One memory access and its gradient, both written out by hand.

The same equations as `access.step` (Graves et al. 2016, Methods), but from the
raw interface and with an optional reset of the state before the access; tests
compare the two. The gradient needs of a step only its raw interface, the states
before and after, and the order of the sorted usages; contents and gates are
computed again. It is as exact as that of `access.step`: both leave out the
gradient of the order.

Below, d_x is the gradient of the loss with respect to x, and w, M, L, p, wr, u
are the write weights, memory, link, precedence, read weights and usage.
"""

from typing import Any, NamedTuple

from keras import ops

from nca_tf.memory import access
from nca_tf.memory import addressing
from nca_tf.memory.unrolled import addressing_gradient

Tensor = Any


class Settings(NamedTuple):
  """Constants of a sequence."""

  read_heads: int
  word_size: int
  convention: str = 'paper'


def forward(raw, keep, state: access.AccessState, settings, order=None):
  """One access.

  Args:
    raw: [B, interface size], not activated.
    keep: [B], 0 where the access starts from a state of zeros, else 1; None
      for all ones.
    state: of the previous step.
    settings: Settings.
    order: [B, N] int32, the slots by rising usage from an earlier run of the
      same step, as rounding may sort ties otherwise; None sorts them.

  Returns:
    The words read [B, R, W], the next state, and the order.
  """
  state = _detached(kept(state, keep), settings)
  interface = access.parse_interface(raw, *settings)
  usage = addressing.usage_update(
    state.usage, state.write_weights, state.read_weights, interface.free_gates
  )
  if order is None:
    order = addressing.allocation_order(usage)
  reads, after = access.write_and_read(interface, state, usage, order)
  return reads, after, order


def backward(raw, keep, before, after, order, d_reads, d_after, settings):
  """The gradient of `forward`.

  It was given `raw`, `keep`, the state `before` and `settings`, and returned
  the state `after`, of which link and precedence are unused, and `order`.
  `d_reads` [B, R, W] and the AccessState `d_after` are gradients of its
  results; returned are those of raw and of the state before.
  """
  before = _detached(kept(before, keep), settings)
  interface = access.parse_interface(raw, *settings)
  w = after.write_weights
  d_memory, d_links, d_head = _read_backward(
    interface, before, after, d_reads, d_after
  )
  d_link, d_precedence, d_write, d_last_read = d_links
  d_p, d_write = _precedence_backward(
    before.precedence, w, d_after.precedence, d_write + d_after.write_weights
  )
  d_memory, d_w, d_vector, d_erase = _memory_backward(
    interface, before.memory, w, d_memory
  )
  d_write = d_write + d_w
  d_gates, d_usage, d_rows, d_key, d_strength = _write_backward(
    interface, before.memory, after.usage, order, d_write
  )
  d_usage, d_last_write, d_freed, d_free_gates = addressing_gradient.usage(
    before.usage,
    before.write_weights,
    before.read_weights,
    interface.free_gates,
    d_after.usage + d_usage,
  )
  if settings.convention == 'deepmind':  # It stops the gradient there.
    d_last_write = ops.zeros_like(d_last_write)
  d_interface = access.Interface(
    read_keys=d_head[0],
    read_strengths=d_head[1],
    write_key=d_key,
    write_strength=d_strength,
    erase_vector=d_erase,
    write_vector=d_vector,
    free_gates=d_free_gates,
    allocation_gate=d_gates[0],
    write_gate=d_gates[1],
    read_modes=d_head[2],
  )
  d_before = access.AccessState(
    d_memory + d_rows,
    d_usage,
    d_last_write,
    d_last_read + d_freed,
    d_link,
    d_precedence + d_p,
  )
  d_raw = _activation_backward(raw, interface, d_interface, settings)
  return d_raw, kept(d_before, keep)


def kept(tensors, keep):
  """The same tensors [B, ...], zeros where keep [B] is 0."""
  if keep is None:
    return tensors
  return type(tensors)(
    *(
      tensor * ops.reshape(keep, (-1,) + (1,) * (len(tensor.shape) - 1))
      for tensor in tensors
    )
  )


def _detached(state, settings):
  """The same state; DeepMind's convention stops a gradient, see `access`.

  It counts where TensorFlow differentiates this module: for second derivatives,
  and where the gradient by hand is not used.
  """
  if settings.convention != 'deepmind':
    return state
  return state._replace(write_weights=ops.stop_gradient(state.write_weights))


def _read_backward(interface, before, after, d_reads, d_after):
  """Through r = wr' M' and wr', the mixture of three weightings.

  Returns the gradient of M', those of L, p, w and wr, and those of keys,
  strengths and modes.
  """
  d_read = d_after.read_weights + ops.einsum(
    'brw,bnw->brn', d_reads, after.memory
  )
  d_memory = d_after.memory + ops.einsum(
    'brn,brw->bnw', after.read_weights, d_reads
  )
  d_content = interface.read_modes[..., None][:, :, 1] * d_read
  content, content_gradient = addressing_gradient.content(
    after.memory, interface.read_keys, interface.read_strengths
  )
  d_rows, d_keys, d_strengths = content_gradient(d_content)
  *d_links, along = addressing_gradient.links(
    before.link,
    before.precedence,
    after.write_weights,
    before.read_weights,
    interface.read_modes,
    d_read,
    d_after.link,
  )
  d_modes = ops.stack(
    [along[0], ops.sum(d_read * content, -1), along[1]], axis=-1
  )
  return d_memory + d_rows, d_links, (d_keys, d_strengths, d_modes)


def _precedence_backward(p, w, d_after, d_w):
  """Through p' = (1 - sum w) p + w; adds to the gradient of w."""
  total = ops.sum(w, axis=-1, keepdims=True)
  shrink = ops.sum(d_after * p, axis=-1, keepdims=True)
  return (1.0 - total) * d_after, d_w + d_after - shrink


def _memory_backward(interface, memory, w, d_memory):
  """Through M' = M + w (v - e M): gradients of M, w, v and e."""
  change = access.write_change(interface, memory)
  d_w = ops.sum(d_memory * change, axis=-1)
  d_vector = ops.einsum('bn,bnw->bw', w, d_memory)
  weighted = w[:, :, None] * d_memory
  d_erase = -ops.sum(weighted * memory, axis=1)
  d_memory = d_memory - weighted * interface.erase_vector[:, None]
  return d_memory, d_w, d_vector, d_erase


def _write_backward(interface, memory, usage, order, d_write):
  """Through w = g_w (g_a a + (1 - g_a) c)."""
  content, content_gradient = addressing_gradient.content(
    memory, interface.write_key[:, None], interface.write_strength
  )
  content = content[:, 0]
  allocation = addressing.allocation_weights(usage, order)
  gate, write_gate = interface.allocation_gate, interface.write_gate
  mixed = gate * allocation + (1.0 - gate) * content
  d_write_gate = ops.sum(d_write * mixed, axis=-1, keepdims=True)
  d_mixed = write_gate * d_write
  d_gate = ops.sum(d_mixed * (allocation - content), axis=-1, keepdims=True)
  d_rows, d_key, d_strength = content_gradient(
    ((1.0 - gate) * d_mixed)[:, None]
  )
  d_usage = addressing_gradient.allocation(usage, order, gate * d_mixed)
  return (d_gate, d_write_gate), d_usage, d_rows, d_key[:, 0], d_strength


def _activation_backward(raw, interface, d_interface, settings):
  """From gradients of the activated parts to that of the raw vector."""
  d = d_interface
  size = settings.read_heads * settings.word_size
  read = size + settings.read_heads
  write = read + settings.word_size

  def sigmoid(value, slope):
    return slope * value * (1.0 - value)

  modes = interface.read_modes
  d_modes = modes * d.read_modes
  d_modes = d_modes - modes * ops.sum(d_modes, axis=-1, keepdims=True)
  d_modes = access.reorder_modes(d_modes, settings.convention)
  return ops.concatenate(
    [
      ops.reshape(d.read_keys, (-1, size)),
      d.read_strengths * ops.sigmoid(raw[:, size:read]),
      d.write_key,
      d.write_strength * ops.sigmoid(raw[:, write : write + 1]),
      sigmoid(interface.erase_vector, d.erase_vector),
      d.write_vector,
      sigmoid(interface.free_gates, d.free_gates),
      sigmoid(interface.allocation_gate, d.allocation_gate),
      sigmoid(interface.write_gate, d.write_gate),
      ops.reshape(d_modes, (-1, 3 * settings.read_heads)),
    ],
    axis=-1,
  )
