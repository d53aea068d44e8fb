"""The DNC does what Keras' own recurrent layers do, or says that it does not.

keras.layers.LSTM and keras.layers.RNN are the oracles: each test runs the same
calls on them, or on the same cell step by step.
"""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from nca_tf import memory
from nca_tf.memory import cells
from nca_tf.memory import controllers
from nca_tf.memory import sequence_model
from nca_tf.memory.unrolled import native
from nca_tf.memory.unrolled import unroll

BATCH, TIME, INPUTS = 2, 4, 3
SIZES = {'memory_slots': 4, 'word_size': 3, 'read_heads': 1}
KERNELS = ('auto', 'pure', 'plain') + (('native',) if native.load() else ())
MASK = np.array([[1, 1, 0, 1], [0, 1, 1, 0]], 'bool')


def random(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype('float32')


SEQUENCES = random(BATCH, TIME, INPUTS)


def make_cell(controller=4, **options):
  return memory.DNCCell(controller, output_size=2, **SIZES, **options)


@pytest.fixture(scope='module', name='cell')
def one_cell():
  keras.utils.set_random_seed(1)
  cell = make_cell()
  cell.build((None, INPUTS))
  return cell


def flat(nested):
  return [np.asarray(part) for part in keras.tree.flatten(nested)]


def assert_equal(one, other, atol=1e-6):
  for got, wanted in zip(flat(one), flat(other), strict=True):
    np.testing.assert_allclose(got, wanted, atol=atol)


# What Keras' tools ask of a layer.


@pytest.mark.parametrize('return_state', (False, True))
@pytest.mark.parametrize('return_sequences', (False, True))
@pytest.mark.parametrize('mask', (None, MASK), ids=('whole', 'masked'))
@pytest.mark.parametrize(
  'options',
  (
    {},
    {'go_backwards': True},
    {'zero_output_for_mask': True},
    {'unroll': True},
    {'go_backwards': True, 'unroll': True},
    # Keras, not we, forgets to turn the mask around with `unroll` besides.
    {'go_backwards': True, 'zero_output_for_mask': True},
  ),
  ids='-'.join,
)
def test_options_mean_what_they_mean_in_keras(
  options, mask, return_sequences, return_state, cell
):
  options = {
    'return_sequences': return_sequences,
    'return_state': return_state,
    **options,
  }
  got = memory.DNC(cell, **options)(SEQUENCES, mask=mask)
  wanted = keras.layers.RNN(cell, **options)(SEQUENCES, mask=mask)
  assert_equal(got, wanted)
  if return_state:
    assert isinstance(got[1], memory.DNCState)


@pytest.mark.parametrize('kernel', KERNELS)
def test_backwards_is_forwards_on_the_reversed_sequence(kernel, cell):
  options = {'return_sequences': True, 'kernel': kernel}
  backwards = memory.DNC(cell, go_backwards=True, **options)
  forwards = memory.DNC(cell, **options)
  got = backwards(SEQUENCES, training=True)
  assert_equal(got, forwards(SEQUENCES[:, ::-1], training=True))


@pytest.mark.parametrize('make', (memory.DNC, keras.layers.RNN))
def test_a_stateful_layer_carries_on(make, cell, tmp_path):
  layer = make(cell, return_sequences=True, stateful=True)
  inputs = keras.Input(batch_shape=(BATCH, None, INPUTS))
  model = keras.Model(inputs, layer(inputs))
  assert len(model.weights) == len(cell.weights)  # For any batch size.
  wanted = memory.DNC(cell, return_sequences=True)(SEQUENCES)
  # Keras 3.12, the last one on Python 3.10, compares a batch size that its own
  # export does not know.
  version = tuple(map(int, keras.__version__.split('.')[:2]))
  exports = make is memory.DNC or version >= (3, 13)
  if exports:
    model.export(tmp_path, verbose=False)
  for half in (
    (SEQUENCES[:, :2], wanted[:, :2]),
    (SEQUENCES[:, 2:], wanted[:, 2:]),
  ):
    assert_equal(model(half[0]), half[1])
  if not exports:
    return
  loaded = tf.saved_model.load(tmp_path)
  assert_equal(loaded.serve(SEQUENCES[:, :2]), wanted[:, :2])
  assert_equal(loaded.serve(SEQUENCES[:, 2:]), wanted[:, 2:])


def test_a_stateful_layer_can_be_reset(cell):
  layer = memory.DNC(cell, stateful=True)
  assert layer.states is None
  first = layer(SEQUENCES)
  assert np.abs(layer(SEQUENCES) - first).max() > 1e-4
  for reset in (layer.reset_state, layer.reset_states):
    reset()
    assert not any(part.any() for part in flat(layer.states))
    assert_equal(layer(SEQUENCES), first)
  start = cell.get_initial_state(BATCH)  # A state that is given goes first.
  assert_equal(layer(SEQUENCES, initial_state=start), first)
  with pytest.raises(ValueError, match='states must be of the batch size of'):
    layer(SEQUENCES[:1])
  with pytest.raises(ValueError, match='sequences must be of a known batch si'):
    memory.DNC(cell, stateful=True).build((None, None, INPUTS))


def test_a_stateful_layer_in_mixed_precision_keeps_its_dtypes():
  layer = memory.DNC(make_cell(dtype='mixed_bfloat16'), stateful=True)
  layer(SEQUENCES)
  dtypes = [variable.dtype for variable in layer.states]
  assert dtypes == ['bfloat16'] * 2 + ['float32'] * 7
  layer(SEQUENCES)


@pytest.mark.parametrize('merge_mode', ('concat', 'sum', 'mul', 'ave', None))
def test_bidirectional_merges_both_directions(merge_mode):
  layer = keras.layers.Bidirectional(
    memory.DNC(make_cell(), return_sequences=True), merge_mode=merge_mode
  )
  inputs = keras.Input((None, INPUTS))
  got = keras.Model(inputs, layer(inputs))(SEQUENCES)
  one = layer.forward_layer(SEQUENCES)
  other = layer.backward_layer(SEQUENCES)[:, ::-1]
  wanted = {
    'concat': lambda: np.concatenate([one, other], -1),
    'sum': lambda: one + other,
    'mul': lambda: one * other,
    'ave': lambda: (one + other) / 2,
    None: lambda: (one, other),
  }[merge_mode]()
  assert_equal(got, wanted)
  copy = keras.layers.Bidirectional.from_config(layer.get_config())
  assert copy.backward_layer.go_backwards
  assert copy.get_config() == layer.get_config()


@pytest.mark.parametrize('controller', ('lstm', 'dense'))
def test_bidirectional_takes_and_returns_states(controller):
  make = {'lstm': keras.layers.LSTMCell, 'dense': keras.layers.Dense}
  cell = make_cell(make[controller](4))
  layer = keras.layers.Bidirectional(memory.DNC(cell, return_state=True))
  inputs = keras.Input((None, INPUTS))
  outputs, *states = keras.Model(inputs, layer(inputs))(SEQUENCES)
  again, *_ = layer(SEQUENCES)
  assert_equal(outputs, again)
  wanted = [
    layer.forward_layer(SEQUENCES, initial_state=states[0])[0],
    layer.backward_layer(SEQUENCES, initial_state=states[1])[0],
  ]
  got = layer(SEQUENCES, initial_state=states)[0]
  assert_equal(got, np.concatenate(wanted, -1))


def test_bidirectional_reads_masks_as_over_keras_layer(cell):
  got, wanted = (
    keras.layers.Bidirectional(make(cell, return_sequences=True))
    for make in (memory.DNC, keras.layers.RNN)
  )
  for layer in (got, wanted):
    layer.build(SEQUENCES.shape)
  wanted.set_weights(got.get_weights())
  assert_equal(got(SEQUENCES, mask=MASK), wanted(SEQUENCES, mask=MASK))


# What is refused.


def test_wrong_arguments_of_the_layer_are_named(cell):
  for options, message in (
    ({'stateful': 1}, 'stateful must be True or False, got 1'),
    ({'unroll': 'no'}, "unroll must be True or False, got 'no'"),
    ({'go_backwards': None}, 'go_backwards must be True or False, got None'),
    ({'return_state': 0.0}, 'return_state must be True or False, got 0.0'),
    ({'checkpoint': 2.5}, 'checkpoint must be an integer of at least 1, got 2'),
    (
      {'go_backwards': True, 'return_trace': True},
      'return_trace must be False where go_backwards is True',
    ),
  ):
    with pytest.raises(ValueError, match=message):
      memory.DNC(cell, **options)


@pytest.mark.parametrize('training', (False, True))
@pytest.mark.parametrize('kernel', KERNELS)
def test_wrong_sizes_are_refused_before_anything_is_computed(
  kernel, training, cell
):
  layer = memory.DNC(cell, return_sequences=True, kernel=kernel)
  for shape, given, message in (
    ((2, 0, 3), {}, 'sequences must be .* none of them 0, got .*2, 0, 3'),
    ((0, 4, 3), {}, 'sequences must be .* none of them 0, got .*0, 4, 3'),
    ((2, 4, 5), {}, r'sequences must be \[B, T, 3\], as .* got .*2, 4, 5'),
    ((2, 4), {}, r'sequences must be \[B, T, F\], got shape \(2, 4\)'),
    ((2, 4, 3), {'mask': (2, 3)}, r'mask must be \[B, T\], got shape \(2, 3\)'),
    ((2, 4, 3), {'mask': (4, 2)}, r'mask must be \[B, T\], got shape \(4, 2\)'),
    (
      (2, 4, 3),
      {'mask': (2, 4, 1)},
      r'mask must be \[B, T\], got shape \(2, 4',
    ),
    ((2, 4, 3), {'mask': (4,)}, r'mask must be \[B, T\], got shape \(4,\)'),
    ((2, 4, 3), {'state': 3}, r'states must be of the batch .*, 2, got \[3\]'),
    ((2, 4, 3), {'state': 1}, r'states must be of the batch .*, 2, got \[1\]'),
  ):
    arguments = {'training': training}
    if 'mask' in given:
      arguments['mask'] = np.ones(given['mask'], 'bool')
    if 'state' in given:
      arguments['initial_state'] = cell.get_initial_state(given['state'])
    with pytest.raises(ValueError, match=message):
      layer(np.ones(shape, 'float32'), **arguments)


def test_wrong_states_of_a_step_are_refused(cell):
  state = flat(cell.get_initial_state(2))
  with pytest.raises(ValueError, match=r'batch size .*, 3, got \[2\]'):
    cell(random(3, INPUTS), state)
  state[4] = state[4][:1]
  with pytest.raises(ValueError, match=r'batch size .*, 2, got \[1, 2\]'):
    cell(random(2, INPUTS), state)


def test_lengths_must_be_known_to_unroll_in_the_graph(cell):
  layer = memory.DNC(cell, unroll=True)
  with pytest.raises(ValueError, match='known length where unroll is True'):
    layer(keras.Input((None, INPUTS)))


def test_a_mask_may_be_a_list_or_numbers(cell):
  layer = memory.DNC(cell)
  wanted = layer(SEQUENCES, mask=MASK)
  for mask in (
    MASK.tolist(),
    MASK.astype('float32'),
    MASK.astype(int).tolist(),
  ):
    assert_equal(layer(SEQUENCES, mask=mask), wanted)


# States in another precision.


POLICIES = ('float32', 'float64', 'mixed_bfloat16', 'mixed_float16')


def make_states(cell, dtype):
  """A state that every dtype can hold, as NumPy arrays and as tensors."""
  state = cell.get_initial_state(BATCH)
  parts = [np.full(part.shape, 0.25) for part in flat(state)]
  return keras.tree.pack_sequence_as(
    state, [tf.constant(part, dtype) for part in parts]
  )


@pytest.mark.parametrize('policy', POLICIES)
@pytest.mark.parametrize('kernel', KERNELS)
def test_states_are_cast_as_inputs_are(kernel, policy):
  cell = make_cell(dtype=policy)
  layer = memory.DNC(cell, return_state=True, kernel=kernel)
  layer.build(SEQUENCES.shape)
  carried = [t.dtype for t in keras.tree.flatten(cell.get_initial_state(1))]
  for training in (False, True):
    wanted = None
    for dtype in ('float32', 'float64', 'float16', 'bfloat16'):
      got = layer(
        SEQUENCES.astype('float64'),
        initial_state=make_states(cell, dtype),
        training=training,
      )
      assert [t.dtype for t in keras.tree.flatten(got[1])] == carried
      got = [part.astype('float64') for part in flat(got)]
      wanted = wanted or got
      assert_equal(got, wanted, atol=0)


@pytest.mark.parametrize('policy', POLICIES)
@pytest.mark.parametrize('name', cells.names())
def test_cells_cast_states_and_give_their_dtypes_back(name, policy):
  cell = cells.make(name, 4, dtype=policy, **SIZES)
  inputs = SEQUENCES[:, 0]
  wanted, _ = cell(inputs, make_states(cell, 'float32'))
  for dtype in ('float64', 'float16', 'bfloat16'):
    got, after = cell(inputs.astype('float64'), make_states(cell, dtype))
    assert_equal(np.float64(got), np.float64(wanted), atol=0)
    if name == 'dnc':  # As keras.layers.RNN needs it.
      assert {t.dtype for t in keras.tree.flatten(after)} == {
        tf.as_dtype(dtype)
      }


@pytest.mark.parametrize('kernel', [k for k in KERNELS if k != 'plain'])
def test_unrolled_states_are_cast(kernel, cell):
  wanted, _ = unroll.unroll(
    cell, SEQUENCES, make_states(cell, 'float32'), kernel=kernel
  )
  for dtype in ('float64', 'bfloat16'):
    state = make_states(cell, dtype)
    sequences = SEQUENCES.astype('float64')
    got, _ = unroll.unroll(cell, sequences, state, kernel=kernel)
    assert_equal(got, wanted, atol=0)


# Configurations.


def configured():
  """Each cell and layer of the package, made from NumPy's numbers."""
  number, true = np.int64, np.bool_(True)
  sizes = {name: number(size) for name, size in SIZES.items()}
  cell = memory.DNCCell(
    np.array(4),
    **sizes,
    output_size=np.int8(2),
    convention=np.str_('deepmind'),
    key_masking=true,
    sparse_links=number(2),
  )
  yield cell
  yield memory.DNCCell(keras.layers.LSTMCell(number(4)), **sizes)
  yield memory.DNC(
    cell,
    return_sequences=true,
    kernel=np.str_('pure'),
    checkpoint=number(2),
    go_backwards=true,
    stateful=np.bool_(False),
  )
  yield controllers.FeedForward(number(4), tf.constant(3))
  for name in cells.names():
    yield cells.make(name, number(4), **sizes)
    yield sequence_model.SequenceModel(
      cells.make(name, number(4), **sizes), number(3)
    )


@pytest.mark.parametrize(
  'layer', tuple(configured()), ids=lambda layer: type(layer).__name__
)
def test_configurations_are_plain_and_make_the_same_layer(layer):
  config = layer.get_config()
  text = json.dumps(config)
  assert json.loads(text) == json.loads(json.dumps(plain(config)))
  copy = type(layer).from_config(json.loads(text))
  assert copy.get_config() == config
  assert type(copy) is type(layer)


def plain(value):
  """The same value; fails where NumPy has left something of its own."""
  if isinstance(value, dict):
    return {plain(key): plain(part) for key, part in value.items()}
  if isinstance(value, list | tuple):
    return [plain(part) for part in value]
  assert type(value) in (bool, int, float, str, type(None)), repr(value)
  return value


@pytest.mark.parametrize('size', (0, -1, 2.5, 2.0, True, '3', None, np.nan))
@pytest.mark.parametrize(
  ('name', 'make'),
  (
    ('memory_slots', lambda n: memory.DNCCell(4, memory_slots=n)),
    ('word_size', lambda n: memory.DNCCell(4, word_size=n)),
    ('read_heads', lambda n: memory.DNCCell(4, read_heads=n)),
    ('units', lambda n: cells.make('lstm', n)),
    ('units', lambda n: cells.make('dnc', n)),
    ('units', lambda n: controllers.FeedForward(n, 3)),
    ('reads_size', lambda n: controllers.FeedForward(3, n)),
    (
      'output_size',
      lambda n: sequence_model.SequenceModel(cells.make('lstm', 2), n),
    ),
  ),
)
def test_sizes_are_integers_of_at_least_one(name, make, size):
  with pytest.raises(ValueError, match=f'{name} must be an integer of at leas'):
    make(size)
