"""Whole episodes with their actions, compiled once."""

import counting_environment
import numpy as np
import tensorflow as tf

from nca_tf.agents import evaluation
from nca_tf.agents import tf_agents


class Policy:
  """Draws actions from its seed, or takes the one that a variable says."""

  action_spec = tf_agents.tensor_spec.BoundedTensorSpec((), tf.int32, 0, 2)

  def __init__(self):
    self.fixed = tf.Variable(-1)
    self.traces = 0

  def get_initial_state(self, lanes):
    return tf.zeros([lanes])

  def action(self, time_step, memory, seed):
    self.traces += 1
    drawn = tf.random.stateless_uniform(
      tf.shape(time_step.reward), seed, maxval=3, dtype=tf.int32
    )
    action = tf.where(self.fixed < 0, drawn, self.fixed)
    return tf_agents.PolicyStep(action, memory + 1)


class Counting(counting_environment.Counting):
  time_limit = 20


def test_returns_lengths_and_actions_are_those_of_the_first_episodes():
  policy = Policy()
  games = evaluation.Episodes(Counting(), policy, 4)
  played = games.play(5)
  np.testing.assert_array_equal(played.lengths, [3, 4, 5, 6])
  np.testing.assert_array_equal(played.returns, [6, 10, 15, 21])
  assert played.actions.shape == (6, 4)
  assert set(played.actions.flat) == {0, 1, 2}
  other = games.play(6)
  assert np.any(other.actions != played.actions)
  np.testing.assert_array_equal(games.play(5).actions, played.actions)
  traces = policy.traces
  policy.fixed.assign(2)
  assert np.all(games.play(5).actions == 2)
  assert policy.traces == traces


def test_they_are_those_of_play():
  policy = Policy()

  @tf.function(autograph=False)
  def play():
    return evaluation.play(Counting(), policy, 3, 7)

  returns, lengths = play()
  played = evaluation.Episodes(Counting(), policy, 3).play(7)
  np.testing.assert_array_equal(returns, played.returns)
  np.testing.assert_array_equal(lengths, played.lengths)
