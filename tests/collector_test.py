"""Windows of play: their layout, and that they go on where they stopped."""

import numpy as np
import pytest
import tensorflow as tf
from counting_environment import Counting

from nca_tf.agents import actions
from nca_tf.agents import collector
from nca_tf.agents import network
from nca_tf.agents import tf_agents
from nca_tf.agents.ppo import agent as ppo
from nca_tf.memory import cells

LANES, STEPS = 4, 10


def make():
  environment = Counting()
  kind = actions.make(environment.action_space)
  actor = network.ActorCritic(kind.size, 1, (8,), cells.make('lstm', 4))
  spec = tf_agents.time_step_spec(tf.TensorSpec((2,), tf.float32))
  agent = ppo.PPOAgent(spec, kind, actor, seed=2)
  return collector.Collector(environment, agent, LANES, seed=5)


def collect(steps):
  return tf.function(lambda of: of.collect(steps), autograph=False)


@pytest.fixture(scope='module')
def window():
  return collect(2 * STEPS)(make())


def test_two_windows_equal_one_of_twice_the_length(window):
  ours = make()
  play = collect(STEPS)
  one, two = play(ours), play(ours)
  both = tf.nest.map_structure(
    lambda *parts: tf.concat(parts, 1), one.experience, two.experience
  )
  tf.nest.map_structure(np.testing.assert_array_equal, both, window.experience)
  for part, other in zip(two.final, window.final, strict=True):
    np.testing.assert_array_equal(part, other)
  np.testing.assert_array_equal(two.final_values, window.final_values)
  np.testing.assert_array_equal(one.returns + two.returns, window.returns)
  assert any(np.any(part) for part in two.state)
  assert not any(np.any(part) for part in one.state)


def test_each_episode_ends_with_a_boundary_step(window):
  found = window.experience
  returns = []
  for lane in range(LANES):
    length, dies = 3 + lane, lane % 2 == 0
    for t in range(2 * STEPS):
      count = t % (length + 1)  # One boundary step each.
      step = tf.nest.map_structure(lambda p, t=t: p[lane, t].numpy(), found)  # noqa: B023
      assert step.observation[0] == count
      assert step.is_first() == (count == 0)
      assert step.is_boundary() == (count == length)
      assert (step.next_step_type == 2) == (count == length - 1)
      is_end = count == length - 1
      assert step.discount == (0 if is_end and dies else 1)
      assert step.reward == (0 if count == length else count + 1)
      if is_end:
        returns.append(sum(range(1, length + 1)))
      if 0 < count:  # The observation says what was done before it.
        assert step.observation[1] == found.action[lane, t - 1]
  np.testing.assert_array_equal(window.returns, [sum(returns), len(returns)])


def test_what_was_noted_while_playing_is_what_the_network_says(window):
  agent = make().agent
  parameters, values = agent.network(
    agent.prepare(window.experience.observation),
    window.experience.is_first(),
    window.state,
  )
  found = actions.make(Counting.action_space).distribution(parameters)
  info = window.experience.policy_info
  np.testing.assert_allclose(info['values'], values, atol=1e-6)
  np.testing.assert_allclose(
    info['log_prob'], found.log_prob(window.experience.action), atol=1e-6
  )
