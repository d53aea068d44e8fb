"""The finished world model: loading, older run folders, what it makes."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny_world_models

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.datasets import latents as latents_lib
from nca_tf.experiments.controller import settings as controller_settings
from nca_tf.experiments.world_model import settings
from nca_tf.memory import cells
from nca_tf.training import compilation
from nca_tf.world_model import architecture
from nca_tf.world_model import dream as dream_lib
from nca_tf.world_model import world_model as world_model_lib


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return tiny_world_models.train(tmp_path_factory.mktemp('tiny') / 'model')


@pytest.fixture(scope='module')
def loaded(folder):
  return world_model_lib.WorldModel.load(folder)


def change(folder, remove=(), **settings):
  """Rewrites the settings in config.json."""
  file = folder / 'config.json'
  whole = json.loads(file.read_text())
  whole['config'] |= settings
  for name in remove:
    del whole['config'][name]
  file.write_text(json.dumps(whole))


def test_it_has_the_trained_weights_and_the_recorded_starts(folder, loaded):
  for part, name, layer in (
    ('model', 'model/cell/kernel', loaded.model.cell),
    ('done_head', 'model/_kernel', loaded.model.done_head),
  ):
    path = tf.train.latest_checkpoint(str(folder / 'checkpoints' / part))
    saved = tf.train.load_checkpoint(path).get_tensor(
      f'{name}/.ATTRIBUTES/VARIABLE_VALUE'
    )
    np.testing.assert_array_equal(layer.kernel, saved)
  whole = latents_lib.load(folder / 'latents')
  first = whole.is_first & (whole.episode % 4 != 3)
  np.testing.assert_array_equal(loaded.starts[0], whole.mean[first])
  assert loaded.spec.frame_skip == 4
  assert loaded.architecture.cell == 'lstm'


def test_options_of_the_game_are_those_of_the_settings(folder):
  config = settings.read_config('world_model', folder)
  stored = architecture.read_settings('world_model', folder)
  assert architecture.game_options(stored) == config.game_options
  assert config.game_options['frame_skip'] == 4
  assert config.architecture == architecture.Architecture.of(stored)


def test_a_folder_of_the_first_version_loads(folder, loaded, tmp_path):
  old = shutil.copytree(folder, tmp_path / 'old')
  later = ('action_kind', 'engine', 'mirror', 'initial', 'initial_vision')
  change(old, (*later, 'frame_skip', 'vision_sharpness'), rollouts='recorded')
  found = world_model_lib.WorldModel.load(old)
  np.testing.assert_array_equal(
    found.model.done_head.kernel, loaded.model.done_head.kernel
  )
  assert found.game_options == {'action_kind': 'discrete', 'time_limit': 120}
  config = settings.read_config('world_model', old)
  assert config.rollouts == ('recorded',)
  assert not config.mirror


def test_an_untrained_model_has_the_same_vision(loaded):
  other = loaded.untrained(seed=5)
  assert other.vision is loaded.vision
  assert np.any(
    other.model.done_head.kernel.numpy()
    != loaded.model.done_head.kernel.numpy()
  )


def test_dreams_end_at_the_time_limit_in_steps(loaded):
  assert loaded.spec.time_limit == 120
  assert loaded.dream().horizon == 30
  assert loaded.dream(horizon=7).horizon == 7


def test_a_controller_has_the_sizes_of_its_features(loaded):
  controller = loaded.controller(('h', 'z'))
  assert list(controller.sizes.items()) == [('h', 16), ('z', 8)]
  assert loaded.player(controller).controller is controller


def test_a_missing_checkpoint_is_named(folder, tmp_path):
  copy = shutil.copytree(folder, tmp_path / 'copy')
  shutil.rmtree(copy / 'checkpoints' / 'model')
  with pytest.raises(
    faults.Fault,
    match=r'model/ckpt-4 is damaged \(ckpt-4\.index is lost\); the command',
  ):
    world_model_lib.WorldModel.load(copy)


def test_other_folders_are_refused(folder, tmp_path):
  copy = shutil.copytree(folder, tmp_path / 'copy')
  (copy / 'stages.json').write_text('{}')
  for path in (copy, tmp_path / 'nothing'):
    with pytest.raises(faults.UsageError, match='--m must be the folder of a'):
      world_model_lib.WorldModel.load(path, flag='m')


def test_compilation_on_a_cpu_is_a_matter_of_what_pays():
  gpu = bool(tf.config.list_physical_devices('GPU'))
  assert compilation.compiles('on', False)
  assert not compilation.compiles('off', True)
  assert compilation.compiles('auto', True)
  assert compilation.compiles('auto', False) == gpu


def test_a_cell_of_ones_own_needs_its_registry_entry_alone(
  tmp_path, monkeypatch
):
  entry = cells.Entry('GRU', keras.layers.GRUCell, ('h',), ('h',))
  monkeypatch.setitem(cells.REGISTRY, 'gru', entry)
  trained = tiny_world_models.train(tmp_path / 'model', 'gru')
  found = world_model_lib.WorldModel.load(trained)
  assert isinstance(found.model.cell, keras.layers.GRUCell)
  dream = found.dream(horizon=3)
  controller = found.controller(('z', 'h'))
  played = dream.play(
    dream_lib.follow(controller, tf.zeros([1, controller.size])),
    1,
    dream.make_noise(2, seed=0),
    2,
  )
  assert played.scores.shape == (1, 2)
  arguments = [f'--world_model={trained}', '--features=z,c']
  with pytest.raises(faults.UsageError, match='not have c .* with a gru'):
    config_flags.resolve(controller_settings.Config, arguments)
