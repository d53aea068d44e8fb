"""Rewards over the deviation of their discounted sums, against NumPy."""

import numpy as np
import tensorflow as tf

from nca_tf.agents import reward_scale

LANES, STEPS, GAMMA = 3, 20, 0.9


def test_windows_equal_sums_episode_by_episode():
  rng = np.random.default_rng(0)
  rewards = rng.normal(5, 3, [LANES, 2 * STEPS]).astype('float32')
  is_boundary = rng.random(rewards.shape) < 0.2
  rewards[is_boundary] = 0
  scale = reward_scale.RewardScale(LANES, GAMMA)
  sums = []
  for start in (0, STEPS):
    part = slice(start, start + STEPS)
    found = scale.apply(
      tf.constant(rewards[:, part]), tf.constant(is_boundary[:, part])
    )
    for lane in range(LANES):
      for t in range(start, start + STEPS):
        if is_boundary[lane, t]:
          continue
        episode = np.flatnonzero(is_boundary[lane, :t])
        first = episode[-1] + 1 if len(episode) else 0
        past = rewards[lane, first : t + 1][::-1]
        sums.append(past @ GAMMA ** np.arange(len(past)))
    expected = rewards[:, part] / np.std(sums)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
  assert scale.returns.count == len(sums)


def test_nothing_is_divided_where_all_rewards_are_zero():
  scale = reward_scale.RewardScale(LANES, GAMMA)
  nothing = tf.zeros([LANES, STEPS])
  found = scale.apply(nothing, tf.zeros([LANES, STEPS], tf.bool))
  np.testing.assert_array_equal(found, nothing)
