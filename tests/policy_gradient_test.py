"""PPO of a controller in the dream: its noise and its game, by equations."""

import numpy as np
import pytest
import tensorflow as tf
import tiny_world_models
from scipy import special

from nca_tf.experiments.controller import dream_agent
from nca_tf.world_model import controller as controller_lib
from nca_tf.world_model import world_model as world_model_lib


@pytest.fixture(scope='module')
def world_model(tmp_path_factory):
  folder = tiny_world_models.train(tmp_path_factory.mktemp('models') / 'lstm')
  return world_model_lib.WorldModel.load(folder)


def parameters_of(sums, temperature):
  log = np.full((*sums.shape[:-1], 1), np.log(temperature))
  return tf.constant(np.concatenate([sums, log], -1), tf.float32)


def test_ordered_actions_have_logistic_noise_on_the_sum():
  kind = dream_agent.NoisyActions(
    controller_lib.LinearController({'z': 2}, actions=3)
  )
  sums = np.linspace(-3, 3, 13)[:, None]
  found = kind.distribution(parameters_of(sums, 0.4))
  edges = np.arctanh([-1 / 3, 1 / 3])
  above = special.expit((sums - edges) / 0.4)
  expected = np.stack(
    [1 - above[:, 0], above[:, 0] - above[:, 1], above[:, 1]], -1
  )
  expected = 0.998 * expected + 0.002 / 3
  np.testing.assert_allclose(
    np.exp(found.log_prob([[0], [1], [2]]).numpy().T), expected, atol=1e-6
  )


@pytest.mark.parametrize(
  'given',
  [
    {'actions': 3},
    {'actions': 5},
    {'actions': 4, 'ordered': False},
    {'actions': 0, 'action_kind': 'continuous'},
    {'actions': 0, 'action_kind': 'continuous', 'components': 3},
  ],
)
def test_without_noise_the_controller_is_left(given):
  controller = controller_lib.LinearController({'z': 3, 'h': 2}, **given)
  network = dream_agent.DreamActor(controller)
  network.build((5,))
  rng = np.random.default_rng(0)
  weights = rng.standard_normal(controller.size).astype(np.float32)
  network.weights_of_controller.assign(weights)
  network.log_temperature.assign([-8.0])
  seen = tf.constant(rng.standard_normal((50, 5)), tf.float32)
  parameters, values, state = network.step(seen, None, [])
  assert values.shape == (50, 1) and state == []
  kind = dream_agent.NoisyActions(controller)
  drawn = kind.distribution(parameters).sample(seed=1)
  acted = controller.act(weights, {'z': seen[:, :3], 'h': seen[:, 3:]})
  assert tuple(drawn.shape[1:]) == tuple(kind.spec.shape)
  if controller.action_kind == 'continuous':
    np.testing.assert_allclose(
      tf.reshape(drawn, tf.shape(acted)), acted, atol=3e-3
    )
  else:
    assert np.mean(drawn != acted) <= 0.04  # The share that is drawn anyway.
  windows, _ = network(tf.reshape(seen, [5, 10, 5]), None, [])
  np.testing.assert_allclose(
    tf.reshape(windows, [50, -1]), parameters, atol=1e-6
  )


def test_lanes_of_the_dream_die_as_often_as_their_rewards_say(world_model):
  controller = world_model.controller(('z', 'h'))
  dream = world_model.dream(1.0, 'expected')
  game = dream_agent.DreamGame(dream, controller)
  lanes = 400
  state, observation = game.reset(lanes, tf.constant([1, 2]))
  assert observation.shape == (lanes, *game.observation_space.shape)
  features = dream.observe(state)
  np.testing.assert_array_equal(
    observation, tf.concat([features['z'], features['h']], -1)
  )
  action = tf.ones([lanes], tf.int32)
  head = world_model.model.done_head
  bias = head.bias.numpy()
  head.bias.assign(bias + 3)  # Enough deaths to count.
  died, expected = 0, 0.0
  for number in range(20):
    key = tf.constant([3, number])
    following, prediction = dream.advance(state, controller.encode(action), key)
    state, observation, reward, terminated, truncated = game.step(
      state, action, key
    )
    np.testing.assert_array_equal(following.z, state.z)
    np.testing.assert_allclose(reward, -dream.done_probability(prediction))
    died += int(tf.reduce_sum(tf.cast(terminated, tf.int32)))
    expected -= float(tf.reduce_sum(reward))
    assert not np.any(truncated)
  head.bias.assign(bias)
  assert expected > 100
  assert abs(died - expected) < 4 * expected**0.5
