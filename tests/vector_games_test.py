"""A game of vectors with actions of two components, through the binaries."""

import dataclasses
import json
import pathlib
import runpy
import sys

import numpy as np
import pytest
import tensorflow as tf

from nca_tf import environments
from nca_tf.datasets import latents as latents_lib
from nca_tf.datasets import rollouts
from nca_tf.environments.workers import saved_agent
from nca_tf.experiments.world_model import run as world_model_run
from nca_tf.experiments.world_model import settings
from nca_tf.world_model import world_model as world_model_lib

ROOT = pathlib.Path(environments.__file__).parents[2]
GAME = 'gym:gym_test_games:Spaces-v0,observation=box,action=box,noisy=False'


def call(binary, *flags):
  """Runs a binary in this process."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sys, 'argv', [binary, '--preset=smoke', *map(str, flags)])
    runpy.run_path(str(ROOT / 'bin' / binary), run_name='__main__')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A world model of the game, and a controller that reads z alone."""
  folder = tmp_path_factory.mktemp('runs')
  call(
    'train_world_model',
    f'--env={GAME}',
    '--cell=lstm',
    '--frame_skip=2',
    '--episodes=16',
    '--time_limit=60',
    '--processes=1',
    '--model_batch=2',
    '--window=8',
    f'--run_dir={folder / "model"}',
  )
  call(
    'train_controller',
    f'--world_model={folder / "model"}',
    '--in=game',
    '--features=z',
    '--evolutions=1',
    '--generations=1',
    '--runoff_episodes=0',
    '--sigma=1',
    '--iterations=1',
    '--processes=1',
    '--check_episodes=1',
    f'--run_dir={folder / "controller"}',
  )
  return folder


def test_latents_are_the_standardised_vectors(folder):
  episodes = list(rollouts.read(folder / 'model' / 'rollouts'))
  assert {each.observation.shape[1:] for each in episodes} == {(3,)}
  assert {each.action.shape[1:] for each in episodes} == {(2,)}
  latents = latents_lib.load(folder / 'model' / 'latents')
  vectors = np.concatenate([each.observation for each in episodes])
  learnt = np.concatenate(
    [
      each.observation[: len(each.reward) - each.is_terminal[-1]]
      for each in episodes
      if each.index % 4 != 3
    ]
  )
  expected = (vectors - learnt.mean(0)) / learnt.std(0)
  np.testing.assert_allclose(latents.mean, expected, rtol=1e-4, atol=1e-5)


def test_the_run_has_all_but_pictures_of_frames(folder):
  run = folder / 'model'
  assert list(json.loads((run / 'stages.json').read_text()))[-1] == 'figures'
  pictures = {path.name for path in (run / 'figures').iterdir()}
  assert {'dream.png', 'horizon_errors.png'} <= pictures
  assert not {'dream.gif', 'reconstructions.png'} & pictures
  text = (run / 'summary.md').read_text()
  assert 'M (lstm)' in text and 'pixels' not in text
  vision = tf.saved_model.load(str(run / 'export' / 'vision')).signatures
  vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
  z = vision['encode'](frames=vectors)['mean']
  np.testing.assert_allclose(
    vision['decode'](z=z)['frames'], vectors, rtol=1e-4, atol=1e-5
  )


def test_m_learns_on_in_the_same_units(folder, tmp_path):
  config = settings.read_config('world_model', folder / 'model')
  other = {'env': GAME, 'policy': 'wander', 'episodes': 8, 'seed': 7}
  options = {'processes': 1, 'options': config.game_options}
  world_model_run.collect('more', tmp_path / 'more', **other, **options)
  config = dataclasses.replace(
    config,
    run_dir=str(tmp_path / 'model'),
    rollouts=(str(folder / 'model/rollouts'), str(tmp_path / 'more')),
    initial=str(folder / 'model'),
  )
  world_model_run.train(config)
  paths = folder / 'model', tmp_path / 'model'
  one, two = map(world_model_lib.WorldModel.load, paths)
  for ours, theirs in zip(one.vision.weights, two.vision.weights, strict=True):
    np.testing.assert_array_equal(ours, theirs)
  assert one.model.action_size == two.model.action_size == 2
  assert not np.array_equal(one.model.weights[0], two.model.weights[0])


def test_the_agent_is_linear_in_the_vector(folder):
  info = saved_agent.read_info(folder / 'controller')
  assert info['env'] == GAME
  assert info['parameters'] == 2 * (3 + 1)
  exported = tf.saved_model.load(str(saved_agent.find(folder / 'controller')))
  assert 'act_screen' not in exported.signatures
  parameters = exported.signatures['parameters']()['parameters'].numpy()
  vision = tf.saved_model.load(str(folder / 'model' / 'export' / 'vision'))
  vectors = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
  z = vision.signatures['encode'](frames=vectors)['mean'].numpy()
  weights = parameters.reshape(2, 4)
  expected = np.tanh(z @ weights[:, :3].T + weights[:, 3])
  state = exported.signatures['initial_state'](batch=tf.constant(9))
  acted = exported.signatures['act'](frames=vectors, **state)['action']
  np.testing.assert_allclose(acted, expected, rtol=1e-4, atol=1e-5)
  player = saved_agent.SavedAgent(folder / 'controller')
  np.testing.assert_allclose(
    player.act(vectors[3]), expected[3], rtol=1e-4, atol=1e-5
  )


def test_its_dream_is_played_without_a_film(folder, tmp_path, capsys):
  call(
    'play_dream',
    f'--agent={folder / "controller"}',
    f'--run_dir={tmp_path / "dream"}',
  )
  said = capsys.readouterr().out
  assert 'dream 1: ' in said and 'is not made: gym:gym_test_games' in said
  assert not (tmp_path / 'dream' / 'dream.gif').exists()
