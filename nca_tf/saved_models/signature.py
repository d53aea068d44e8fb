"""One signature of a SavedModel: it checks what it is given, where it runs.

TensorFlow holds no caller to a signature's shapes: frames of another size go
through, and frames without a batch axis end the process in the convolution.
"""

import contextlib

import tensorflow as tf

from nca_tf.memory import addressing

# May have one row for all lanes.
_SHARED = ('parameters',)


def make(function, scan=False, **specs):
  """Traces a function of named tensors as a signature.

  Args:
    function: of the tensors by name; returns a dict of tensors.
    scan: whether a DNC computes a cumulative product, as it does in training.
      TensorFlow Lite has none.
    **specs: a TensorSpec for each argument. Those whose first axis is unknown
      share a batch size.

  Returns:
    The concrete function. It raises tf.errors.InvalidArgumentError for another
    shape, for different batch sizes, without a frame or a step, and for a
    temperature that is not above 0 and finite.
  """

  def checked(**inputs):
    for name, spec in specs.items():
      inputs[name] = tf.ensure_shape(inputs[name], spec.shape)
    with tf.control_dependencies(list(_assertions(inputs))):
      inputs = {name: tf.identity(value) for name, value in inputs.items()}
    without = addressing.products_without_scan
    with contextlib.nullcontext() if scan else without():
      return function(**inputs)

  return tf.function(checked, autograph=False).get_concrete_function(**specs)


def _assertions(inputs):
  """Yields operations that fail with a line of words."""
  lanes = {
    name: tf.shape(value)[0]
    for name, value in inputs.items()
    if value.shape.rank and value.shape[0] is None and name not in _SHARED
  }
  if len(lanes) > 1:
    sizes = tf.stack(list(lanes.values()))
    yield tf.debugging.Assert(
      tf.reduce_all(sizes == sizes[0]),
      [f'{", ".join(lanes)} must have one batch size, got', sizes],
      summarize=len(lanes),
    )
  for name in ('frames', 'screen'):  # oneDNN's convolutions need one.
    if name in inputs:
      yield _at_least(1, f'{name} must be of a batch size', lanes[name])
  if 'action' in inputs and inputs['action'].shape.rank == 3:
    steps = tf.shape(inputs['action'])[1]
    yield _at_least(1, 'action must be of a number of steps', steps)
  if 'batch' in inputs:
    yield _at_least(0, 'batch must be a number', inputs['batch'])
  if 'temperature' in inputs:
    tau = inputs['temperature']
    yield tf.debugging.Assert(
      (tau > 0) & (tau < float('inf')),
      ['temperature must be a finite number above 0, got', tau],
    )


def _at_least(least, words, value):
  message = f'{words} of at least {least}, got'
  return tf.debugging.Assert(value >= least, [message, value])
