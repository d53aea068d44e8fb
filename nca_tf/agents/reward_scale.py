"""Rewards over the running deviation of their discounted sums.

Values of hundreds and values of hundredths cannot be learnt at one rate. What
is divided is the reward alone; its sign and the order of policies stay.
"""

import tensorflow as tf

from nca_tf.agents import moments


class RewardScale(tf.Module):
  """Follows the deviation in B lanes, all of it checkpointed.

  rewards = scale.apply(rewards, is_boundary)  # [B, T] of [B, T]
  """

  def __init__(self, lanes: int, discount: float):
    """Starts with a deviation of 1."""
    super().__init__('reward_scale')
    self.discount = discount
    self.returns = moments.Moments()
    self.running = tf.Variable(tf.zeros([lanes]), trainable=False)

  def apply(self, rewards: tf.Tensor, is_boundary: tf.Tensor) -> tf.Tensor:
    """Follows a window's rewards [B, T] and returns them scaled.

    Args:
      rewards: Float32.
      is_boundary: Bool [B, T]; a sum begins after each of these steps.
    """

    def follow(total, step):
      reward, ends = step
      return tf.where(ends, 0.0, self.discount * total + reward)

    sums = tf.scan(
      follow,
      (tf.transpose(rewards), tf.transpose(is_boundary)),
      tf.identity(self.running),
    )
    self.running.assign(sums[-1])
    real = tf.boolean_mask(tf.transpose(sums), ~is_boundary)
    self.returns.update(real)
    return self.returns.scale(rewards)
