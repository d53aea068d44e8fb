"""Gymnasium's games in lanes: their limits, and their faults in one line."""

import subprocess
import sys
import textwrap

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from nca_tf import environments
from nca_tf.agents import vector_bridge
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments import gym_lanes
from nca_tf.environments import gym_registry
from nca_tf.experiments.agents import settings
from nca_tf.experiments.agents import training as training_lib

SPACES = 'gym:gym_test_games:Spaces-v0'
LANES = 3


def name_of(**options):
  pairs = {'action': 'one', **options}.items()
  return ','.join([SPACES, *(f'{key}={value}' for key, value in pairs)])


def resolve(name, *argv):
  flags = ['--preset=smoke', f'--env={name}', '--window=8', *argv]
  return config_flags.resolve(settings.Config, flags)


@pytest.mark.parametrize(
  ('name', 'limit'),
  [
    ('gym:MountainCar-v0', 200),
    ('gym:CartPole-v1', 500),
    (name_of(), 60),
    ('gym:gym_test_games:Endless-v0', 10_000),
  ],
)
def test_the_limit_is_the_games_or_a_long_one(name, limit):
  games = gym_lanes.Lanes(name, 2)
  assert games.time_limit == limit
  games.close()


def test_a_limit_of_gymnasium_truncates_and_is_no_death():
  games = gym_lanes.Lanes('gym:MountainCar-v0', 2)
  games.reset(seed=1)
  for step in range(1, 201):
    _, _, terminated, truncated, _ = games.step(np.ones(2, int))
    assert not np.any(terminated)
    np.testing.assert_array_equal(truncated, [step == 200] * 2)


def test_lanes_play_as_gymnasiums_own(capfd):
  """The same seeds, the same play; and what games print is not seen."""
  ours = gym_lanes.Lanes(name_of(action='several'), LANES)
  theirs = gymnasium.make_vec(
    'gym_test_games:Spaces-v0',
    LANES,
    'sync',
    action='several',
    noisy=False,
  )
  one, other = ours.reset(seed=3), theirs.reset(seed=3)
  capfd.readouterr()
  for step in range(80):
    np.testing.assert_array_equal(one[0], other[0])
    action = np.full([LANES, 2], step % 2)
    one, other = ours.step(action), theirs.step(action)
    np.testing.assert_array_equal(one[1:4], other[1:4])
  assert capfd.readouterr().out == ''


BROKEN = (
  ('observation', 'finite'),
  ('observation_0', 'finite'),
  ('shape', r'of shape \(5,\), not \(3,\), after (step|tic) 2'),
  ('shape_0', r'of shape \(5,\), not \(3,\), after (step|tic) 0'),
  ('ragged', r'of shape None, not \(3,\), after'),
  ('step', 'failed in step: KeyError: .*no.*key'),
  ('reward', 'finite'),
)


@pytest.mark.parametrize(('bad', 'message'), BROKEN)
def test_a_single_game_breaks_in_one_line(bad, message):
  env = environments.make(name_of(bad=bad))
  with pytest.raises(environments.GameCrashed, match=message) as caught:
    env.reset(seed=1)
    for _ in range(6):
      env.step([0.5])
  assert '\n' not in str(caught.value)
  assert bad in str(caught.value)  # It names the game with its options.


@pytest.mark.parametrize(('bad', 'message'), BROKEN)
def test_games_in_lanes_break_in_one_line(bad, message):
  games = gym_lanes.Lanes(name_of(bad=bad), LANES)
  bridge = vector_bridge.VectorBridge(games, 60, pickles=False)
  with pytest.raises(Exception) as caught:  # noqa: B017, PT011 - see below.
    state, _ = bridge.reset(LANES, [0, 0])
    for _ in range(6):
      state, *_ = bridge.step(state, tf.zeros([LANES, 1]), [0, 0])
  fault = bridge.fault or caught.value
  with pytest.raises(faults.Fault, match=message) as caught:
    raise fault
  assert '\n' not in str(fault)


@pytest.mark.parametrize(
  ('options', 'actions', 'message'),
  [
    ({}, [[0.0], [np.nan], [0.0]], r'must be in Box\(.*, got nan: has the pol'),
    ({'action': 'several'}, [[0, 0], [1, 3], [0, 0]], r'\[2 3\].*, got 3'),
    ({'action': 'several'}, [[0, 0], [0, -1], [0, 0]], r'\[2 3\].*, got -1'),
  ],
)
def test_actions_outside_their_space_are_named(options, actions, message):
  """As a policy draws them whose logits are NaN."""
  games = gym_lanes.Lanes(name_of(**options), LANES)
  bridge = vector_bridge.VectorBridge(games, 60, pickles=False)
  state, _ = bridge.reset(LANES, [0, 0])
  with pytest.raises(Exception, match=message):
    bridge.step(state, tf.constant(actions), [0, 0])
  assert isinstance(bridge.fault, faults.Fault)


def test_an_index_outside_its_space_is_named():
  games = gym_lanes.Lanes('gym:FrozenLake-v1', 2)
  bridge = vector_bridge.VectorBridge(games, 100, pickles=False)
  state, _ = bridge.reset(2, [0, 0])
  games.envs[1].env.step = lambda action: (16, 0.0, False, False, {})
  with pytest.raises(Exception, match='from 0 to 15, got 0 to 16'):
    bridge.step(state, tf.zeros([2], tf.int32), [0, 0])


@pytest.mark.parametrize('bad', ['shape', 'step'])
def test_what_breaks_in_mid_training_is_one_line(bad):
  training = training_lib.Training(resolve(name_of(bad=bad)))
  with pytest.raises(environments.GameCrashed, match=f'bad={bad}') as caught:
    training.step(0)
  assert '\n' not in str(caught.value)


def test_what_breaks_while_it_is_scored_is_one_line():
  training = training_lib.Training(resolve(name_of(), '--score_episodes=2'))
  broken = resolve(name_of(bad='step'))
  training._arena = training._arena._replace(
    make=lambda config, lanes: training_lib.arenas.get(broken.env).make(
      broken, lanes
    )
  )
  with pytest.raises(environments.GameCrashed, match='failed in step'):
    training.score()


@pytest.mark.parametrize(
  'options',
  [
    {'action': 'several'},
    {'action': 'box', 'observation': 'colours'},
  ],
)
def test_every_kind_of_action_and_pictures_train(options):
  training = training_lib.Training(resolve(name_of(**options)))
  scalars = training.step(0)
  assert all(np.isfinite(value) for value in scalars.values())


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('gym:CartPoll-v1', r'gym:CartPoll-v1.*near it: gym:CartPole-v[01]'),
    ('gym:Chess-v0', 'must be gym: and an id of Gymnasium'),
    ('gym:', 'must be gym: and an id'),
    ('gym:CartPole-v1,x', 'options of a game must be like'),
    ('gym:CartPole-v1,x=1', 'cannot be made: .*unexpected keyword'),
    ('gym:no_such_package:Game-v0', 'needs another package'),
    ('gym:HalfCheetah-v5', r'needs another package: .*gymnasium\[mujoco\]'),
    (name_of(observation='dict'), 'observations must be .*, got Dict'),
    (name_of(observation='tuple'), 'observations must be .*, got Tuple'),
    (name_of(observation='matrix'), 'observations must be .*, got Box'),
    (name_of(action='dict'), 'actions must be .*, got Dict'),
    (name_of(action='discrete'), 'actions must be Discrete from 0'),
    (name_of(action='endless'), 'actions must be .* bounded Box'),
  ],
)
def test_where_agents_cannot_play_is_said_in_one_line(name, message):
  with pytest.raises(faults.UsageError, match='^--env.*' + message) as caught:
    resolve(name)
  assert '\n' not in str(caught.value)


OLD = 'gym:GymV21Environment-v0,env_id=Old-v0'


def test_old_games_need_shimmy(monkeypatch):
  monkeypatch.setitem(sys.modules, 'shimmy', None)
  line = rf"^game '{OLD}' needs Shimmy: pip install 'nca_tf\[shimmy\]'$"
  with pytest.raises(ImportError, match=line):
    gym_registry.open_game(OLD)


SHIMMY = """
import sys
import gymnasium
import gym_test_games

print('gym is unmaintained', file=sys.stderr)


def make(env_id, **options):
  assert env_id == 'Old-v0'
  return gym_test_games.Spaces(action='one', cut=7, **options)


gymnasium.register('GymV21Environment-v0', entry_point=make)
"""


def test_old_games_come_through_shimmy_with_their_limit(tmp_path):
  """A stand-in for Shimmy, in a process that has not seen the real one."""
  (tmp_path / 'shimmy.py').write_text(SHIMMY)
  script = f"""
    import sys
    sys.path[:0] = {[str(tmp_path), *sys.path]!r}
    from nca_tf.environments import gym_lanes
    games = gym_lanes.Lanes({OLD!r}, 2)
    games.reset(seed=5)
    for step in range(7):
      _, _, dead, late, _ = games.step(games.action_space.sample() * 0)
    print(games.time_limit, dead, late)
  """
  found = subprocess.run(
    [sys.executable, '-c', textwrap.dedent(script)],
    check=True,
    capture_output=True,
    text=True,
  )
  assert found.stdout == '10000 [False False] [ True  True]\n'
  assert found.stderr == ''
