"""What a game says of its frames, and how well z tells it."""

import types

import numpy as np
import pytest

from nca_tf import environments
from nca_tf.environments.take_cover import fireballs
from nca_tf.environments.workers import player
from nca_tf.play import labelled
from nca_tf.world_model import label_probe


def thing(name, x, y, velocity=0.0):
  return types.SimpleNamespace(
    name=name, position_x=x, position_y=y, velocity_x=velocity
  )


PLAYER = thing('DoomPlayer', 100.0, 50.0)


@pytest.mark.parametrize(
  ('ahead', 'left', 'velocity', 'place'),
  [
    (100, 0, -10, (0, 4)),  # Straight ahead, in 10 tics: right of the middle.
    (100, 1, -10, (0, 3)),
    (100, 99, -10, (0, 0)),
    (100, -99, -10, (0, 7)),
    (300, 0, -10, (1, 4)),
    (300, 230, -10, (1, 0)),
    (590, 0, -10, (2, 4)),
    (610, 0, -10, None),  # In more than 60 tics.
    (100, 120, -10, None),  # Left of the screen.
    (-10, 0, -10, None),  # It has passed.
    (100, 0, 10, None),  # It flies away.
  ],
)
def test_fireballs_are_where_they_are_seen(ahead, left, velocity, place):
  ball = thing('DoomImpBall', 100.0 + ahead, 50.0 + left, velocity)
  found = fireballs.find([thing('DoomImp', 300, 50, -10), PLAYER, ball])
  assert found.shape == (3, 8) and found.dtype == bool
  wanted = np.zeros((3, 8), bool)
  if place is not None:
    wanted[place] = True
  np.testing.assert_array_equal(found, wanted)


def test_nothing_is_seen_by_nobody():
  assert not fireballs.find([thing('DoomImpBall', 9.0, 0.0, -10)]).any()


def test_the_game_says_what_is_on_its_screen():
  """A bright spot is where a near fireball is said to be."""
  options = {'view': 'band', 'frame_skip': 4, 'time_limit': 400}
  spec = environments.get_spec('vizdoom', **options)
  stay = player.resolve('stay', spec)
  played = labelled.play('vizdoom', stay, 4, 0, options)
  again = labelled.play('vizdoom', stay, 1, 0, options)
  first = played.episode == 0
  np.testing.assert_array_equal(played.labels[first], again.labels)
  np.testing.assert_array_equal(played.frames[first], again.frames)
  assert played.labels.shape == (len(played.frames), 3, 8)
  bright = (played.frames.min(-1) > 150).reshape(-1, 32, 8, 16).any((1, 3))
  near = played.labels[:, 0]
  assert near.sum() > 10
  assert bright[near].mean() > 0.7 > 0.3 > bright[~near].mean()


def test_without_the_option_nothing_is_said():
  game = environments.make('vizdoom', frames=False, time_limit=20)
  try:
    _, info = game.reset(seed=1)
    assert set(info) == {'tics'}
  finally:
    game.close()


@pytest.fixture(scope='module')
def data():
  rng = np.random.default_rng(0)
  labels = rng.random((2000, 2, 3)) < 0.2
  z = rng.normal(size=(2000, 8))
  z[:, :3] += 3 * labels[:, 0]  # The second row is not in z.
  return z, labels, np.arange(2000) // 20


def test_a_probe_finds_what_is_in_z_and_nothing_else(data):
  told, untold = label_probe.measure(*data)
  assert told > 0.95
  assert 0.4 < untold < 0.6


def test_it_is_measured_on_other_episodes_than_it_was_fitted_to(data):
  """Labels that only even episodes have in z are not found."""
  z, labels, episode = data
  z = z.copy()
  z[episode % 2 == 1] = 0
  assert label_probe.measure(z, labels, episode)[0] == pytest.approx(0.5)


def test_what_hardly_occurs_is_not_measured(data):
  z, labels, episode = data
  labels = labels.copy()
  labels[:, 0] = False
  labels[:, 1, 1:] = True
  found = label_probe.measure(z, labels, episode)
  assert np.isnan(found[0])
  assert 0.4 < found[1] < 0.6  # Of its one column that has both.
  constant = np.zeros_like(z)
  assert label_probe.measure(constant, labels, episode)[1] == 0.5
