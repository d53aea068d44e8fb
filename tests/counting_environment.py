"""A batched environment whose episodes anybody can work out by hand."""

import gymnasium
import numpy as np
import tensorflow as tf


class Counting:
  """Lane b counts its steps; its episode ends after 3 + b of them.

  Even lanes die there, odd ones meet a time limit. The observation is the count
  and the action before it; the reward of a step is its count.
  """

  observation_space = gymnasium.spaces.Box(0, 9, (2,), np.float32)
  action_space = gymnasium.spaces.Discrete(3)

  def reset(self, lanes, seed):
    del seed
    count = tf.zeros([lanes], tf.int32)
    return count, self._observe(count, tf.zeros([lanes], tf.int32))

  def step(self, state, action, seed):
    del seed
    count = state + 1
    lane = tf.range(tf.shape(count)[0])
    is_over = count >= 3 + lane
    dies = lane % 2 == 0
    observation = self._observe(count, action)
    reward = tf.cast(count, tf.float32)
    return count, observation, reward, is_over & dies, is_over & ~dies

  def _observe(self, count, action):
    return tf.cast(tf.stack([count, action], -1), tf.float32)
