"""The episode that a run of train_agent shows: what is played and drawn."""

import numpy as np
import pytest
import tensorflow as tf

from nca_tf import environments
from nca_tf.command_line import config_flags
from nca_tf.environments import rooms_game
from nca_tf.experiments.agents import arenas
from nca_tf.experiments.agents import episode
from nca_tf.experiments.agents import pictures
from nca_tf.experiments.agents import settings
from nca_tf.experiments.agents import training as training_lib
from nca_tf.memory import cells


def make(*argv):
  config = config_flags.resolve(settings.Config, ['--preset=smoke', *argv])
  return training_lib.Training(config)


@pytest.fixture(scope='module')
def explorer():
  return make('--rnd', '--cell=dnc')


def unroll(training, played):
  """Values and the last state of the network over the whole episode."""
  agent = training.agent
  seen = tf.constant(played.observations[None, :-1])
  steps = seen.shape[1]
  is_first = tf.constant([[True] + [False] * (steps - 1)])
  _, values = agent.network(
    agent.prepare(seen), is_first, agent.initial_state(1)
  )
  return values[0]


def test_it_keeps_what_the_network_knows_at_each_step(explorer):
  played = episode.play(explorer)
  steps = len(played.rewards)
  assert 0 < steps <= 50 and len(played.observations) == steps + 1
  np.testing.assert_allclose(played.values, unroll(explorer, played), atol=1e-5)
  cell = explorer.agent.network.cell
  assert set(played.state) == set(cells.state_names(cell))
  assert played.state['memory'].shape == (steps, 5, 4)
  # What is written stays: the first state is not the last.
  norms = np.abs(played.state['memory']).sum((1, 2))
  assert norms[0] > 0 and norms[0] != norms[-1]
  errors = explorer.distillation.errors(tf.constant(played.observations[1:]))
  np.testing.assert_allclose(played.novelty, errors, rtol=1e-5)
  frames, rate = played.film
  assert len(frames) > steps and frames.dtype == np.uint8 and rate == 15


def test_it_is_one_way_through_the_rooms(explorer):
  played = episode.play(explorer)
  made = explorer.collector.environment
  rows, columns = np.divmod(made.locate(played.observations), made.size)
  moves = np.abs(np.diff(rows)) + np.abs(np.diff(columns))
  assert rows[0] == columns[0] == 0 and set(moves) <= {0, 1} and moves.any()
  assert not made.walls[rows, columns].any()
  again = episode.play(explorer)
  np.testing.assert_array_equal(again.observations, played.observations)


def test_the_picture_of_places_shows_them(explorer):
  made = explorer.collector.environment
  visited = np.zeros(25, bool)
  visited[:3] = True
  figure = pictures.draw_places(made.walls, visited, np.array([0, 1, 2]), 'way')
  kinds = figure.axes[0].images[0].get_array()
  assert kinds[0, :3].tolist() == [1, 1, 1]  # Seen.
  np.testing.assert_array_equal(kinds == 2, made.walls)
  assert (kinds == 0).sum() == 25 - 3 - made.walls.sum()
  x, y = figure.axes[0].collections[0].get_offsets().T
  np.testing.assert_allclose(x, [0, 1, 2], atol=0.3)
  np.testing.assert_allclose(y, 0, atol=0.3)


@pytest.mark.parametrize('limit', [12, 1000])
def test_an_environment_that_is_no_game_has_an_episode_without_film(
  monkeypatch, limit
):
  monkeypatch.setitem(arenas.ARENAS, 'nowhere', arenas.ARENAS['rooms'])
  monkeypatch.setattr(episode, '_LONGEST', limit)
  training = make('--env=nowhere', '--cell=lstm')
  played = episode.play(training)
  assert played.film is None and played.novelty is None
  assert len(played.rewards) <= min(limit, 50)
  assert len(played.observations) == len(played.rewards) + 1
  np.testing.assert_allclose(played.values, unroll(training, played), atol=1e-5)
  assert set(played.state) == {'h', 'c'}


@pytest.mark.parametrize('env', ['pixel_copter', 'gym:Pendulum-v1'])
def test_games_are_filmed(env, monkeypatch):
  monkeypatch.setattr(episode, '_LONGEST', 30)
  training = make(f'--env={env}', '--lanes=2', '--minibatches=1')
  played = episode.play(training)
  frames, rate = played.film
  assert rate <= 20 and len(np.unique(frames[-1])) > 2
  assert (frames[0] != frames[-1]).any()
  assert played.observations.shape[1:] == training.spec.shape
  np.testing.assert_allclose(played.values, unroll(training, played), atol=1e-4)


def test_a_game_that_cannot_be_drawn_is_played_without_film(
  explorer, monkeypatch, capsys
):
  def fail(self):
    raise environments.GameCrashed('pygame is missing')

  monkeypatch.setattr(rooms_game.Rooms, 'render', fail)
  played = episode.play(explorer)
  assert played.film is None and len(played.rewards) > 0
  line = 'warning: no film of an episode: pygame is missing'
  assert capsys.readouterr().err.strip() == line
