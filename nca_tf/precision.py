"""Numeric precision of everything that Keras builds."""

from collections.abc import Callable

# Name: (Keras floatx, Keras dtype policy).
PRECISIONS = {
  'float32': ('float32', 'float32'),
  'float64': ('float64', 'float64'),
  'mixed_bfloat16': ('float32', 'mixed_bfloat16'),
}


def set_precision(name: str) -> Callable[[], None]:
  """Sets the precision for all layers, optimisers and tensors made later.

  Call it before any layer is made: layers that exist keep their precision. It
  sets both floatx and the dtype policy of Keras, because neither implies the
  other: with the policy alone `ops.zeros` stays float32, and setting floatx to
  float32 leaves a policy of float64 in place. `ops.convert_to_tensor(1.0)` and
  `tf.random.normal` are float32 under every setting: give them a dtype.

  Args:
    name: 'float32'; 'float64'; or 'mixed_bfloat16', which computes in bfloat16
      and keeps variables in float32.

  Returns:
    A function that puts back what was set before.

  Raises:
    ValueError: another name.
  """
  if name not in tuple(PRECISIONS):
    raise ValueError(
      f'name must be one of {", ".join(PRECISIONS)}, got {name!r}'
    )
  import keras  # Here, so that importing this module stays light.

  def apply(floatx, policy):
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)

  before = keras.config.floatx(), keras.config.dtype_policy()
  apply(*PRECISIONS[name])
  return lambda: apply(*before)
