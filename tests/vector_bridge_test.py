"""Gymnasium's vector environments in the graph: equal play, and what breaks."""

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from nca_tf.agents import actions
from nca_tf.agents import collector
from nca_tf.agents import evaluation
from nca_tf.agents import network
from nca_tf.agents import tf_agents
from nca_tf.agents import vector_bridge
from nca_tf.agents.ppo import agent as ppo
from nca_tf.command_line import faults
from nca_tf.environments.pixel_copter import vector

LANES, STEPS = 3, 150


def make_bridge(lanes=LANES, time_limit=60, observation='features'):
  games = vector.PixelCopterVector(
    lanes, observation=observation, time_limit=time_limit
  )
  return vector_bridge.VectorBridge(games, time_limit)


def make_agent(bridge):
  kind = actions.make(bridge.action_space)
  spec = tf_agents.time_step_spec(bridge.spec)
  actor = network.ActorCritic(kind.size, 1, (8,))
  return ppo.PPOAgent(spec, kind, actor, seed=2)


def test_a_window_is_what_the_games_play():
  bridge = make_bridge(time_limit=6)
  player = collector.Collector(bridge, make_agent(bridge), LANES, 4)
  start = bridge.serialize()
  collect = tf.function(lambda: player.collect(STEPS), autograph=False)
  found = collect().experience
  bridge.deserialize(start)
  games = bridge.environment  # As they were before the window.
  over, seen = np.zeros(LANES, bool), None
  for t in range(STEPS):
    step = tf.nest.map_structure(lambda part, t=t: part[:, t].numpy(), found)
    np.testing.assert_array_equal(step.step_type == 2, over)
    if t:
      was_over = found.step_type[:, t - 1] == 2
      np.testing.assert_array_equal(step.step_type == 0, was_over)
      np.testing.assert_allclose(step.observation, seen, rtol=1e-6)
    seen, reward, terminated, truncated, _ = games.step(step.action)
    np.testing.assert_array_equal(step.reward, reward)
    np.testing.assert_array_equal(step.discount, 1.0 - terminated)
    over = terminated | truncated
  assert np.any(found.discount == 0)
  is_late = (found.next_step_type == 2) & (found.discount == 1)
  assert np.any(is_late)
  assert np.any(found.is_boundary())


def test_what_does_not_pickle_begins_new_episodes_after_a_checkpoint():
  games = gymnasium.make_vec('CartPole-v1', LANES, 'sync')
  bridge = vector_bridge.VectorBridge(games, 500, pickles=False)
  state, _ = bridge.reset(LANES, [0, 0])
  action = tf.zeros([LANES], tf.int32)
  for _ in range(3):
    state, _, reward, *_ = bridge.step(state, action, [0, 0])
  np.testing.assert_array_equal(reward, 1)
  bridge.deserialize(bridge.serialize())
  state, observation, reward, *ends = bridge.step(state, action, [0, 0])
  np.testing.assert_array_equal(ends, [[False] * LANES, [True] * LANES])
  np.testing.assert_array_equal(reward, 0)
  assert np.abs(observation).max() <= 0.05  # As CartPole begins.
  *_, reward, dead, late = bridge.step(state, action, [0, 0])
  np.testing.assert_array_equal(reward, 1)
  assert not np.any(dead | late)


def test_frames_go_through_the_convolutions():
  bridge = make_bridge(observation='frames')
  assert bridge.spec == tf.TensorSpec((48, 48, 3), tf.uint8)
  agent = make_agent(bridge)
  player = collector.Collector(bridge, agent, LANES, 4)
  window = player.collect(4)
  info = agent.train(
    window.experience, state=window.state, final_values=window.final_values
  )
  assert np.isfinite(info.loss)


@pytest.mark.parametrize('side', [1, 7, 35])
def test_images_of_any_size_go_through_the_convolutions(side):
  actor = network.ActorCritic(3, 1, (8,))
  actor.build((side, side, 3))
  images = np.random.default_rng(0).integers(0, 256, (2, side, side, 3))
  parameters, values, _ = actor.step(tf.constant(images, tf.uint8), None, [])
  assert parameters.shape == (2, 3) and values.shape == (2, 1)
  assert np.abs(parameters[0] - parameters[1]).max() > 0


def test_whole_episodes_end_at_the_limit_or_before():
  bridge = make_bridge(lanes=40)
  policy = make_agent(bridge).collect_policy
  play = tf.function(evaluation.play, autograph=False)
  returns, lengths = play(bridge, policy, 40, 3)
  assert np.all(returns.numpy()[lengths < 60] < 5)
  assert np.all((lengths > 1) & (lengths <= 60))
  again, _ = play(make_bridge(lanes=40), policy, 40, 3)
  np.testing.assert_array_equal(again, returns)


class Broken(gymnasium.vector.VectorEnv):
  """One game that returns what it is told to."""

  metadata = {'autoreset_mode': gymnasium.vector.AutoresetMode.NEXT_STEP}
  num_envs = 1
  single_observation_space = gymnasium.spaces.Box(-1, 1, (2,))
  single_action_space = gymnasium.spaces.Box(-1, 2, (1,))
  following = (np.zeros([1, 2]), [0.0])
  action = None

  def reset(self, *, seed=None, options=None):
    return np.zeros([1, 2]), {}

  def step(self, actions):
    self.action = actions
    observation, reward = self.following
    return observation, reward, [False], [False], {}


@pytest.mark.parametrize(
  ('following', 'message'),
  [
    ((np.zeros([1, 3]), [0.0]), r'of shape \(1, 2\), got \(1, 3\)'),
    ((np.full([1, 2], np.inf), [0.0]), 'must be finite, got 2 of 2 numbers'),
    ((np.zeros([1, 2]), [np.nan]), 'rewards must be finite'),
  ],
)
def test_what_a_step_may_not_return(following, message):
  games = Broken()
  games.following = following
  bridge = vector_bridge.VectorBridge(games, 10)
  state, _ = bridge.reset(1, [0, 0])
  with pytest.raises(Exception, match=message):
    bridge.step(state, tf.zeros([1, 1]), [0, 0])
  assert isinstance(bridge.fault, faults.Fault)


def test_actions_outside_a_box_are_clipped():
  games = Broken()
  bridge = vector_bridge.VectorBridge(games, 10)
  state, _ = bridge.reset(1, [0, 0])
  bridge.step(state, tf.constant([[5.0]]), [0, 0])
  assert games.action == [[2.0]]


def test_other_environments_are_refused():
  games = Broken()
  games.metadata = {'autoreset_mode': gymnasium.vector.AutoresetMode.SAME_STEP}
  with pytest.raises(ValueError, match='autoreset_mode must be NEXT_STEP'):
    vector_bridge.VectorBridge(games, 10)
  space = gymnasium.spaces.Dict({'a': gymnasium.spaces.Discrete(2)})
  with pytest.raises(ValueError, match='observations must be Discrete'):
    vector_bridge.get_observation_spec(space)
  with pytest.raises(ValueError, match='lanes must be 3, got 4'):
    make_bridge().reset(4, [0, 0])
