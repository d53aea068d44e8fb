"""Recurrent memory cells; this package knows nothing of games.

Where flags are read, its names are imported when they are asked for: the names
of cells are then there without TensorFlow, whose import takes seconds. All
others get everything at once.

Letters in shape comments, here and in the modules:
  B  batch
  T  time steps
  F  features of one input vector
  H  units of the controller
  N  memory slots (rows of the memory)
  W  word size (width of a row)
  R  read heads
"""

import importlib
import sys
from typing import Any

# Public name: module that has it; modules have themselves.
_MODULES = {
  'DNC': 'dnc_layer',
  'AccessState': 'access',
  'DNCCell': 'dnc',
  'DNCState': 'dnc',
  'Interface': 'access',
  'Trace': 'dnc_layer',
  'access': 'access',
  'addressing': 'addressing',
  'cells': 'cells',
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
  """Imports a public name on its first use (PEP 562)."""
  if name not in _MODULES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  module = importlib.import_module(f'{__name__}.{_MODULES[name]}')
  value = module if name == _MODULES[name] else getattr(module, name)
  globals()[name] = value
  return value


def __dir__() -> list[str]:
  return sorted({*globals(), *_MODULES})


# A user's `import nca_tf.memory` makes the layers known to Keras, which refuses
# to load a saved model with others.
if 'nca_tf.command_line.config_flags' not in sys.modules:
  for _name in _MODULES:
    __getattr__(_name)
