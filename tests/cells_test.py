"""The registered cells: their states, features and traces; wrong names."""

import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from nca_tf.memory import cells
from nca_tf.memory import dnc
from nca_tf.memory import extensions

OPTIONS = {'memory_slots': 6, 'word_size': 4, 'read_heads': 2}
DNC_NAMES = (
  'h',
  'c',
  'reads',
  'memory',
  'usage',
  'write_weights',
  'read_weights',
  'link',
  'precedence',
)


def inputs(batch=3, size=5, seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(batch, size)).astype('float32')


def test_cells_are_registered_in_order():
  assert {'dnc', 'lstm'} <= set(cells.names())
  assert cells.names() == tuple(sorted(cells.REGISTRY))


def test_names_and_features_of_the_kinds():
  lstm, cell = cells.make('lstm', 8), cells.make('dnc', 8, **OPTIONS)
  assert cells.state_names(lstm) == ('h', 'c')
  assert cells.state_names(cell) == DNC_NAMES
  sizes = {
    name: tensor.shape[1]
    for name, tensor in cells.features(
      cell, cell.get_initial_state(batch_size=1)
    ).items()
  }
  assert sizes == {'h': 8, 'c': 8, 'reads': 2 * 4, 'memory': 6 * 4}


def test_what_the_entries_say():
  assert cells.feature_names() == ('h', 'c', 'reads', 'memory')
  assert cells.get('dnc').has_memory and cells.get('dnc').jit_pays_on_cpu
  assert not cells.get('lstm').has_memory
  assert not cells.get('lstm').jit_pays_on_cpu
  assert cells.has_memory(cells.make('dnc', 8, **OPTIONS))
  assert not cells.has_memory(cells.make('lstm', 8))


def test_options_of_a_memory_are_left_to_cells_with_one():
  assert set(extensions.Options._fields) < set(cells._MEMORY_OPTIONS)
  options = dict.fromkeys(extensions.Options._fields, True)
  assert cells.make('lstm', 8, sparse_links=2, **OPTIONS, **options).units == 8


def test_names_are_known_without_tensorflow_and_layers_to_keras_at_once():
  """In processes of their own, where nothing has imported either."""
  for first, known in (
    (
      'from nca_tf.command_line import config_flags; '
      'from nca_tf.memory import cell_flags, cells; cells.names()',
      False,
    ),
    ('import nca_tf.memory', True),
  ):
    code = (
      f'import sys; {first}\n'
      'print("tensorflow" in sys.modules, "nca_tf.memory.dnc" in sys.modules)'
    )
    done = subprocess.run(
      [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert done.stdout == f'{known} {known}\n'


def test_a_trace_is_of_every_step():
  sequences = np.stack([inputs(seed=t) for t in range(4)], axis=1)
  assert cells.trace(cells.make('lstm', 8), sequences) is None
  cell = cells.make('dnc', 8, **OPTIONS)
  trace = cells.trace(cell, sequences)
  state = cell.get_initial_state(batch_size=3)
  for t in range(4):
    _, state = cell(sequences[:, t], state)
    for name in ('memory', 'usage', 'write_weights', 'read_weights'):
      expected = getattr(state.access, name)
      np.testing.assert_allclose(trace[name][:, t], expected, atol=1e-6)


def test_a_feed_forward_controller_offers_reads_and_memory():
  cell = dnc.DNCCell(keras.layers.Dense(4), **OPTIONS)
  assert cells.state_names(cell) == DNC_NAMES[2:]
  features = cells.features(cell, cell.get_initial_state(batch_size=1))
  assert set(features) == {'reads', 'memory'}


@pytest.mark.parametrize('name', cells.names())
def test_a_state_has_the_output_that_led_to_it(name):
  cell = cells.make(name, 8, **OPTIONS)
  state = cell.get_initial_state(batch_size=2)
  cell.build((None, 3))
  np.testing.assert_array_equal(
    cells.output(cell, state), np.zeros((2, cell.output_size))
  )
  inputs = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
  output, state = cell(inputs, state)
  np.testing.assert_array_equal(cells.output(cell, state), output)
  assert np.any(output)
  layer = dnc.DNCCell(8, output_size=5, **OPTIONS)
  with pytest.raises(ValueError, match='h and reads .16 numbers. as its'):
    cells.output(layer, layer.get_initial_state(batch_size=2))


def test_wrong_arguments_are_named():
  known = re.escape(str(cells.names()))
  with pytest.raises(ValueError, match=f"one of {known}, got 'nothing'"):
    cells.make('nothing', 8)
  with pytest.raises(ValueError, match='memory_slots must be .* got 0'):
    cells.make('dnc', 8, memory_slots=0)
  with pytest.raises(ValueError, match='cell must be of .* got SimpleRNNCell'):
    cells.state_names(keras.layers.SimpleRNNCell(2))
  with pytest.raises(ValueError, match=r'states must be 2 tensors \(h, c\)'):
    cells.features(cells.make('lstm', 8), [np.zeros((1, 8))])
