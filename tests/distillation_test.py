"""Random network distillation: its reward, its statistics, what it learns."""

import numpy as np
import pytest
import tensorflow as tf

from nca_tf.agents.rnd import distillation as rnd

LANES, STEPS, SIZE = 3, 6, 4


def make(shape=(SIZE,), **settings):
  settings = {'units': 8, 'outputs': 8, 'learning_rate': 1e-2, **settings}
  return rnd.Distillation(shape, LANES, rnd.Settings(**settings), seed=3)


def draw(seed, *shape):
  values = np.random.default_rng(seed).normal(size=shape)
  return tf.constant(values, tf.float32)


def test_what_is_seen_again_and_again_is_rewarded_less_than_what_is_new():
  model = make()
  model.prime(draw(0, 20, 5, SIZE))
  known, other = draw(1, 1, SIZE), draw(2, 1, SIZE)
  target = [v.numpy() for v in model.target.variables]
  window = tf.tile(known[None], [LANES, 16, 1])
  before = model.errors(known), model.errors(other)
  learn = tf.function(model.learn, autograph=False)
  for _ in range(20):
    learn(window)
  assert model.errors(known) < 0.1 * before[0]
  assert model.errors(other) > 3 * model.errors(known)
  for old, new in zip(target, model.target.variables, strict=True):
    np.testing.assert_array_equal(new, old)


def test_rewards_are_over_the_deviation_of_their_discounted_sums_in_time():
  model = make(discount=0.9)
  model.prime(draw(0, 20, 5, SIZE))
  sums, total = [], np.zeros(LANES)
  for window in range(3):  # The filter goes on from window to window.
    observations = draw(window + 1, LANES, STEPS + 1, SIZE)
    flat = tf.reshape(observations[:, 1:], [-1, SIZE])
    errors = model.errors(flat).numpy().reshape(LANES, STEPS)
    found = model.reward(observations)
    for t in range(STEPS):
      total = 0.9 * total + errors[:, t]
      sums.append(total)
    np.testing.assert_allclose(found, errors / np.std(sums), rtol=1e-4)


def test_observations_are_clipped_at_five_deviations():
  model = make()
  model.prime(draw(0, 50, 4, SIZE))
  mean, deviation = model.observations.mean, model.observations.deviation
  five = tf.cast(mean + 5 * deviation, tf.float32)
  far = tf.cast(mean + 500 * deviation, tf.float32)
  np.testing.assert_allclose(
    model.errors(far[None]), model.errors(five[None]), rtol=1e-4
  )


@pytest.mark.parametrize(('share', 'rows'), [(0.25, 4), (1.0, 16)])
def test_the_predictor_learns_from_a_share_of_each_minibatch(share, rows):
  model = make(share=share, epochs=2, minibatches=3)
  seen, errors = [], model.errors

  def watch(observations):
    seen.append(tf.shape(observations)[0].numpy())
    return errors(observations)

  model.errors = watch
  model.learn(draw(0, LANES, 16, SIZE))  # 3 minibatches of 16.
  assert seen == [rows] * 6


def test_no_two_layers_begin_alike():
  model = make()
  weights = [
    variable.numpy()
    for network in (model.target, model.predictor)
    for variable in network.variables
    if len(variable.shape) == 2
  ]
  for i, one in enumerate(weights):
    for other in weights[:i]:
      assert one.shape != other.shape or np.abs(one - other).max() > 0.1


def test_what_never_changed_before_is_new_at_once():
  model = make()
  # The last number has always been 0, as of a room where nobody was.
  model.prime(draw(0, 20, 5, SIZE) * [1, 1, 1, 0])
  known = draw(1, LANES, 33, SIZE) * [1, 1, 1, 0]
  for _ in range(20):
    model.reward(known)
    model.learn(known[:, 1:])
  other = known[0] + [0, 0, 0, 1.0]
  before = model.rate(known[0]), model.rate(other)
  assert np.mean(before[1]) > 5 * np.mean(before[0])


def test_rates_are_rewards_and_change_nothing():
  model = make()
  model.prime(draw(0, 20, 5, SIZE))
  observations = draw(1, LANES, STEPS + 1, SIZE)
  rewards = model.reward(observations)
  kept = [variable.numpy() for variable in model.variables]
  flat = tf.reshape(observations[:, 1:], [-1, SIZE])
  np.testing.assert_allclose(
    model.rate(flat), tf.reshape(rewards, [-1]), rtol=1e-6
  )
  for old, new in zip(kept, model.variables, strict=True):
    np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize('side', [1, 7, 35, 42])
def test_images_of_any_size_have_a_reward_too(side):
  model = make((side, side, 1))
  shape = LANES, 3, side, side, 1
  images = np.random.default_rng(0).integers(0, 256, shape)
  images = tf.constant(images, tf.uint8)
  model.prime(images)
  rewards = model.reward(images)
  assert rewards.shape == (LANES, 2)
  assert np.all(rewards > 0)
