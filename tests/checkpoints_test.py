"""Checkpoints: all weights come back."""

import keras
import numpy as np
import pytest

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
