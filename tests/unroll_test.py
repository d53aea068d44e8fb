"""The DNC over whole sequences, by hand against the plain loop."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nca_tf import memory
from nca_tf.memory import cells
from nca_tf.memory.unrolled import native
from nca_tf.memory.unrolled import unroll
from nca_tf.world_model import model as model_lib

BATCH, TIME, INPUTS, UNITS, SLOTS, WORDS, HEADS = 3, 5, 5, 8, 6, 4, 2
# Both run wherever there is a compiler, as on every machine that tests.
KERNELS = ('native', 'pure') if native.load() else ('pure',)
KEEP = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1], [1] * 5], float)


def make_cell(convention='paper', dtype='float64', **options):
  keras.utils.set_random_seed(1)
  cell = memory.DNCCell(
    options.pop('controller', UNITS),
    SLOTS,
    WORDS,
    HEADS,
    convention=convention,
    dtype=dtype,
    **options,
  )
  cell.build((None, INPUTS))
  rng = np.random.default_rng(2)
  for variable in cell.trainable_variables:  # No bias is zero then.
    noise = 0.3 * rng.normal(size=variable.shape)
    variable.assign(variable + noise.astype(variable.dtype))
  return cell


@pytest.fixture(scope='module', params=memory.access.CONVENTIONS)
def cell(request):
  return make_cell(request.param)


@pytest.fixture(scope='module')
def sequences():
  rng = np.random.default_rng(3)
  return tf.constant(rng.normal(size=(BATCH, TIME, INPUTS)))


@pytest.fixture(scope='module')
def start(cell):
  """A state in the middle of a sequence: all usages are distinct."""
  rng = np.random.default_rng(4)
  state = cell.get_initial_state(BATCH)
  usage = rng.uniform(0.1, 0.9, size=(BATCH, SLOTS))
  state = state._replace(access=state.access._replace(usage=tf.constant(usage)))
  return plain(cell, sequences_of(rng), state)[1]


def sequences_of(rng, steps=3):
  return tf.constant(rng.normal(size=(BATCH, steps, INPUTS)))


def plain(cell, sequences, state, keep=None):
  """The loop over the cell's own step."""
  outputs = []
  for t in range(sequences.shape[1]):
    if keep is not None:
      state = keras.tree.map_structure(
        lambda part, t=t: (
          part
          * tf.reshape(
            tf.cast(keep[:, t], part.dtype), [-1] + [1] * (len(part.shape) - 1)
          )
        ),
        state,
      )
    hidden, state, _ = cell.advance(sequences[:, t], state)
    outputs.append(hidden)
  return tf.stack(outputs, 1), state


def differentiate(run, cell, sequences, state):
  """Every output of `run(sequences, state)`, and every gradient."""
  watched = [sequences, *keras.tree.flatten(state)]
  with tf.GradientTape() as tape:
    tape.watch(watched)
    hidden, after = run(sequences, state)
    outputs = [hidden, *keras.tree.flatten(after)]
    loss = tf.add_n(
      [
        tf.reduce_sum(part * tf.cos(3 * tf.stop_gradient(part) + i))
        for i, part in enumerate(outputs)
      ]
    )
  variables = [variable.value for variable in cell.trainable_variables]
  gradients = tape.gradient(
    loss, [*watched, *variables], unconnected_gradients='zero'
  )
  return outputs, gradients


def assert_same(one, other, tolerance=1e-10):
  for got, expected in zip(one[0], other[0], strict=True):
    np.testing.assert_allclose(got, expected, atol=tolerance)
  for got, expected in zip(one[1], other[1], strict=True):
    largest = np.abs(expected).max()
    np.testing.assert_allclose(got, expected, atol=tolerance * largest)
  # Some are zero: of the first link from zero, of the first write weights in
  # DeepMind's convention.
  assert sum(np.any(gradient) for gradient in other[1]) >= len(other[1]) - 2


def compiled(mode, *arguments):
  function = differentiate
  if mode != 'eager':
    function = tf.function(
      differentiate, autograph=False, jit_compile=mode == 'xla'
    )
  run, cell, sequences, state = arguments
  return function(run, cell, sequences, state)


@pytest.fixture(scope='module', params=(False, True), ids=('carried', 'reset'))
def expected(request, cell, sequences, start):
  """The resets, and what the plain loop gives."""
  keep = KEEP if request.param else None

  def run(sequences, state):
    return plain(cell, sequences, state, keep)

  return keep, differentiate(run, cell, sequences, start)


@pytest.mark.parametrize('checkpoint', (None, 2))
@pytest.mark.parametrize('mode', ('eager', 'graph'))
@pytest.mark.parametrize('kernel', KERNELS)
def test_outputs_and_gradients_equal_the_plain_ones(
  kernel, mode, checkpoint, cell, sequences, start, expected
):
  keep, wanted = expected

  def run(sequences, state):
    return unroll.unroll(cell, sequences, state, keep, checkpoint, kernel)

  assert_same(compiled(mode, run, cell, sequences, start), wanted)


def test_so_they_do_under_xla(cell, sequences, start, expected):
  keep, wanted = expected
  if keep is None or cell.convention == 'deepmind':
    return  # Compiling takes long: one case has it all.

  def run(sequences, state):
    return unroll.unroll(cell, sequences, state, keep, 2)

  assert_same(compiled('xla', run, cell, sequences, start), wanted)


@pytest.mark.parametrize('kernel', KERNELS)
def test_checkpoints_change_nothing_at_ties(kernel, sequences):
  """From zero all usages tie, and rounding decides: it has to decide once."""
  long = tf.tile(tf.cast(sequences, 'float32'), [1, 4, 1])
  single = make_cell(dtype='float32')

  def gradients(checkpoint):
    def run(sequences, state):
      return unroll.unroll(single, sequences, state, None, checkpoint, kernel)

    return compiled('graph', run, single, long, single.get_initial_state(3))

  whole = gradients(None)
  for length in (6, 100):
    assert_same(gradients(length), whole, 2e-6)


@pytest.mark.parametrize('kernel', KERNELS)
def test_layer_uses_it_and_learns_the_same(kernel, cell, sequences):
  layers = [
    memory.DNC(cell, return_sequences=True, return_state=True, kernel=name)
    for name in (kernel, 'plain')
  ]
  usage = np.tile(np.linspace(0.2, 0.8, SLOTS), (BATCH, 1))
  state = cell.get_initial_state(BATCH)
  state = state._replace(access=state.access._replace(usage=tf.constant(usage)))
  one, other = (
    differentiate(
      lambda x, s, layer=layer: layer(x, initial_state=s, training=True),
      cell,
      sequences,
      state,
    )
    for layer in layers
  )
  assert_same(one, other)
  config = layers[0].get_config()
  assert config['kernel'] == kernel and config['checkpoint'] is None


@pytest.mark.parametrize('kernel', KERNELS)
def test_world_model_starts_anew_where_episodes_begin(kernel):
  keras.utils.set_random_seed(0)
  sizes = {'memory_slots': SLOTS, 'word_size': WORDS, 'read_heads': HEADS}
  cell = cells.make('dnc', UNITS, **sizes)
  model = model_lib.MemoryModel(cell, 4, 2, 2)
  model.build()
  rng = np.random.default_rng(5)
  inputs = (
    rng.normal(size=(3, TIME, 4)).astype('float32'),
    rng.normal(size=(3, TIME, 2)).astype('float32'),
    KEEP == 0,
    model.initial(3),
  )
  wanted, wanted_state = model.unroll(*inputs, kernel='plain')
  for checkpoint in (None, 2):
    got, state = model.unroll(*inputs, kernel=kernel, checkpoint=checkpoint)
    for one, other in zip(got.latent, wanted.latent, strict=True):
      np.testing.assert_allclose(one, other, atol=1e-5)
    assert len(state) == len(wanted_state)


@pytest.mark.parametrize('kernel', KERNELS)
def test_time_and_batch_may_be_unknown(kernel):
  cell = make_cell(dtype='float32')

  @tf.function(
    input_signature=[tf.TensorSpec((None, None, INPUTS))], autograph=False
  )
  def gradient(sequences):
    state = cell.get_initial_state(tf.shape(sequences)[0])
    with tf.GradientTape() as tape:
      tape.watch(sequences)
      hidden, _ = unroll.unroll(cell, sequences, state, kernel=kernel)
    return hidden, tape.gradient(hidden, sequences)

  for batch, steps in ((2, 4), (1, 1)):
    x = np.random.default_rng(0).normal(size=(batch, steps, INPUTS))
    hidden, slope = gradient(x.astype('float32'))
    assert hidden.shape == (batch, steps, UNITS + HEADS * WORDS)
    assert np.isfinite(slope).all() and np.any(slope)


def test_other_cells_are_left_to_the_plain_loop(sequences):
  assert unroll.supports(make_cell())
  lstm = keras.layers.LSTMCell
  for cell in (
    lstm(UNITS),
    make_cell(dtype='mixed_bfloat16'),
    make_cell(key_masking=True),
    make_cell(controller=keras.layers.GRUCell(UNITS, dtype='float64')),
    make_cell(controller=lstm(UNITS, dropout=0.5, dtype='float64')),
    make_cell(controller=lstm(UNITS, activation='relu', dtype='float64')),
  ):
    assert not unroll.supports(cell)
  cell = make_cell(controller=keras.layers.GRUCell(UNITS, dtype='float64'))
  layer = memory.DNC(cell, return_sequences=True)
  outputs = layer(sequences, training=True)
  assert outputs.shape == (BATCH, TIME, UNITS + HEADS * WORDS)


def test_wrong_arguments_are_named():
  cell = make_cell()
  for make in (
    lambda **options: unroll.unroll(cell, None, None, **options),
    lambda **options: memory.DNC(cell, **options),
  ):
    with pytest.raises(ValueError, match="kernel must be one of .*'fast'"):
      make(kernel='fast')
    with pytest.raises(
      ValueError, match='checkpoint must be an integer of at least 1, got 0'
    ):
      make(checkpoint=0)
