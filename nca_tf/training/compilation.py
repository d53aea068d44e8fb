"""Whether to compile a training step with XLA."""

import tensorflow as tf


def compiles(jit: str, pays_on_cpu: bool) -> bool:
  """What `--jit` means: auto compiles on a GPU always, on a CPU if it pays.

  Args:
    jit: 'auto', 'on' or 'off'.
    pays_on_cpu: Whether compilation was measured to pay on a CPU.

  Raises:
    ValueError: another value of jit.
  """
  if jit not in ('auto', 'on', 'off'):
    raise ValueError(f'jit must be auto, on or off, got {jit!r}')
  if jit != 'auto':
    return jit == 'on'
  return pays_on_cpu or bool(tf.config.list_physical_devices('GPU'))
