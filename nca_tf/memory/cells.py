"""The registry of recurrent cells and what a state offers to others.

Every cell is a Keras RNN cell: `call(inputs [B, F], states) -> (output [B, O],
states)`, `get_initial_state(batch_size)`, `state_size`, `output_size`. States
start at zero and flatten (keras.tree.flatten) to tensors with a leading batch
axis, in the order of `state_names`. Another cell is a file of its own, a line
in `_MAKERS` and a line in `state_names`.
"""

from typing import Any

import keras
from keras import ops

from nca_tf.memory import access
from nca_tf.memory import dnc
from nca_tf.memory import extensions

# What a linear controller or a probe may look at.
_FEATURES = ('h', 'c', 'reads', 'memory')


def names() -> tuple[str, ...]:
  """Names of the registered cells."""
  return tuple(sorted(_MAKERS))


def make(name: str, units: int, **options) -> keras.layers.Layer:
  """Makes a cell.

  Args:
    name: one of `names()`.
    units: hidden units of the LSTM, or of the DNC's LSTM controller.
    **options: memory_slots, word_size, read_heads, key_masking, deallocation,
      link_sharpness, sparse_links (the LSTM has no memory and leaves them
      aside, so that cells swap without an `if`), and Keras' dtype and name.

  Returns:
    The cell, not built. The DNC's output is h beside the words read.

  Raises:
    ValueError: there is no such cell, or an option is out of its range.
  """
  if name not in _MAKERS:
    raise ValueError(f'name must be one of {names()}, got {name!r}')
  return _MAKERS[name](units, **options)


def state_names(cell: keras.layers.Layer) -> tuple[str, ...]:
  """Names of the state's tensors in flattening order.

  Args:
    cell: from `make`, or any DNCCell with an LSTMCell or a feed-forward layer.

  Returns:
    ('h', 'c') for the LSTM; for the DNC ('h', 'c', 'reads', 'memory', 'usage',
    'write_weights', 'read_weights', 'link', 'precedence').

  Raises:
    ValueError: the cell is of an unknown kind.
  """
  if isinstance(cell, dnc.DNCCell):
    recurrent = hasattr(cell.controller, 'state_size')
    controller = state_names(cell.controller) if recurrent else ()
    return (*controller, 'reads', *access.AccessState._fields)
  if isinstance(cell, keras.layers.LSTMCell):
    return ('h', 'c')
  raise ValueError(f'cell must be of {names()}, got {type(cell).__name__}')


def features(cell: keras.layers.Layer, states) -> dict[str, Any]:
  """What others may look at in a state.

  Args:
    cell: as in `state_names`.
    states: the cell's states, in any nesting.

  Returns:
    Tensors [B, size]: 'h' and 'c', and for the DNC 'reads' [B, R W] and
    'memory' [B, N W], both row by row.

  Raises:
    ValueError: the cell is of an unknown kind, or these are not its states.
  """
  flat = keras.tree.flatten(states)
  named = state_names(cell)
  if len(flat) != len(named):
    raise ValueError(
      f'states must be {len(named)} tensors ({", ".join(named)}), '
      f'got {len(flat)}'
    )
  return {
    name: _flatten_words(tensor)
    for name, tensor in zip(named, flat, strict=True)
    if name in _FEATURES
  }


def _flatten_words(tensor):
  size = 1
  for length in tensor.shape[1:]:
    size *= length
  return tensor if len(tensor.shape) == 2 else ops.reshape(tensor, (-1, size))


# Options of a memory, which the LSTM does not have.
_OF_A_MEMORY = (
  'memory_slots',
  'word_size',
  'read_heads',
  *extensions.Options._fields,
  'sparse_links',
)


def _make_lstm(units, **options):
  options = {k: v for k, v in options.items() if k not in _OF_A_MEMORY}
  return keras.layers.LSTMCell(units, **options)


_MAKERS = {
  'dnc': dnc.DNCCell,
  'lstm': _make_lstm,
}
