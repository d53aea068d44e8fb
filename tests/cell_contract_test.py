"""What every registered cell must do, also one that only these tests register.

The toy cell is an entry of the registry and nothing else; it goes through the
models, exports and binaries like the cells of the library.
"""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny_world_models

from nca_tf.analysis import memory_trace
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.datasets.memory_tasks import registry
from nca_tf.experiments.agents import run as agents
from nca_tf.experiments.agents import settings as agent_settings
from nca_tf.experiments.controller import settings as controller_settings
from nca_tf.experiments.memory_tasks import run as memory_tasks
from nca_tf.experiments.memory_tasks import settings as memory_task_settings
from nca_tf.experiments.predictions import measures
from nca_tf.experiments.predictions import pictures
from nca_tf.experiments.predictions import rollout
from nca_tf.experiments.predictions import run as predictions
from nca_tf.experiments.predictions import settings as prediction_settings
from nca_tf.experiments.world_model import run as world_model
from nca_tf.experiments.world_model import settings as world_model_settings
from nca_tf.memory import cells
from nca_tf.memory import sequence_model
from nca_tf.saved_models import export
from nca_tf.training import sequence as sequence_training
from nca_tf.world_model import model as model_lib

NAMES = (*cells.names(), 'toy')
OPTIONS = {'memory_slots': 6, 'word_size': 4, 'read_heads': 2}
TOY = cells.Entry('Toy', keras.layers.GRUCell, ('h',), ('h',))


@pytest.fixture(autouse=True)
def toy(monkeypatch):
  monkeypatch.setitem(cells.REGISTRY, 'toy', TOY)


@pytest.fixture(params=NAMES)
def cell(request, toy):
  keras.utils.set_random_seed(1)
  return cells.make(request.param, 8, **OPTIONS)


def inputs(batch=3, size=5, seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(batch, size)).astype('float32')


def sequences(steps=4, size=5):
  return np.stack([inputs(size=size, seed=t) for t in range(steps)], axis=1)


def test_state_starts_at_zero_with_named_batched_tensors(cell):
  flat = keras.tree.flatten(cell.get_initial_state(batch_size=3))
  assert len(flat) == len(cells.state_names(cell))
  for tensor in flat:
    assert tensor.shape[0] == 3
    assert not np.any(tensor)


def test_step_gives_an_output_and_a_state_like_the_one_before(cell):
  state = cell.get_initial_state(batch_size=3)
  output, after = cell(inputs(), state)
  assert output.shape == (3, cell.output_size)
  for new, old in zip(
    keras.tree.flatten(after), keras.tree.flatten(state), strict=True
  ):
    assert (new.shape, new.dtype) == (old.shape, old.dtype)


def test_a_sequence_equals_its_steps(cell):
  in_keras = keras.layers.RNN(cell, return_sequences=True)(sequences())
  in_layer = cells.sequence_layer(cell)(sequences())
  state = cell.get_initial_state(batch_size=3)
  for t in range(4):
    output, state = cell(sequences()[:, t], state)
    np.testing.assert_allclose(in_keras[:, t], output, atol=1e-6)
    np.testing.assert_allclose(in_layer[:, t], output, atol=1e-6)


def test_features_are_rows_of_the_state(cell):
  _, state = cell(inputs(), cell.get_initial_state(batch_size=3))
  flat = keras.tree.flatten(state)
  features = cells.features(cell, state)
  assert 'h' in features and set(features) <= set(cells.feature_names())
  for name, tensor in zip(cells.state_names(cell), flat, strict=True):
    if name in features:
      expected = np.reshape(tensor, (3, -1))
      np.testing.assert_array_equal(features[name], expected)


def test_flat_states_are_states_too(cell):
  state = cell.get_initial_state(batch_size=3)
  output, _ = cell(inputs(), state)
  other, after = cell(inputs(), keras.tree.flatten(state))
  np.testing.assert_array_equal(output, other)
  assert 'h' in cells.features(cell, after)


def test_only_a_memory_can_be_traced_and_drawn(cell):
  trace = cells.trace(cell, sequences())
  assert (trace is not None) == cells.has_memory(cell)
  if trace is not None:
    assert all(part.shape[:2] == (3, 4) for part in trace.values())
    memory_trace.memory_trace({name: part[0] for name, part in trace.items()})


@pytest.mark.parametrize('name', NAMES)
def test_training_changes_every_weight(name):
  task = registry.make('copy', bits=3)
  model = sequence_model.make(
    name, 8, task.input_size, task.output_size, **OPTIONS
  )
  before = [weight.numpy() for weight in model.weights]
  trainer = sequence_training.SequenceTrainer(
    model, task, longest=3, seed=0, learning_rate=0.1, batch=4, jit=False
  )
  for index in range(2):
    assert np.isfinite(trainer.step(index)['loss'])
  for weight, old in zip(model.weights, before, strict=True):
    assert not np.array_equal(weight, old), weight.path


def memory_model(cell):
  model = model_lib.MemoryModel(cell, latent_size=3, action_size=2)
  model.build()
  return model


def test_m_unrolls_as_it_steps_and_starts_anew(cell):
  model = memory_model(cell)
  z, action = tf.constant(sequences(size=3)), tf.constant(sequences(size=2))
  is_first = tf.constant([[True, False, True, False]] * 3)
  whole, last = model.unroll(z, action, is_first, model.initial(3))
  state = model.initial(3)
  for t in range(4):
    one, state = model.step(z[:, t], action[:, t], is_first[:, t], state)
    np.testing.assert_allclose(
      one.done_logit, whole.done_logit[:, t], atol=1e-5
    )
    if t == 1:  # The next step starts an episode: nothing of this one counts.
      state = [part + 1.0 for part in state]
  for one, other in zip(state, last, strict=True):
    np.testing.assert_allclose(one, other, atol=1e-5)
  assert 'h' in model.features(state)


def test_saved_models_step_as_the_live_ones(cell, tmp_path):
  model = memory_model(cell)
  export.export_model(model, tmp_path / 'model')
  step = tf.saved_model.load(tmp_path / 'model').signatures['step']
  names, state = cells.state_names(cell), model.initial(3)
  z, action = tf.constant(inputs(size=3)), tf.constant(inputs(size=2))
  known = {
    'temperature': tf.constant(1.0),
    'seed': tf.constant([1, 2]),
    'is_first': tf.constant([True, False, False]),
  }
  for _ in range(2):
    given = dict(zip(names, state, strict=True))
    saved = step(z=z, action=action, **known, **given)
    live, state = model.step(z, action, known['is_first'], state)
    np.testing.assert_allclose(
      saved['done_probability'], tf.sigmoid(live.done_logit), atol=1e-6
    )
    for name, part in zip(names, state, strict=True):
      np.testing.assert_allclose(saved[f'next_{name}'], part, atol=1e-6)


def resolve(config_class, folder, *flags):
  return config_flags.resolve(
    config_class, ['--preset=smoke', f'--run_dir={folder}', *flags]
  )


def test_the_toy_goes_through_train_memory_task(tmp_path):
  config = resolve(
    memory_task_settings.Config, tmp_path / 'run', '--cell=toy', '--jit=off'
  )
  memory_tasks.run(config)
  found = json.loads((tmp_path / 'run' / 'errors.json').read_text())
  reference = memory_tasks.Training(
    _Run(resolve(memory_task_settings.Config, tmp_path / 'run', '--cell=dnc'))
  ).parameters['dnc']
  assert abs(found['parameters']['toy'] - reference) < 0.15 * reference
  exported = tf.saved_model.load(tmp_path / 'run' / 'export' / 'toy-0')
  assert set(exported.signatures['initial_state'](tf.constant(2))) == {'h'}


def test_the_toy_goes_through_train_agent(tmp_path):
  config = resolve(
    agent_settings.Config, tmp_path / 'run', '--cell=toy', '--steps=512'
  )
  agents.run(config)
  assert json.loads((tmp_path / 'run' / 'score.json').read_text())['steps']
  exported = tf.saved_model.load(tmp_path / 'run' / 'export' / 'agent')
  state = exported.signatures['initial_state'](tf.constant(2))
  assert set(state) == {'h', 'is_first'}


class _Run:
  """As much of a run as sizing the cells needs."""

  def __init__(self, config):
    self.config = config


def test_the_toy_goes_through_compare_predictions(tmp_path, monkeypatch):
  monkeypatch.setattr(rollout, 'STARTS', (4,))  # Each is a graph of its own.
  monkeypatch.setattr(measures, 'RESAMPLES', 50)
  monkeypatch.setattr(pictures, '_draw_boards', lambda comparison: ())
  config = resolve(
    prediction_settings.Config,
    tmp_path / 'run',
    '--cells=toy,lstm',
    '--codings=categorical',
    '--games=24',
  )
  predictions.run(config)
  found = json.loads((tmp_path / 'run' / 'scores.json').read_text())
  assert found['scores']['toy, categorical']['1']['wrong'][0] > 0
  assert 'categorical, 1' in found['toy less lstm']
  summary = (tmp_path / 'run' / 'summary.md').read_text()
  assert 'Wrong of 372, Toy less LSTM' in summary


def test_heads_and_slots_count_only_for_a_memory(tmp_path):
  few_slots = '--read_heads=5', '--memory_slots=4'
  config = prediction_settings.Config
  resolve(config, tmp_path, '--cells=toy,lstm', *few_slots)
  with pytest.raises(faults.UsageError, match='--read_heads must be at most'):
    resolve(config, tmp_path, '--cells=toy,dnc', *few_slots)
  with pytest.raises(faults.UsageError, match='--cells must be one of .*toy'):
    resolve(config, tmp_path, '--cells=nothing')


def test_the_toy_goes_through_train_world_model_and_its_controller(tmp_path):
  recorded = tiny_world_models.record(tmp_path / 'rollouts')
  flags = '--cell=toy', '--vision_steps=4', '--model_steps=4', '--frame_skip=4'
  folder = tmp_path / 'world_model'
  world_model.run(
    resolve(
      world_model_settings.Config, folder, f'--rollouts={recorded}', *flags
    )
  )
  loaded = tf.saved_model.load(folder / 'export' / 'model')
  assert set(loaded.signatures['initial_state'](tf.constant(2))) == {'h'}
  assert not (folder / 'figures' / 'memory_trace.png').exists()
  config = controller_settings.Config
  given = f'--world_model={folder}'
  resolve(config, tmp_path / 'controller', given, '--features=z,h')
  with pytest.raises(faults.UsageError, match='--features .* a toy'):
    resolve(config, tmp_path / 'controller', given, '--features=z,reads')
