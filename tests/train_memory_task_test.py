"""bin/train_memory_task: a small run, interrupted and resumed; wrong flags."""

import json

import event_files
import numpy as np
import pytest
from PIL import Image

from nca_tf.analysis import length_figures
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.datasets.memory_tasks import registry
from nca_tf.experiments.memory_tasks import defaults
from nca_tf.experiments.memory_tasks import run as memory_tasks
from nca_tf.experiments.memory_tasks import settings
from nca_tf.training import loop
from nca_tf.training import sequence as sequence_training


def resolve(*argv):
  return config_flags.resolve(
    settings.Config, ['--preset=smoke', '--jit=off', *argv]
  )


def small(folder, *argv):
  return resolve('--cell=both', f'--run_dir={folder}', *argv)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  folder = tmp_path_factory.mktemp('memory') / 'run'
  memory_tasks.run(small(folder))
  return folder


def errors(folder):
  return json.loads((folder / 'errors.json').read_text())


def test_both_cells_are_trained_and_tested_at_equal_weights(finished):
  found = errors(finished)
  assert found['longest'] == 3
  assert found['lengths'] == [1, 2, 3, 4, 5, 6]
  assert set(found['errors']) == {'dnc', 'lstm'}
  for rows in found['errors'].values():
    assert np.shape(rows) == (1, 6)
    assert np.all((0 <= np.array(rows)) & (np.array(rows) <= 1))
  counts = found['parameters']
  assert abs(counts['dnc'] - counts['lstm']) < 0.15 * counts['dnc']
  summary = (finished / 'summary.md').read_text()
  assert f'dnc, {counts["dnc"]} weights' in summary
  assert 'DNC less LSTM' in summary


def test_pictures_and_saved_models_are_there(finished):
  names = ('error_over_length', 'trace', 'memory', 'answer', 'curves-dnc-0')
  for name in names:
    with Image.open(finished / 'figures' / f'{name}.png') as picture:
      assert picture.size[0] == 1000
      assert len(picture.convert('L').getcolors()) > 10
  for cell in ('dnc-0', 'lstm-0'):
    assert (finished / 'export' / cell / 'saved_model.pb').exists()


def test_tensorboard_lays_the_cells_over_each_other(finished):
  folder = finished / 'tensorboard'
  found = event_files.read_steps(folder)
  assert found.keys() == {'.', 'dnc-0', 'lstm-0'}
  assert found['dnc-0'] == found['lstm-0']
  assert found['dnc-0']['copy/loss'] == list(range(1, 21))
  assert {'copy/steps_per_second', 'copy/held_out_error_at_6'} < set(
    found['dnc-0']
  )
  for cell in ('dnc', 'lstm'):
    given = event_files.read_hyperparameters(folder / f'{cell}-0')
    assert (given['cell'], given['seed'], given['task']) == (cell, 0, 'copy')
    assert given['parameters'] == errors(finished)['parameters'][cell]
  assert event_files.size_of(folder) < 1e6


def test_an_interrupted_run_goes_on_to_the_same_result(
  finished, tmp_path, monkeypatch
):
  folder = tmp_path / 'run'
  step = sequence_training.SequenceTrainer.step
  seen = []

  def interrupted(self, index):
    seen.append(index)
    if len(seen) == 9:  # The first time that it comes to index 8.
      raise KeyboardInterrupt
    return step(self, index)

  monkeypatch.setattr(loop, 'SAVE_SECONDS', 0)
  monkeypatch.setattr(sequence_training.SequenceTrainer, 'step', interrupted)
  with pytest.raises(KeyboardInterrupt):
    memory_tasks.run(small(folder))
  memory_tasks.run(small(folder))
  assert seen[:10] == [*range(9), 8]
  for cell, rows in errors(finished)['errors'].items():
    np.testing.assert_allclose(errors(folder)['errors'][cell], rows, atol=1e-6)


def test_a_finished_run_is_not_repeated_and_takes_more_seeds(
  finished, monkeypatch
):
  before = errors(finished)['errors']['dnc']
  trained = []
  fit = loop.fit

  def record(stage, *args, **kwargs):
    trained.append(stage)
    return fit(stage, *args, **kwargs)

  monkeypatch.setattr(loop, 'fit', record)
  memory_tasks.run(small(finished))
  assert not trained
  memory_tasks.run(small(finished, '--seeds=2'))
  assert sorted(trained) == ['dnc-1', 'lstm-1']
  after = errors(finished)['errors']['dnc']
  assert after[0] == before[0]
  assert len(after) == 2
  with pytest.raises(faults.UsageError, match='units: folder has 8'):
    memory_tasks.run(small(finished, '--units=9'))


@pytest.mark.parametrize('task', registry.names())
def test_every_task_has_settings_of_its_own(task):
  config = config_flags.resolve(
    settings.Config,
    [f'--task={task}', '--memory_slots=17', '--curriculum=0'],
  )
  setting = defaults.SETTINGS[task]
  assert config.own('memory_slots') == 17
  assert config.own('updates') == setting.updates
  assert config.own('curriculum') == 0
  for name in ('controller', 'units', 'clip', 'learning_rate'):
    assert config.own(name) == getattr(setting, name)
  assert config.own('key_masking') is False
  assert {setting.longest, 2 * setting.longest} <= set(config.lengths)
  assert min(config.lengths) >= config.make_task().SHORTEST


@pytest.mark.parametrize(
  ('argv', 'message'),
  (
    (('--task=sorting',), '--task must be'),
    (
      ('--task=associative_recall', '--longest=1'),
      '--longest must be at least 2',
    ),
    (('--test_lengths=0',), '--test_lengths'),
    (
      ('--task=addition_base10', '--test_lengths=112'),
      '--test_lengths: length must be at most 111',
    ),
    (('--read_heads=9', '--memory_slots=8'), '--read_heads must be at most'),
    (('--seeds=0',), '--seeds must be'),
  ),
)
def test_wrong_flags_are_refused(argv, message):
  with pytest.raises(faults.UsageError, match=message):
    resolve(*argv)


def test_error_over_length_refuses_what_it_cannot_draw():
  with pytest.raises(ValueError, match='errors must name at least one'):
    length_figures.error_over_length([1, 2], {}, 1)
  with pytest.raises(ValueError, match=r'must be \[seeds, 2\]'):
    length_figures.error_over_length([1, 2], {'dnc': [[0.1]]}, 1)
