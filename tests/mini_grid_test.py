"""MiniGrid's games as vectors, with games of that name which are not its."""

import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from nca_tf.command_line import faults
from nca_tf.environments import gym_registry
from nca_tf.experiments.agents import arenas

NAME = 'gym:MiniGrid-Stand-in-v0'
SHAPE = 2, 3, 3


class StandIn(gymnasium.Env):
  """What MiniGrid's games show: a view, a direction and a text."""

  metadata = {'render_modes': []}
  observation_space = spaces.Dict(
    {
      'image': spaces.Box(0, 255, SHAPE, np.uint8),
      'direction': spaces.Discrete(4),
      'mission': spaces.Text(9),
    }
  )
  action_space = spaces.Discrete(7)
  max_steps = 5

  def reset(self, *, seed=None, options=None):
    """Starts an episode."""
    super().reset(seed=seed)
    return self._observe(), {}

  def step(self, action):
    """Never ends."""
    return self._observe(), float(action == 6), False, False, {}

  def _observe(self):
    high = np.broadcast_to([11, 6, 3], SHAPE)
    image = self.np_random.integers(0, high).astype(np.uint8)
    self.last = image
    return {'image': image, 'direction': 1, 'mission': 'go'}


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
  registry = dict(gymnasium.registry)
  monkeypatch.setattr(gymnasium.envs.registration, 'registry', registry)
  monkeypatch.setattr(gymnasium, 'registry', registry)
  gymnasium.register(NAME.removeprefix('gym:'), StandIn)


def test_views_are_one_hot_and_end_after_the_steps_of_the_game():
  with gym_registry.open_game(NAME) as env:
    observation, _ = env.reset(seed=0)
    for _ in range(4):
      assert observation in env.observation_space
      image = env.unwrapped.last
      expected = [np.eye(n)[image[..., k]] for k, n in enumerate((11, 6, 3))]
      expected = np.concatenate(expected, -1).ravel()
      np.testing.assert_array_equal(observation, expected)
      observation, _, dead, late, _ = env.step(0)
      assert not dead and not late
    assert env.step(0)[2:4] == (False, True)


def test_agents_play_them():
  arena = arenas.get(NAME)
  assert arena.solved == float('inf')


def test_dictionaries_of_other_games_are_refused_in_one_line():
  gymnasium.register('Other-v0', StandIn)
  with pytest.raises(faults.UsageError, match='observations must be') as info:
    arenas.get('gym:Other-v0')
  assert '\n' not in str(info.value)


def test_the_missing_package_is_said_in_one_line(monkeypatch):
  monkeypatch.setitem(sys.modules, 'minigrid', None)
  with pytest.raises(faults.UsageError) as info:
    arenas.get('gym:MiniGrid-DoorKey-16x16-v0')
  assert str(info.value) == (
    "--env: game 'gym:MiniGrid-DoorKey-16x16-v0' needs MiniGrid: pip install "
    "'nca_tf[minigrid]'"
  )


def test_games_of_minigrid_itself_are_vectors():
  pytest.importorskip('minigrid')
  with gym_registry.open_game('gym:MiniGrid-DoorKey-16x16-v0') as env:
    observation, _ = env.reset(seed=0)
    assert env.spec.max_episode_steps == 2560
    assert observation.shape == (7 * 7 * 20,)
    assert observation.sum() == 3 * 7 * 7
