"""What a run writes for TensorBoard: curves, tags, resumed runs, sizes."""

import event_files
import numpy as np
import pytest
import tensorflow as tf

from nca_tf.runs import checkpoints
from nca_tf.runs import metrics
from nca_tf.training import loop


def test_two_curves_have_the_same_tags_and_folders_of_their_own(tmp_path):
  for cell in ('dnc', 'lstm'):
    log = metrics.MetricsLog(
      tmp_path, tmp_path / 'tensorboard' / cell, {'cell': cell}, 'copy'
    )
    log.write(f'{cell}-0', 5, loss=1.5, error=float('nan'))
    log.show(f'{cell}-0', 5, steps_per_second=20)
    log.flush()
  found = event_files.read_steps(tmp_path / 'tensorboard')
  tags = {
    event_files.HYPERPARAMETERS: [0],
    'copy/loss': [5],
    'copy/steps_per_second': [5],
  }
  assert found == {'dnc': tags, 'lstm': tags}
  # The speed is no record: a resumed run has another one.
  records = log.records('dnc-0')
  assert [set(record) for record in records] == [
    {'stage', 'step', 'loss', 'error'}
  ]


def test_hyperparameters_are_numbers_and_texts(tmp_path):
  given = {'cell': 'dnc', 'rate': 1e-3, 'seeds': (1, 2), 'on': True, 'x': None}
  log = metrics.MetricsLog(tmp_path, tmp_path / 'tensorboard', given)
  log.write('train', 1, loss=1.0)
  log.flush()
  expected = {**given, 'seeds': '1, 2', 'x': 'None'}
  assert event_files.read_hyperparameters(tmp_path / 'tensorboard') == expected


def test_opening_a_log_and_reading_it_writes_nothing(tmp_path):
  log = metrics.MetricsLog(tmp_path, tmp_path / 'tensorboard', {'cell': 'dnc'})
  assert log.records() == []
  log.flush()
  assert list(tmp_path.iterdir()) == []


class Killed(Exception):
  """Stands for the end of the process."""


def fit(path, killed_at=None, total=100):
  value = tf.Variable(0.0)

  def step(index):
    if index == killed_at:
      raise Killed
    value.assign_add(1.0)
    return {'loss': 1000 + value}

  log = metrics.MetricsLog(path, path / 'tensorboard' / 'a-0', {'cell': 'a'})
  loop.fit(
    'walk',
    step,
    total,
    checkpoints=checkpoints.Checkpoints(path / 'checkpoints', value=value),
    log=log,
    held_out=lambda done: (
      log.image('figures/walk', np.full((4, 4, 3), done, np.uint8), done)
      or {'loss': done}
    ),
  )


@pytest.mark.parametrize('killed_at', [7, 52, 99])
def test_resumed_curves_have_every_step_once(tmp_path, monkeypatch, killed_at):
  monkeypatch.setattr(loop, 'SAVE_SECONDS', 1000)  # Nothing is saved till then.
  fit(tmp_path / 'whole')
  whole = event_files.read_steps(tmp_path / 'whole' / 'tensorboard')
  folder = tmp_path / 'cut'
  for _ in range(2):
    with pytest.raises(Killed):
      fit(folder, killed_at)
  cut = sorted((folder / 'tensorboard' / 'a-0').glob('*scalars*'))[-1]
  with cut.open('ab') as file:  # What a kill leaves.
    file.write(b'\x10\0\0')
  fit(folder)
  found = event_files.read_steps(folder / 'tensorboard')
  assert found.keys() == whole.keys() == {'a-0'}
  # The first window compiles: its speed is that of the compiler.
  expected = {**whole['a-0'], 'walk/steps_per_second': [*range(10, 101, 5)]}
  assert found['a-0'] == expected
  one, other = (
    event_files.read_scalars(path / 'tensorboard' / 'a-0', 'walk/loss')
    for path in (tmp_path / 'whole', folder)
  )
  assert one == other
  assert not list(folder.rglob('*.partial'))


def test_rewind_drops_what_comes_after_of_one_stage_alone(tmp_path):
  log = metrics.MetricsLog(tmp_path, tmp_path / 'tensorboard')
  for step in (1, 2, 3):
    log.write('vision', step, loss=step)
    log.write('model', step, loss=step)
  log.rewind('model', 1)
  log.write('model', 2, loss=20)
  log.flush()
  (found,) = event_files.read_steps(tmp_path / 'tensorboard').values()
  assert found == {'vision/loss': [1, 2, 3], 'model/loss': [1, 2]}
  assert event_files.read_scalars(tmp_path / 'tensorboard', 'model/loss') == {
    1: 1,
    2: 20,
  }


@pytest.mark.parametrize('kind', ['image', 'animation', 'histogram', 'text'])
def test_what_is_made_again_takes_the_place_of_the_first(tmp_path, kind):
  folder = tmp_path / 'tensorboard'

  def write(number, step):
    log = metrics.MetricsLog(tmp_path, folder)
    content = {
      'image': (np.full((2, 2, 3), number, np.uint8),),
      'animation': (b'GIF' + bytes([number]), (2, 2)),
      'histogram': (np.arange(number),),
      'text': (f'number {number}',),
    }
    getattr(log, kind)('figures/a', *content[kind], step)

  write(3, 1)
  write(4, 10)
  before = {file.read_bytes()[-20:] for file in folder.iterdir()}
  write(5, 1)
  (found,) = event_files.read_steps(folder).values()
  assert sorted(found['figures/a']) == [1, 10]
  after = {file.read_bytes()[-20:] for file in folder.iterdir()}
  assert len(before & after) == 1
