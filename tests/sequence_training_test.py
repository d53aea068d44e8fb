"""A cell with an output over sequences, and its training on memory tasks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nca_tf.datasets.memory_tasks import registry
from nca_tf.memory import cells
from nca_tf.memory import sequence_model
from nca_tf.saved_models import export
from nca_tf.training import compilation
from nca_tf.training import sequence as sequence_training

SMALL = {'memory_slots': 5, 'word_size': 4, 'read_heads': 1}


def make(cell, task, seed=0):
  keras.utils.set_random_seed(seed)
  sizes = task.input_size, task.output_size
  return sequence_model.make(cell, 8, *sizes, **SMALL)


def make_trainer(cell, task, **options):
  settings = {
    'longest': 3,
    'seed': 1,
    'learning_rate': 1e-2,
    'batch': 8,
    'jit': False,
  }
  return sequence_training.SequenceTrainer(
    make(cell, task), task, **{**settings, **options}
  )


@pytest.mark.parametrize('cell', cells.names())
def test_a_sequence_equals_its_steps_and_its_trace(cell):
  task = registry.make('copy', bits=3)
  model = make(cell, task)
  sequences = np.random.default_rng(0).normal(size=(2, 4, 4)).astype('float32')
  whole = model(sequences)
  state = model.get_initial_state(2)
  for t in range(4):
    output, state = model.step(sequences[:, t], state)
    np.testing.assert_allclose(output, whole[:, t], atol=1e-5)
  outputs, trace = model.trace(sequences)
  np.testing.assert_allclose(outputs, whole, atol=1e-5)
  assert (trace is None) != cells.get(cell).has_memory
  if trace is not None:
    assert trace['memory'].shape == (2, 4, 5, 4)


def test_a_cell_gets_as_many_weights_as_another_model():
  for parameters in (900, 5000, 23456):
    units = sequence_model.nearest_units('lstm', parameters, 7, 3)
    counts = [
      sequence_model.make('lstm', near, 7, 3).count_params()
      for near in (units - 1, units, units + 1)
    ]
    assert counts[1] == 4 * units * (7 + units + 1) + (units + 1) * 3
    nearest = min(counts, key=lambda count: abs(count - parameters))
    assert counts[1] == nearest
    assert abs(counts[1] - parameters) < 0.05 * parameters
  assert sequence_model.nearest_units('lstm', 1, 7, 3) == 1


def test_the_loss_counts_answers_alone():
  rng = np.random.default_rng(0)
  outputs = rng.normal(size=(2, 4, 3))
  answers = np.array([[0, 1, 0, 0], [0, 0, 1, 1]], bool)
  targets = np.zeros((2, 4, 3))
  targets[..., 1] = 1
  chosen, wanted = outputs[answers], targets[answers]
  log_sigmoid = -np.log1p(np.exp(-chosen))
  bits = -(wanted * log_sigmoid + (1 - wanted) * (log_sigmoid - chosen))
  classes = np.log(np.exp(chosen).sum(-1)) - chosen[:, 1]
  expected = {
    'bits': bits.mean(),
    'number': ((chosen - wanted) ** 2).mean(),
    'classes': classes.mean(),
  }
  for kind, value in expected.items():
    outputs[~answers] += 9
    loss = sequence_training.answer_loss(kind, outputs, targets, answers)
    assert loss.numpy() == pytest.approx(value), kind


def test_lengths_grow_and_batches_depend_on_the_index_alone():
  task = registry.make('associative_recall', bits=3, item_words=1)
  trainer = make_trainer('lstm', task, longest=6, warm_up=40)
  lengths = [trainer.curriculum_length(index) for index in range(60)]
  assert lengths[0] == 3  # The shortest has 2; one longer, for some choice.
  assert lengths == sorted(lengths)
  assert set(lengths) == {3, 4, 5, 6}
  assert lengths[40:] == [6] * 20
  assert lengths[39] == 6
  assert trainer.batch(0).inputs.shape == trainer.batch(59).inputs.shape
  for one, two in zip(trainer.batch(5), trainer.batch(5), strict=True):
    np.testing.assert_array_equal(one, two)
  other = trainer.batch(6).inputs
  assert not np.array_equal(trainer.batch(5).inputs, other)


@pytest.mark.parametrize('name', registry.names())
def test_training_lowers_the_loss_of_every_task(name):
  task = registry.make(name, bits=2, item_words=1, most_repeats=2)
  trainer = make_trainer('lstm', task, clip=10.0)
  records = [trainer.step(index) for index in range(60)]
  first, last = (
    np.mean([float(record['loss']) for record in part])
    for part in (records[:8], records[-8:])
  )
  assert last < 0.97 * first
  assert all(np.isfinite(float(r['gradient_norm'])) for r in records)
  errors = trainer.evaluate([2, 3], 5, task.steps(3))
  assert errors.shape == (2, 5)
  np.testing.assert_array_equal(errors, trainer.evaluate([2, 3], 5))


@pytest.mark.parametrize('cell', cells.names())
def test_saved_model_gives_the_same_outputs(cell, tmp_path):
  task = registry.make('copy', bits=2)
  model = make(cell, task)
  export.export_sequence_model(model, task.input_size, tmp_path / 'model')
  loaded = tf.saved_model.load(str(tmp_path / 'model')).signatures
  inputs = np.random.default_rng(0).normal(size=(3, 5, 3)).astype('float32')
  state = loaded['initial_state'](batch=tf.constant(3))
  for t in range(5):
    after = loaded['step'](inputs=tf.constant(inputs[:, t]), **state)
    state = {name: after[f'next_{name}'] for name in state}
  np.testing.assert_allclose(after['outputs'], model(inputs)[:, -1], atol=1e-5)


def test_a_saved_file_gives_the_same_outputs(tmp_path):
  inputs = keras.Input((None, 3))
  layer = sequence_model.SequenceModel(cells.make('dnc', 4, **SMALL), 2)
  model = keras.Model(inputs, layer(inputs))
  model.save(tmp_path / 'model.keras')
  loaded = keras.saving.load_model(tmp_path / 'model.keras')
  sequences = np.random.default_rng(0).normal(size=(2, 3, 3)).astype('float32')
  np.testing.assert_array_equal(loaded(sequences), model(sequences))


@pytest.fixture(scope='module', name='parts')
def make_parts():
  task = registry.make('copy', bits=3)
  return make('lstm', task), task


def test_numbers_of_a_sweep_train_as_pythons_own(parts):
  settings = {'longest': 3, 'seed': 1, 'learning_rate': 1e-2, 'batch': 8}
  settings |= {'warm_up': 4, 'clip': 0.5}
  swept = {name: np.array(number) for name, number in settings.items()}
  one, other = (
    sequence_training.SequenceTrainer(*parts, jit=jit, **given)
    for jit, given in ((False, settings), (np.bool_(False), swept))
  )
  for index in range(2):
    for got, wanted in zip(other.batch(index), one.batch(index), strict=True):
      np.testing.assert_array_equal(got, wanted)
  rates = [float(t.optimizer.learning_rate) for t in (one, other)]
  assert rates[0] == rates[1]


@pytest.mark.parametrize(
  ('option', 'message'),
  (
    ({'longest': 0}, 'longest must be an integer of at least 1, got 0'),
    ({'longest': 3.0}, 'longest must be an integer of at least 1, got 3.0'),
    ({'seed': '1'}, "seed must be an integer, got '1'"),
    ({'batch': True}, 'batch must be an integer of at least 1, got True'),
    ({'warm_up': -1}, 'warm_up must be an integer of at least 0, got -1'),
    ({'clip': 0}, 'clip must be a finite number above 0, got 0'),
    ({'clip': np.inf}, 'clip must be a finite number above 0, got inf'),
    ({'learning_rate': np.nan}, 'learning_rate must be a finite number of at'),
    ({'jit': 'off'}, "jit must be True or False, got 'off'"),
  ),
)
def test_wrong_numbers_are_named(option, message, parts):
  settings = {'longest': 3, 'seed': 1, 'learning_rate': 1e-2, 'jit': False}
  with pytest.raises(ValueError, match=message):
    sequence_training.SequenceTrainer(*parts, **{**settings, **option})


def test_jit_has_three_values():
  assert compilation.compiles('on', pays_on_cpu=False)
  assert not compilation.compiles('off', pays_on_cpu=True)
  assert compilation.compiles('auto', pays_on_cpu=True)
  for value in ('On', True, None):
    with pytest.raises(ValueError, match='jit must be auto, on or off, got'):
      compilation.compiles(value, pays_on_cpu=True)
