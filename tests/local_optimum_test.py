"""The local optimum of PixelCopter, and what is said of a training in one."""

import types

import numpy as np
import pytest

from nca_tf.environments.pixel_copter import local_optimum
from nca_tf.environments.pixel_copter import vector
from nca_tf.experiments.agent_comparison import comparison


def play(act, games=64, seed=3):
  """Plays whole games; returns returns [N], lengths [N] and actions [T, N]."""
  env = vector.PixelCopterVector(games, observation='features')
  env.reset(seed=seed)
  returns, lengths = np.zeros(games), np.zeros(games, int)
  over, taken = np.zeros(games, bool), []
  while not over.all():
    taken.append(act(len(taken)))
    _, reward, *ends, _ = env.step(taken[-1])
    returns += np.where(over, 0, reward)
    lengths += ~over
    over |= ends[0] | ends[1]
  return returns, lengths, np.array(taken)


def at(*tics):
  """Climbs at these tics and never else."""
  return lambda tic: np.full(64, 0 if tic in tics else 1)


def test_two_ups_then_nothing_are_of_it_and_have_its_return():
  returns, lengths, actions = play(at(0, 20))
  assert local_optimum.holds(actions, lengths).all()
  low, high = local_optimum.RETURNS
  assert low <= returns.mean() <= high and np.all(lengths < 45)


@pytest.mark.parametrize('tics', [(), (0, 1, 2, 3), (0, 1, 2)])
def test_nothing_many_ups_and_a_flight_into_the_ceiling_are_not(tics):
  _, lengths, actions = play(at(*tics))
  assert not local_optimum.holds(actions, lengths).any()


def test_chance_is_hardly_ever_of_it():
  rng = np.random.default_rng(0)
  shares = {}
  for chance in (0.05, 0.09, 0.5):
    _, lengths, actions = play(
      lambda tic, chance=chance: np.where(rng.random(256) < chance, 0, 1), 256
    )
    shares[chance] = local_optimum.holds(actions, lengths).mean()
  assert shares[0.5] == 0
  assert 0.05 < shares[0.09] < shares[0.05] < comparison.APPEARS


def test_what_comes_after_an_episode_does_not_count():
  actions = np.ones([50, 3], int)
  actions[[0, 20]] = 0
  actions[36:, 1] = 0  # Of the next episode.
  actions[26, 2] = 0  # Ten tics before the end, and not more.
  found = local_optimum.holds(actions, np.array([36, 36, 36]))
  assert found.tolist() == [True, True, False]
  actions[40, 0] = 0
  assert not local_optimum.holds(actions, np.array([50, 36, 36]))[0]


OPTIMUM = types.SimpleNamespace(RETURNS=(-1.0, 1.0))


@pytest.mark.parametrize(
  ('shares', 'expected'),
  [
    ([0.1, 0.2, 0.3, 0.4], (0.4, None, None)),
    ([0.1, 0.5, 0.2, 0.1], (0.5, 20, None)),
    ([0.6, 0.0, 0.7, 0.0], (0.7, 10, 70)),
    ([0.6, 0.05, 0.0, 0.0], (0.6, 10, 20)),
  ],
)
def test_a_training_has_left_it_when_it_does_not_come_back(shares, expected):
  means = [-4.0, -1.0, 1.0, 30.0]
  stay = comparison.follow([10, 20, 30, 70], shares, means, OPTIMUM)
  assert stay[:3] == expected
  assert stay.between == 20
