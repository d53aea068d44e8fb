"""The registry of recurrent cells, and what others may ask of a cell.

Every cell is a Keras RNN cell: `call(inputs [B, F], states) -> (output [B, O],
states)`, `get_initial_state(batch_size)`, `state_size`, `output_size`. States
start at zero and flatten (keras.tree.flatten) to tensors with a leading batch
axis, in the order of `state_names`.

Another cell is one entry in `REGISTRY`, and nothing else. Classes may be given
as texts, 'module:class': those here are, so that flags know the names of cells
without TensorFlow.

    REGISTRY['gru'] = Entry('GRU', keras.layers.GRUCell, ('h',), ('h',))

Outside this package a cell's properties are asked for, never its name or class:
of a name `names`, `get`, `make` and `feature_names`, of a cell `state_names`,
`features`, `output`, `has_memory`, `trace` and `sequence_layer`.
"""

import importlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from nca_tf import checks

if TYPE_CHECKING:  # All of these import TensorFlow, or take long as well.
  import keras
  import numpy as np

# What only a cell with a memory can be made with.
_MEMORY_OPTIONS = ('memory_slots', 'word_size', 'read_heads', 'sparse_links')
_MEMORY_OPTIONS += ('key_masking', 'deallocation', 'link_sharpness')


class Entry(NamedTuple):
  """What the library knows of a kind of cell.

  Attributes:
    title: its name in tables and figures.
    cell: its class, or 'module:class'; `cell(units, **options)` makes one.
    state_names: of the state's tensors in flattening order, or a function of a
      cell that returns them.
    feature_names: those of them that a controller or a probe may read.
    article: before the name in a sentence.
    trace: function of a cell and sequences [B, T, F]; returns arrays [B, T,
      ...] by name, as `analysis.memory_trace` draws them. None for a cell
      without a memory.
    sequence_layer: class of the layer that runs the cell over sequences, or
      'module:class'.
    jit_pays_on_cpu: whether training is faster compiled with XLA on a CPU.
  """

  title: str
  cell: 'type[keras.layers.Layer] | str'
  state_names: tuple[str, ...] | Callable[[Any], tuple[str, ...]]
  feature_names: tuple[str, ...]
  article: str = 'a'
  trace: 'Callable[[Any, Any], dict[str, np.ndarray]] | None' = None
  sequence_layer: 'type[keras.layers.Layer] | str' = 'keras.layers:RNN'
  jit_pays_on_cpu: bool = False

  @property
  def has_memory(self) -> bool:
    """Whether it has slots and heads, so that the flags of a memory count."""
    return self.trace is not None


def names() -> tuple[str, ...]:
  """Names of the registered cells."""
  return tuple(sorted(REGISTRY))


def get(name: str) -> Entry:
  """The entry of a name; ValueError for a name that is not registered."""
  if name not in REGISTRY:
    raise ValueError(f'name must be one of {names()}, got {name!r}')
  return REGISTRY[name]


def feature_names() -> tuple[str, ...]:
  """Features that at least one registered cell offers."""
  offered = (REGISTRY[name].feature_names for name in names())
  return tuple(dict.fromkeys(sum(offered, ())))


def make(name: str, units: int, **options) -> 'keras.layers.Layer':
  """Makes a cell.

  Args:
    name: one of `names()`.
    units: hidden units of the cell, of a DNC those of its LSTM controller; a
      cell with a memory also takes a layer as its controller.
    **options: Keras' dtype and name, and those of a memory, which a cell
      without one ignores: memory_slots, word_size, read_heads, key_masking,
      deallocation, link_sharpness, sparse_links.

  Returns:
    The cell, not built. The DNC's output is h beside the words read.

  Raises:
    ValueError: there is no such cell, or an option is out of its range.
  """
  entry = get(name)
  if not hasattr(units, 'get_config'):  # It is no layer.
    units = checks.integer('units', units, 1)
  if not entry.has_memory:
    options = {k: v for k, v in options.items() if k not in _MEMORY_OPTIONS}
  return _load(entry.cell)(units, **options)


def state_names(cell: 'keras.layers.Layer') -> tuple[str, ...]:
  """Names of the state's tensors in flattening order.

  Args:
    cell: of a registered class; a DNCCell may have any registered cell or a
      feed-forward layer as its controller.

  Returns:
    ('h', 'c') for the LSTM; for the DNC ('h', 'c', 'reads', 'memory', 'usage',
    'write_weights', 'read_weights', 'link', 'precedence').

  Raises:
    ValueError: the cell is of an unknown kind.
  """
  found = _entry_of(cell).state_names
  return found(cell) if callable(found) else found


def features(cell: 'keras.layers.Layer', states) -> dict[str, Any]:
  """The parts of a state that a controller or a probe may read.

  Args:
    cell: as in `state_names`.
    states: the cell's states, in any nesting.

  Returns:
    Tensors [B, size] by name: 'h' and 'c' of an LSTM, and of a DNC also
    'reads' [B, R W] and 'memory' [B, N W], both row by row.

  Raises:
    ValueError: the cell is of an unknown kind, or these are not its states.
  """
  from keras import tree

  flat = tree.flatten(states)
  named = state_names(cell)
  if len(flat) != len(named):
    raise ValueError(
      f'states must be {len(named)} tensors ({", ".join(named)}), '
      f'got {len(flat)}'
    )
  offered = _entry_of(cell).feature_names
  return {
    name: _flatten_words(part)
    for name, part in zip(named, flat, strict=True)
    if name in offered
  }


def output(cell: 'keras.layers.Layer', states):
  """The output [B, O] of the step that left a state.

  Args:
    cell: as in `state_names`, without an output layer of its own.
    states: the cell's states, in any nesting; before the first step 0.

  Raises:
    ValueError: as of `features`, or the cell's output is not in its state.
  """
  from keras import ops

  parts = features(cell, states)
  # Every cell gives h, and the words that it read where it has a memory.
  parts = [parts[name] for name in ('h', 'reads') if name in parts]
  found = sum(part.shape[-1] for part in parts)
  if found != cell.output_size:
    raise ValueError(
      f'cell must have its h and reads ({found} numbers) as its output, got '
      f'one with {cell.output_size}'
    )
  return ops.concatenate(parts, -1)


def has_memory(cell: 'keras.layers.Layer') -> bool:
  """Whether a cell has a memory that `trace` can show."""
  return _entry_of(cell).has_memory


def trace(
  cell: 'keras.layers.Layer', sequences
) -> 'dict[str, np.ndarray] | None':
  """What happens in a cell's memory at every step of sequences [B, T, F].

  Returns:
    Arrays [B, T, ...] by name, those of `dnc_layer.Trace` for the DNC; None
    for a cell without a memory.
  """
  entry = _entry_of(cell)
  return entry.trace(cell, sequences) if entry.has_memory else None


def sequence_layer(cell: 'keras.layers.Layer') -> 'keras.layers.Layer':
  """The layer that maps sequences [B, T, F] to outputs [B, T, O]."""
  return _load(_entry_of(cell).sequence_layer)(cell, return_sequences=True)


def _load(kind):
  """The class that an entry names."""
  if not isinstance(kind, str):
    return kind
  module, name = kind.split(':')
  return getattr(importlib.import_module(module), name)


def _entry_of(cell) -> Entry:
  """The entry of a cell's class, or of the nearest class above it."""
  for kind in type(cell).__mro__:
    for entry in REGISTRY.values():
      if _load(entry.cell) is kind:
        return entry
  raise ValueError(f'cell must be of {names()}, got {type(cell).__name__}')


def _flatten_words(tensor):
  from keras import ops

  size = math.prod(tensor.shape[1:])
  return tensor if len(tensor.shape) == 2 else ops.reshape(tensor, (-1, size))


def _dnc_state_names(cell):
  from nca_tf.memory import access

  recurrent = hasattr(cell.controller, 'state_size')
  controller = state_names(cell.controller) if recurrent else ()
  return (*controller, 'reads', *access.AccessState._fields)


def _trace_dnc(cell, sequences):
  from keras import ops

  from nca_tf.memory import dnc_layer

  layer = dnc_layer.DNC(cell, return_sequences=True, return_trace=True)
  _, traced = layer(ops.convert_to_tensor(sequences))
  return {
    name: ops.convert_to_numpy(part) for name, part in traced._asdict().items()
  }


REGISTRY: dict[str, Entry] = {
  'dnc': Entry(
    'DNC',
    'nca_tf.memory.dnc:DNCCell',
    _dnc_state_names,
    ('h', 'c', 'reads', 'memory'),
    trace=_trace_dnc,
    sequence_layer='nca_tf.memory.dnc_layer:DNC',
    jit_pays_on_cpu=True,
  ),
  'lstm': Entry(
    'LSTM', 'keras.layers:LSTMCell', ('h', 'c'), ('h', 'c'), article='an'
  ),
}
