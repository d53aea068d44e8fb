"""REINFORCE: its step against NumPy, its learning, its streams and cells."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from counting_environment import Counting

from nca_tf.agents import actions
from nca_tf.agents import algorithms
from nca_tf.agents import collector
from nca_tf.agents import network
from nca_tf.agents import tf_agents
from nca_tf.agents.ppo import advantages
from nca_tf.agents.reinforce import agent as reinforce
from nca_tf.memory import cells

LANES, STEPS, GAMMA, VALUE_WEIGHT = 5, 14, 0.9, 0.7
SPEC = tf_agents.time_step_spec(tf.TensorSpec((2,), tf.float32))
KIND = actions.make(Counting.action_space)
STREAM = advantages.Stream('extrinsic', GAMMA)


def make_agent(units=(), cell=None, streams=(STREAM,), **settings):
  actor = network.ActorCritic(KIND.size, len(streams), units, cell)
  settings = reinforce.Settings(value_weight=VALUE_WEIGHT, **settings)
  return reinforce.ReinforceAgent(
    SPEC, KIND, actor, streams, settings=settings, seed=1
  )


def returns_of(found, final_value):
  """Discounted returns [B, T], summed backwards, episode by episode.

  Time limits and the window's edge go on with the value that was noted there;
  NaN at boundary steps.
  """
  rewards, discounts, types, nexts = (
    part.numpy()
    for part in (
      found.reward,
      found.discount,
      found.step_type,
      found.next_step_type,
    )
  )
  values = found.policy_info['values'].numpy()[..., 0]
  returns = np.full([LANES, STEPS], np.nan)
  for lane in range(LANES):
    total = final_value[lane]
    for t in reversed(range(STEPS)):
      if types[lane, t] == 2:
        continue
      if nexts[lane, t] == 2:  # The episode's last action.
        at_end = values[lane, t + 1] if t + 1 < STEPS else final_value[lane]
        total = at_end if discounts[lane, t] else 0.0
      total = rewards[lane, t] + GAMMA * total
      returns[lane, t] = total
  return returns


def test_a_step_is_the_gradient_of_williams_in_numpy():
  """A softmax of a linear policy; plain gradient descent shows the gradient."""
  agent = make_agent(normalizes=False, entropy=0.0, largest_gradient=1e9)
  rng = np.random.default_rng(3)
  agent.network.set_weights(
    [rng.normal(0, 0.1, w.shape) for w in agent.network.get_weights()]
  )
  player = collector.Collector(Counting(), agent, LANES, 0)
  player.collect(5)  # Windows begin in the middle of episodes.
  window = player.collect(STEPS)
  found = window.experience
  agent.optimizer = keras.optimizers.SGD(1.0)
  before = [v.numpy() for v in agent.network.trainable_variables]
  agent.train(found, state=window.state, final_values=window.final_values)
  steps = [
    old - new.numpy()
    for old, new in zip(before, agent.network.trainable_variables, strict=True)
  ]

  kernel, bias, value_kernel, value_bias = before
  returns = returns_of(found, window.final_values.numpy()[:, 0])
  real = ~np.isnan(returns)
  assert 0 < np.sum(~real) < 20
  seen = found.observation.numpy()[real]
  action = found.action.numpy()[real]
  returns = returns[real]
  values = (seen @ value_kernel + value_bias)[:, 0]
  gains = returns - values
  gains = (gains - gains.mean()) / gains.std()
  logits = seen @ kernel + bias
  odds = np.exp(logits)
  chances = odds / odds.sum(-1, keepdims=True)
  pull = -(np.eye(3)[action] - chances) * gains[:, None] / len(seen)
  miss = VALUE_WEIGHT * (values - returns)[:, None] / len(seen)
  expected = [seen.T @ pull, pull.sum(0), seen.T @ miss, miss.sum(0)]
  for got, wanted in zip(steps, expected, strict=True):
    assert np.abs(wanted).max() > 0.01
    np.testing.assert_allclose(got, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('name', ['none', 'lstm', 'dnc'])
def test_cells_and_streams_learn_as_those_of_ppo_do(name):
  options = {'memory_slots': 5, 'word_size': 4, 'read_heads': 1}
  cell = None if name == 'none' else cells.make(name, 8, **options)
  novelty = advantages.Stream('intrinsic', 0.8, is_episodic=False)
  agent = make_agent((8,), cell, (STREAM, novelty))
  player = collector.Collector(Counting(), agent, LANES, 0)

  @tf.function(autograph=False)
  def iterate():
    window = player.collect(STEPS)
    rewards = tf.stack([window.experience.reward, tf.ones([LANES, STEPS])], -1)
    return agent.train(
      window.experience,
      state=window.state,
      final_values=window.final_values,
      rewards=rewards,
    )

  before = [v.numpy() for v in agent.network.trainable_variables]
  info = iterate().extra
  assert set(reinforce.ReinforceAgent.SCALARS) <= set(info)
  assert 'kl' not in info
  assert all(np.isfinite(value) for value in info.values())
  for old, new in zip(before, agent.network.trainable_variables, strict=True):
    assert np.any(new.numpy() != old), new.path
  assert agent.train_step_counter == 1
  assert agent.optimizer.iterations == 1


def test_it_prefers_what_is_rewarded():
  """A bandit whose action 2 pays; each window is of its own policy."""
  agent = make_agent((8,), learning_rate=0.02, entropy=0.0)
  observation = tf.zeros([8, 32, 2])

  def distribution():
    parameters, values = agent.network(
      agent.prepare(observation), tf.zeros([8, 32], tf.bool), []
    )
    return KIND.distribution(parameters), values

  @tf.function(autograph=False)
  def learn(seed):
    found, values = distribution()
    action = found.sample(seed=seed)
    middle = tf.ones([8, 32], tf.int32)
    window = tf_agents.Trajectory(
      step_type=middle,
      observation=observation,
      action=action,
      policy_info={'log_prob': found.log_prob(action), 'values': values},
      next_step_type=middle,
      reward=tf.cast(action == 2, tf.float32),
      discount=tf.zeros([8, 32]),
    )
    agent.train(window, state=[], final_values=tf.zeros([8, 1]))

  start = float(distribution()[0].prob(2)[0, 0])
  for index in range(20):
    learn(tf.constant([0, index]))
  assert start == pytest.approx(1 / 3, abs=0.02)
  assert distribution()[0].prob(2)[0, 0] > 0.8


def test_every_algorithm_is_found_by_its_name():
  for name in algorithms.names():
    agent_class = algorithms.find(name)
    assert issubclass(agent_class, tf_agents.TFAgent)
    assert agent_class.settings_class() is not None
  with pytest.raises(ValueError, match="one of ppo, reinforce, got 'dqn'"):
    algorithms.find('dqn')
