"""Take Cover's band, seen by a V of columns, from training to playing."""

import pytest
import tiny_world_models

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments import workers
from nca_tf.environments.workers import saved_agent
from nca_tf.experiments.controller import run
from nca_tf.experiments.controller import settings
from nca_tf.experiments.games import evaluate
from nca_tf.experiments.world_model import settings as world_model_settings

FLAGS = '--view=band', '--vision=columns', '--latent_size=16'


@pytest.fixture(scope='module')
def agent(tmp_path_factory):
  """The world model and the run of an agent that plays in the band."""
  folder = tmp_path_factory.mktemp('band')
  world_model = tiny_world_models.train(
    folder / 'model', 'lstm', *FLAGS, shape=(32, 128, 3)
  )
  config = config_flags.resolve(
    settings.Config,
    [
      '--preset=smoke',
      f'--world_model={world_model}',
      f'--run_dir={folder / "agent"}',
      '--optimizer=ppo',
      '--evolutions=1',
      '--iterations=1',
      '--check_episodes=0',
      '--processes=1',
    ],
  )
  run.run(config)
  return world_model, folder / 'agent'


def test_an_agent_says_which_view_it_needs(agent):
  info = saved_agent.read_info(agent[1])
  assert info['options'] == {'view': 'band'}


def test_an_agent_is_evaluated_in_its_view(agent):
  config = evaluate.Config(agent=str(agent[1]), time_limit=40, processes=1)
  options = config.resolved.game_options
  assert options['view'] == 'band'
  played = workers.play('vizdoom', str(agent[1]), [1], options=options)
  assert [episode.tics for episode in played] == [40]


def test_another_view_than_that_of_the_first_model_is_refused(agent, tmp_path):
  with pytest.raises(faults.UsageError, match='--view must be band, that of'):
    config_flags.resolve(
      world_model_settings.Config,
      [
        '--preset=smoke',
        '--cell=lstm',
        '--frame_skip=4',
        f'--initial={agent[0]}',
        f'--run_dir={tmp_path}',
      ],
    )
