"""The compiled memory access: `access_gradient` as two TensorFlow operations.

`native_library` compiles native_access.cc at the first use, where a compiler is
found. Where that is not possible, `is_usable` is false. NCA_TF_NATIVE=off turns
it off.
"""

import functools
import os
import subprocess

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from nca_tf.memory import access
from nca_tf.memory.unrolled import access_gradient
from nca_tf.memory.unrolled import native_library

# The kernel's loops over the heads are unrolled for as many.
MOST_HEADS = 8


def is_usable(read_heads: int = 1) -> bool:
  """Whether the operations can run here: compiled, on a CPU, and without XLA.

  XLA cannot call operations from a library; it compiles the pure form instead.
  """
  if read_heads > MOST_HEADS or tf.config.list_physical_devices('GPU'):
    return False
  if not tf.executing_eagerly():
    graph = tf.compat.v1.get_default_graph()
    if control_flow_util.GraphOrParentsInXlaContext(graph):
      return False
  return load() is not None


@functools.cache
def load():
  """The module of operations, or None."""
  if os.environ.get('NCA_TF_NATIVE') == 'off':
    return None
  reasons = []
  try:
    compiler = native_library.find_compiler()
    for opened in native_library.folders():
      try:
        with opened as folder:
          library = native_library.build(compiler, folder, reasons)
          return tf.load_op_library(str(library))
      except OSError as error:
        reasons.append(native_library.describe(error))
  except (LookupError, subprocess.SubprocessError, tf.errors.OpError) as error:
    reasons.append(native_library.describe(error))
  native_library.say(
    'the DNC trains about 2.3 times slower, without its compiled memory '
    f'access: {"; ".join(dict.fromkeys(reasons))}'
  )
  return None


def forward(raw, keep, state: access.AccessState, settings, order=None):
  """As `access_gradient.forward`."""
  words, after, order = load().nca_dnc_forward(
    raw=raw,
    keep=_optional(keep, raw.dtype),
    state=list(state),
    order=_optional(order, tf.int32),
    read_heads=settings.read_heads,
    paper=settings.convention == 'paper',
  )
  return words, access.AccessState(*after), order


def backward(raw, keep, before, after, order, d_reads, d_after, settings):
  """As `access_gradient.backward`."""
  d_raw, d_state = load().nca_dnc_backward(
    raw=raw,
    keep=_optional(keep, raw.dtype),
    state=list(before),
    after=list(after[:4]),
    order=order,
    d_words=d_reads,
    d_after=list(d_after),
    read_heads=settings.read_heads,
    paper=settings.convention == 'paper',
  )
  return d_raw, access.AccessState(*d_state)


@tf.RegisterGradient('NcaDncForward')
def _forward_gradient(op, *d_outputs):
  """For derivatives of the gradient by hand, which uses both operations."""
  raw, keep, *state = op.inputs[:8]
  *outputs, order = op.outputs
  d_words, *d_after = _known(d_outputs, outputs)
  d_raw, d_state = load().nca_dnc_backward(
    raw=raw,
    keep=keep,
    state=state,
    after=outputs[1:5],
    order=order,
    d_words=d_words,
    d_after=d_after,
    read_heads=op.get_attr('read_heads'),
    paper=op.get_attr('paper'),
  )
  return [d_raw, None, *d_state, None]


@tf.RegisterGradient('NcaDncBackward')
def _backward_gradient(op, *d_outputs):
  """Second derivatives, of the same equations in TensorFlow's operations."""
  raw, keep, *rest = op.inputs
  before, after = access.AccessState(*rest[:6]), rest[6:10]
  order, d_words, *d_after = rest[10:]
  convention = 'paper' if op.get_attr('paper') else 'deepmind'
  settings = access_gradient.Settings(
    op.get_attr('read_heads'), before.memory.shape[-1], convention
  )
  inputs = [raw, *before, *after, d_words, *d_after]
  with tf.GradientTape() as tape:
    tape.watch(inputs)
    d_raw, d_before = access_gradient.backward(
      raw,
      None if keep.shape[0] == 0 else keep,
      before,
      access.AccessState(*after, None, None),
      order,
      d_words,
      access.AccessState(*d_after),
      settings,
    )
  outputs = [d_raw, *d_before]
  slopes = tape.gradient(outputs, inputs, _known(d_outputs, outputs))
  return [slopes[0], None, *slopes[1:11], None, *slopes[11:]]


def _known(gradients, tensors):
  """The gradients of the first tensors, zeros in place of None."""
  return [
    tf.zeros_like(tensor) if gradient is None else gradient
    for gradient, tensor in zip(gradients, tensors, strict=False)
  ]


def _optional(tensor, dtype):
  return tf.zeros([0], dtype) if tensor is None else tensor
