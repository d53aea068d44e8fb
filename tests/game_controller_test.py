"""bin/train_controller --in=game --env: controllers without a world model."""

import json

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.controller import evolution as evolution_lib
from nca_tf.experiments.controller import linear_agent
from nca_tf.experiments.controller import run
from nca_tf.experiments.controller import settings
from nca_tf.runs import run as run_lib


def resolve(*argv):
  return config_flags.resolve(
    settings.Config,
    ['--preset=smoke', '--in=game', '--check_episodes=0', *argv],
  )


def train(folder, *argv):
  run.run(resolve('--env=pixel_copter', f'--run_dir={folder}', *argv))
  return json.loads((folder / 'score.json').read_text())


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  folder = tmp_path_factory.mktemp('game') / 'run'
  found = train(folder, '--check_episodes=2')
  return folder, found


def test_a_run_leaves_its_scores_figure_and_agent(finished):
  folder, found = finished
  assert found['episodes'] == 3 and -5 <= found['mean']
  assert (folder / 'figures' / 'scores.png').exists()
  stages = json.loads((folder / 'stages.json').read_text())
  assert set(stages['check-1']['game']) >= {'none', 'two_ups', 'pilot'}
  assert stages['choose']['generation'] in (1, 2)
  info = json.loads((folder / 'export' / 'agent' / 'agent.json').read_text())
  assert info['env'] == 'pixel_copter' and info['observation'][0] == [7]
  assert info['options'] == {'observation': 'features'}


def test_a_killed_run_goes_on_to_the_same_agent(
  finished, tmp_path, monkeypatch
):
  folder, found = finished
  keep = evolution_lib.Evolution._keep_state

  def die(self):
    keep(self)
    if self.stage == 'controller_1-2' and self.generation == 1:
      raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(evolution_lib.Evolution, '_keep_state', die)
    with pytest.raises(KeyboardInterrupt):
      train(tmp_path, '--check_episodes=2')
  assert train(tmp_path, '--check_episodes=2') == found
  for name in ('metrics.jsonl', 'stages.json'):
    assert (tmp_path / name).read_text() == (folder / name).read_text()


def test_the_saved_model_plays_as_the_chosen_parameters_do(finished):
  folder, _ = finished
  chosen = json.loads((folder / 'stages.json').read_text())['choose']
  config = resolve('--env=pixel_copter', f'--run_dir={folder}')
  config = config_flags.convert(
    config.game_config, settings.GameConfig, check_episodes=2
  )
  with run_lib.start(config, settings.NAME, '') as opened:
    training = run.GameTraining(opened)
    evolution = training.evolution(1, chosen['evolution'])
    mean = evolution.mean(chosen['generation'])
    weights = training._models[1].agent.network.standardiser
    centre, scale = weights.mean.numpy(), weights.deviation.numpy()
  rng = np.random.default_rng(0)
  seen = (centre + 2 * scale * rng.normal(size=(50, 7))).astype(np.float32)
  signatures = tf.saved_model.load(str(folder / 'export' / 'agent')).signatures
  state = signatures['initial_state'](batch=tf.constant(50))
  _, inputs = signatures['act'].structured_input_signature
  (name,) = inputs.keys() - state.keys()  # Of what the agent sees.
  found = signatures['act'](**{name: tf.constant(seen)}, **state)
  sums = ((seen - centre) / scale) @ mean[:-1] + mean[-1]
  expected = (sums >= 0).astype(int)  # Two bins of tanh: up, none.
  np.testing.assert_array_equal(found['action'], expected)
  assert len(set(expected)) == 2


def test_another_environment_has_another_folder(finished):
  folder, _ = finished
  with pytest.raises(faults.UsageError, match='folder has pixel_copter'):
    resolve('--env=rooms', f'--run_dir={folder}').check_folder()
  assert resolve('--env=gym:CartPole-v1').run_name == (
    'gym_CartPole_v1-cma_es-0'
  )


@pytest.mark.parametrize(
  ('argv', 'line'),
  [
    ([], '--in=game needs the --world_model .* or an --env to evolve on'),
    (['--env=rooms', '--in=dream'], '--env needs --in=game: rooms has no dre'),
    (
      ['--env=rooms', '--world_model=x', '--iterations=3'],
      'leave out --env or --world_model=x --iterations=3',
    ),
    (['--env=gym:CliffWalking-v1'], 'observations that are a vector .* Discre'),
    (['--env=chess'], '--env must be one of rooms'),
  ],
)
def test_what_contradicts_itself_is_one_line(argv, line, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(faults.UsageError, match=line) as caught:
    resolve(*argv)
  assert '\n' not in str(caught.value)


VECTORS = gymnasium.spaces.Box(-1, 1, (3,), np.float32)


class Pictures:
  action_space = gymnasium.spaces.MultiDiscrete([2, 2])
  observation_space = gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8)


def test_images_and_several_indices_are_refused():
  with pytest.raises(faults.UsageError, match='observations that are a vector'):
    settings.check_spaces('x', Pictures)
  vectors = type('Vectors', (Pictures,), {'observation_space': VECTORS})
  with pytest.raises(faults.UsageError, match='actions that are an index or'):
    settings.check_spaces('x', vectors)


def test_continuous_actions_reach_both_ends_of_their_box():
  candidates = linear_agent.Candidates('gym:Pendulum-v1', 0)
  size = candidates.agent.controller.size
  assert size == 4
  parameters = np.zeros([3, size])
  parameters[:, -1] = [-50, 0, 50]
  played = candidates.play(parameters, 2, seed=1)
  assert played.returns.shape == (3, 2)
  ends = played.actions[:, ::2, 0]
  np.testing.assert_allclose(ends, np.tile([-2, 0, 2], (200, 1)), atol=1e-6)
  assert np.all(played.lengths == 200)


def test_all_candidates_of_one_call_play_with_their_own_parameters():
  candidates = linear_agent.Candidates('pixel_copter', 0)
  parameters = np.zeros([2, 8])
  parameters[:, -1] = [-1, 1]  # Always up, never up.
  played = candidates.play(parameters, 3, seed=2)
  assert np.all(played.actions[:, :3] == 0) and np.all(
    played.actions[:, 3:] == 1
  )
  assert np.all(played.lengths[0] < 10) and np.all(played.lengths[1] > 15)
