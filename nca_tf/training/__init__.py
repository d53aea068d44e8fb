"""Training steps of V, M and sequence models, and the loop that runs them.

Import the module that you need, `from nca_tf.training import loop`: the package
itself imports nothing.
"""

import importlib
import warnings

# Modules that stood here before; they are those of `nca_tf.runs` now.
_MOVED = ('checkpoints', 'metrics', 'progress', 'run_folder')


def __getattr__(name):
  """Returns a module by the name that it had in the first version."""
  if name not in _MOVED:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  now = f'nca_tf.runs.{name}'
  warnings.warn(f'{__name__}.{name} is {now} now', DeprecationWarning, 2)
  return importlib.import_module(now)
