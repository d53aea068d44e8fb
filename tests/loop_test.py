"""The training loop: resume, metrics, checkpoints and NaN."""

import json

import numpy as np
import pytest
import tensorflow as tf

from nca_tf.command_line import faults
from nca_tf.runs import checkpoints
from nca_tf.runs import metrics
from nca_tf.training import loop


class Killed(Exception):
  """Stands for the end of the process."""


class Walk:
  """A training whose value depends on every step before it."""

  def __init__(self, path, bad_step=None, killed_at=None):
    self.value = tf.Variable(1.0, dtype=tf.float64)
    self.steps = []
    self.bad_step, self.killed_at = bad_step, killed_at
    self.log = metrics.MetricsLog(path, path / 'tensorboard')
    self.checkpoints = checkpoints.Checkpoints(path / 'ckpt', value=self.value)

  def step(self, index):
    if index == self.killed_at:
      raise Killed
    self.steps.append(index)
    self.value.assign(self.value * 1.01 + index)
    loss = np.nan if index == self.bad_step else self.value.numpy()
    return {'loss': loss}

  def fit(self, total=400, **options):
    loop.fit(
      'walk',
      self.step,
      total,
      checkpoints=self.checkpoints,
      log=self.log,
      **options,
    )


def test_records_are_means_of_windows_with_held_out_looks(tmp_path):
  walk = Walk(tmp_path)
  walk.fit(total=400, held_out=lambda done: {'loss': -done})
  records = walk.log.records('walk')
  assert [record['step'] for record in records] == list(range(20, 401, 20))
  looks = [r['step'] for r in records if 'held_out_loss' in r]
  assert looks == list(range(40, 401, 40))
  value, values = 1.0, []
  for index in range(20):
    value = value * 1.01 + index
    values.append(value)
  np.testing.assert_allclose(records[0]['loss'], np.mean(values), rtol=1e-12)


@pytest.mark.parametrize('killed_at', [0, 7, 133, 399])
def test_resumed_run_writes_what_an_uninterrupted_one_does(
  tmp_path, monkeypatch, killed_at
):
  monkeypatch.setattr(loop, 'SAVE_SECONDS', -1)  # save at every record
  whole = Walk(tmp_path / 'whole')
  whole.fit()
  first = Walk(tmp_path / 'cut', killed_at=killed_at)
  with pytest.raises(Killed):
    first.fit()
  # Died after a record and before its checkpoint: the record is made again.
  first.log.write('walk', 400, loss=123.0)
  second = Walk(tmp_path / 'cut')
  second.fit()
  assert second.steps[0] == killed_at // 20 * 20
  assert second.log.records('walk') == whole.log.records('walk')
  assert float(second.value) == float(whole.value)


def test_finished_training_is_not_repeated(tmp_path):
  Walk(tmp_path).fit(total=30)
  again = Walk(tmp_path)
  again.fit(total=30)
  assert again.steps == []


def test_nan_stops_with_the_step_and_keeps_the_good_checkpoint(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(loop, 'SAVE_SECONDS', -1)
  walk = Walk(tmp_path, bad_step=77)
  with pytest.raises(faults.Fault, match='walk: loss is nan at step 77.*ckpt-'):
    walk.fit()
  assert Walk(tmp_path).checkpoints.restore() == 60


def test_rewind_keeps_other_stages_and_drops_a_torn_line(tmp_path):
  log = metrics.MetricsLog(tmp_path, tmp_path / 'tensorboard')
  log.write('vision', 10, loss=1)
  log.write('model', 5, loss=2)
  log.write('model', 9, loss=3)
  path = tmp_path / 'metrics.jsonl'
  path.write_text(path.read_text() + '{"stage": "model", "st')
  log.rewind('model', 5)
  lines = [json.loads(line) for line in path.read_text().splitlines()]
  assert [(line['stage'], line['step']) for line in lines] == [
    ('vision', 10),
    ('model', 5),
  ]


def test_left_over_of_a_killed_save_is_removed(tmp_path):
  variable = tf.Variable(3.0)
  saved = checkpoints.Checkpoints(tmp_path, value=variable)
  saved.save(4)
  (tmp_path / 'ckpt-5_temp').mkdir()
  variable.assign(0.0)
  assert checkpoints.Checkpoints(tmp_path, value=variable).restore() == 4
  assert float(variable) == 3
  assert not (tmp_path / 'ckpt-5_temp').exists()
