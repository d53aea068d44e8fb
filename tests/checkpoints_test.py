"""Checkpoints: all weights come back."""

import damages
import keras
import numpy as np
import pytest
import tensorflow as tf

from nca_tf.memory import cells
from nca_tf.runs import checkpoints
from nca_tf.world_model.states import layout as integer_states
from nca_tf.world_model.states import registry
from nca_tf.world_model.states import state_model

LAYOUT = integer_states.Layout(size=3)


def make_model(seed, coding='categorical'):
  keras.utils.set_random_seed(seed)
  model = state_model.StateModel(
    cells.make('lstm', 8), LAYOUT, registry.make(coding, LAYOUT), 6
  )
  model.build()
  return model


@pytest.mark.parametrize('coding', registry.names())
def test_every_weight_of_a_state_model_comes_back(coding, tmp_path):
  model, other = make_model(0, coding), make_model(1, coding)
  rng = np.random.default_rng(0)
  for weight in model.weights:
    weight.assign(rng.normal(size=weight.shape))
  checkpoints.Checkpoints(tmp_path, model=model).save(7)
  assert checkpoints.Checkpoints(tmp_path, model=other).restore() == 7
  assert len(model.weights) == len(other.weights) > 30
  for mine, theirs in zip(model.weights, other.weights, strict=True):
    np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), mine.path)


def test_without_a_checkpoint_it_begins_at_0(tmp_path):
  folder = tmp_path / 'new'
  assert checkpoints.Checkpoints(folder, model=make_model(0)).restore() == 0


def save_steps(folder, steps):
  """Checkpoints of a number that is its step."""
  value = tf.Variable(0.0)
  saved = checkpoints.Checkpoints(folder, value=value)
  for step in steps:
    value.assign(step)
    saved.save(step)
  return value, saved


@pytest.mark.parametrize('kind', damages.DAMAGES)
@pytest.mark.parametrize('part', ['index', 'data-00000-of-00001'])
def test_a_damaged_one_gives_way_to_the_one_before(
  part, kind, tmp_path, capsys
):
  value, saved = save_steps(tmp_path, [10, 20, 30])
  damages.DAMAGES[kind](tmp_path / f'ckpt-30.{part}')
  assert (saved.restore(), float(value)) == (20, 20)
  line = capsys.readouterr().err
  assert line.startswith(f'warning: {tmp_path}/ckpt-30 is damaged (')
  assert line.count('\n') == 1
  assert saved.latest == str(tmp_path / 'ckpt-20')
  with pytest.raises(ValueError, match='ckpt-30 is damaged'):
    saved.load(30)
  value.assign(30)
  saved.save(30)
  value.assign(0)
  assert (saved.restore(), float(value)) == (30, 30)
  assert capsys.readouterr().err == ''


@pytest.mark.parametrize('kind', damages.DAMAGES)
def test_the_list_of_them_is_not_needed(kind, tmp_path):
  value, saved = save_steps(tmp_path, [10, 20])
  damages.DAMAGES[kind](tmp_path / 'checkpoint')
  assert (saved.restore(), float(value)) == (20, 20)
  saved.save(30)
  assert tf.train.latest_checkpoint(tmp_path) == str(tmp_path / 'ckpt-30')


def test_two_are_kept_and_none_of_a_later_step(tmp_path):
  _, saved = save_steps(tmp_path, [10, 20, 30, 40])
  assert checkpoints.latest_step(tmp_path) == 40
  assert len(list(tmp_path.glob('*.index'))) == 2
  saved.save(35)  # After the damage of 40, or by hand.
  assert checkpoints.latest_step(tmp_path) == 35


def test_without_any_that_can_be_read_it_begins_anew(tmp_path, capsys):
  value, saved = save_steps(tmp_path, [10, 20])
  for path in tmp_path.glob('*.index'):
    path.write_bytes(b'')
  value.assign(7)
  assert (saved.restore(), float(value)) == (0, 7)
  assert capsys.readouterr().err.count('warning: ') == 2


def test_another_model_is_no_damage(tmp_path):
  save_steps(tmp_path, [10])
  for other in (
    {'value': tf.Variable([0.0, 0.0])},
    {'value': tf.Variable(0.0), 'more': tf.Variable(0.0)},
  ):
    with pytest.raises(ValueError, match='ckpt-10 is of another model'):
      checkpoints.Checkpoints(tmp_path, **other).restore()


def test_files_that_may_not_be_read_are_no_damage(tmp_path, monkeypatch):
  _, saved = save_steps(tmp_path, [10])

  def refuse(path, *unused):
    raise PermissionError(13, 'Permission denied', str(path))

  monkeypatch.setattr('builtins.open', refuse)
  with pytest.raises(PermissionError):
    saved.restore()
