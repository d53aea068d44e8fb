"""Codings of integer states by name; TensorFlow is imported to make one."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from nca_tf.world_model.states import layout as layout_lib

# Name: 'module:class'.
_CODINGS = {
  'categorical': 'nca_tf.world_model.states.codings:CategoricalCoding',
  'mixture': 'nca_tf.world_model.states.codings:MixtureCoding',
}


def names() -> tuple[str, ...]:
  """Returns the names of the codings."""
  return tuple(_CODINGS)


def make(name: str, layout: 'layout_lib.Layout') -> Any:
  """Makes a coding; ValueError for a name that is not in `names()`."""
  if name not in _CODINGS:
    raise ValueError(f'name must be one of {", ".join(_CODINGS)}, got {name!r}')
  module, kind = _CODINGS[name].split(':')
  return getattr(importlib.import_module(module), kind)(layout)
