"""One memory access: interface -> usage -> write -> link -> read.

Graves et al., Nature 538 (2016), Methods ('the paper'). Conventions:
  'paper'     strengths 1 + softplus; read modes in the raw interface in the
              order backward, content, forward; the exact gradient.
  'deepmind'  as in DeepMind's published code: strengths softplus; read modes
              in the order backward, forward, content; no gradient through the
              write weights into the usage.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from nca_tf.memory import addressing
from nca_tf.memory import extensions as extensions_lib
from nca_tf.memory import sparse_links as sparse_links_lib

Tensor = Any

CONVENTIONS = ('paper', 'deepmind')


class Interface(NamedTuple):
  """The controller's commands to the memory at one step (xi_t in the paper).

  Activated read modes are always in the order backward, content, forward.
  """

  read_keys: Tensor  # [B, R, W]
  read_strengths: Tensor  # [B, R]
  write_key: Tensor  # [B, W]
  write_strength: Tensor  # [B, 1]
  erase_vector: Tensor  # [B, W]
  write_vector: Tensor  # [B, W]
  free_gates: Tensor  # [B, R]
  allocation_gate: Tensor  # [B, 1]
  write_gate: Tensor  # [B, 1]
  read_modes: Tensor  # [B, R, 3]


class AccessState(NamedTuple):
  """The memory and its book-keeping after a step; starts as all zeros."""

  memory: Tensor  # [B, N, W]
  usage: Tensor  # [B, N]
  write_weights: Tensor  # [B, N]
  read_weights: Tensor  # [B, R, N]
  link: Tensor  # [B, N, N], or sparse [B, N, 2, K]
  precedence: Tensor  # [B, N]


def interface_shapes(read_heads: int, word_size: int) -> Interface:
  """Shapes of the interface's parts without the batch axis, in raw order."""
  return Interface(
    read_keys=(read_heads, word_size),
    read_strengths=(read_heads,),
    write_key=(word_size,),
    write_strength=(1,),
    erase_vector=(word_size,),
    write_vector=(word_size,),
    free_gates=(read_heads,),
    allocation_gate=(1,),
    write_gate=(1,),
    read_modes=(read_heads, 3),
  )


def interface_size(read_heads: int, word_size: int) -> int:
  """Length of the raw interface: R W + 3 W + 5 R + 3, as in the paper."""
  return read_heads * word_size + 3 * word_size + 5 * read_heads + 3


def state_shapes(
  memory_slots: int,
  word_size: int,
  read_heads: int,
  sparse_links: int | None = None,
):
  """Shapes of an AccessState's tensors without the batch axis, by N, W, R, K.

  K is that of the module `sparse_links`; None for the whole matrix.
  """
  columns = (2, sparse_links) if sparse_links else (memory_slots,)
  return AccessState(
    memory=(memory_slots, word_size),
    usage=(memory_slots,),
    write_weights=(memory_slots,),
    read_weights=(read_heads, memory_slots),
    link=(memory_slots, *columns),
    precedence=(memory_slots,),
  )


def check_convention(convention: str) -> str:
  """Returns the convention's name, or raises ValueError."""
  if convention not in CONVENTIONS:
    raise ValueError(
      f'convention must be one of {CONVENTIONS}, got {convention!r}'
    )
  return str(convention)


def activate(raw: Interface, convention: str = 'paper') -> Interface:
  """Brings each part of a raw interface into its range.

  Gates and erase vector come to (0, 1), strengths become positive, read modes
  come to the simplex, from the convention's order to that of `Interface`.
  """
  check_convention(convention)
  # oneplus(x) = 1 + log(1 + e^x)
  oneplus = 1.0 if convention == 'paper' else 0.0
  modes = reorder_modes(ops.softmax(raw.read_modes, axis=-1), convention)
  return raw._replace(
    read_strengths=oneplus + ops.softplus(raw.read_strengths),
    write_strength=oneplus + ops.softplus(raw.write_strength),
    erase_vector=ops.sigmoid(raw.erase_vector),
    free_gates=ops.sigmoid(raw.free_gates),
    allocation_gate=ops.sigmoid(raw.allocation_gate),
    write_gate=ops.sigmoid(raw.write_gate),
    read_modes=modes,
  )


def reorder_modes(modes: Tensor, convention: str) -> Tensor:
  """Read modes [..., 3] in the convention's order -> the paper's, or back."""
  if convention == 'paper':
    return modes
  return ops.stack([modes[..., 0], modes[..., 2], modes[..., 1]], axis=-1)


def parse_interface(
  raw: Tensor, read_heads: int, word_size: int, convention: str = 'paper'
) -> Interface:
  """Splits a controller's vector into an activated interface.

  Args:
    raw: [B, interface_size(read_heads, word_size)], the parts in the order of
      `Interface`, which is the paper's.
    read_heads: R.
    word_size: W.
    convention: see the module.

  Returns:
    The activated interface, in float32 or better.

  Raises:
    ValueError: raw has another length, or there is no such convention.
  """
  size = interface_size(read_heads, word_size)
  if raw.shape[-1] != size:
    raise ValueError(
      f'raw must be of shape [B, {size}] for {read_heads} read heads and words '
      f'of {word_size}, got {tuple(raw.shape)}'
    )
  raw = _widen(raw)
  parts = []
  start = 0
  for shape in interface_shapes(read_heads, word_size):
    stop = start + shape[0] * (shape[1] if len(shape) == 2 else 1)
    part = raw[:, start:stop]
    parts.append(ops.reshape(part, (-1, *shape)) if len(shape) == 2 else part)
    start = stop
  return activate(Interface(*parts), convention)


def step(
  interface: Interface,
  state: AccessState,
  convention: str = 'paper',
  extensions: extensions_lib.Extensions = extensions_lib.NONE,
) -> tuple[Tensor, AccessState]:
  """One access to the memory; computes in float32 or better.

  Args:
    interface: activated.
    state: of the previous step.
    convention: 'deepmind' stops the gradient from the usage to the last write
      weights; the values are the same.
    extensions: activated, see `extensions`.

  Returns:
    The words read, [B, R, W], and the new state in the given state's dtypes.
  """
  check_convention(convention)
  dtypes = [tensor.dtype for tensor in state]
  interface = Interface(*map(_widen, interface))
  state = AccessState(*map(_widen, state))
  extensions = extensions_lib.Extensions(*map(_widen, extensions))
  last_written = state.write_weights
  if convention == 'deepmind':
    last_written = ops.stop_gradient(last_written)
  usage = addressing.usage_update(
    state.usage, last_written, state.read_weights, interface.free_gates
  )
  reads, after = write_and_read(interface, state, usage, None, extensions)
  return reads, AccessState(*map(ops.cast, after, dtypes))


def write_and_read(
  interface: Interface,
  state: AccessState,
  usage: Tensor,
  order: Tensor | None = None,
  extensions: extensions_lib.Extensions = extensions_lib.NONE,
) -> tuple[Tensor, AccessState]:
  """The rest of a `step`, in the precision of its arguments.

  The usage [B, N] is that of this step, and `order` its allocation order, see
  `addressing.allocation_order`; None computes it.
  """
  write_weights = _write_weights(
    interface, state.memory, usage, order, extensions.write_mask
  )
  kept = state.memory
  if extensions.deallocation:  # M_{t-1} psi_t 1^T erases the freed slots.
    free = interface.free_gates
    retained = addressing.retention(state.read_weights, free)
    kept = kept * retained[:, :, None]
  memory = kept + write_weights[:, :, None] * write_change(interface, kept)
  # The link uses the precedence from before this write.
  link = _links(state.link).link_update(
    state.link, state.precedence, write_weights
  )
  precedence = addressing.precedence_update(state.precedence, write_weights)
  read_weights = _read_weights(
    interface, memory, link, state.read_weights, extensions
  )
  reads = ops.einsum('brn,bnw->brw', read_weights, memory)
  return reads, AccessState(
    memory, usage, write_weights, read_weights, link, precedence
  )


def _write_weights(interface, memory, usage, order, mask):
  """w_t = g_w (g_a a_t + (1 - g_a) c_t), content from before the write."""
  content = addressing.content_weights(
    memory,
    interface.write_key[:, None],
    interface.write_strength,
    None if mask is None else mask[:, None],
  )[:, 0]  # [B, N]
  allocation = addressing.allocation_weights(usage, order)
  gate = interface.allocation_gate  # g_a, [B, 1]
  return interface.write_gate * (gate * allocation + (1.0 - gate) * content)


def write_change(interface: Interface, memory: Tensor) -> Tensor:
  """What a write adds where its weight is 1, v - e M_{t-1}: [B, N, W]."""
  return (
    interface.write_vector[:, None] - memory * interface.erase_vector[:, None]
  )


def _read_weights(interface, memory, link, last_read_weights, extensions):
  """Each head's mixture of backward, content and forward weightings."""
  content = addressing.content_weights(
    memory,
    interface.read_keys,
    interface.read_strengths,
    extensions.read_masks,
  )
  backward, forward = _links(link).follow_links(link, last_read_weights)
  if extensions.backward_sharpness is not None:
    backward = addressing.sharpen(backward, extensions.backward_sharpness)
    forward = addressing.sharpen(forward, extensions.forward_sharpness)
  modes = interface.read_modes[..., None]  # [B, R, 3, 1]
  return (
    modes[:, :, 0] * backward
    + modes[:, :, 1] * content
    + modes[:, :, 2] * forward
  )


def _links(link):
  """The functions for a whole link matrix, or for a sparse one."""
  return sparse_links_lib if len(link.shape) == 4 else addressing


def _widen(tensor: Tensor) -> Tensor:
  """Casts half precision to float32, leaves anything else as it is."""
  if tensor is None or isinstance(tensor, bool):  # Fields of `Extensions`.
    return tensor
  if keras.backend.standardize_dtype(tensor.dtype) in ('bfloat16', 'float16'):
    return ops.cast(tensor, 'float32')
  return tensor
