"""Advantages against returns of n steps, episode by episode in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from nca_tf.agents import actions
from nca_tf.agents import collector
from nca_tf.agents import network
from nca_tf.agents import tf_agents
from nca_tf.agents import vector_bridge
from nca_tf.agents.ppo import advantages
from nca_tf.agents.ppo import agent as ppo
from nca_tf.environments import gym_lanes

LAMBDA = 0.9
STREAMS = (
  advantages.Stream('extrinsic', 0.97),
  advantages.Stream('intrinsic', 0.8, is_episodic=False),
  advantages.Stream('another', 0.5),
)


def average_returns(rewards, values, end_discount, gamma):
  """Advantages of one episode, or of its beginning.

  Schulman et al. (2016), equation 16, as it is derived there: the average of
  the returns of n steps, weighted by powers of lambda.

  Args:
    rewards: [N].
    values: [N + 1].
    end_discount: 0 after a death, else 1.
    gamma: Discount.
  """
  count = len(rewards)
  values = np.append(values[:-1], values[-1] * end_discount)
  found = np.zeros(count)
  for start in range(count):
    longest = count - start
    for n in range(1, longest + 1):
      powers = gamma ** np.arange(n)
      total = powers @ rewards[start : start + n] + gamma**n * values[start + n]
      weight = LAMBDA ** (n - 1) * (1 if n == longest else 1 - LAMBDA)
      found[start] += weight * (total - values[start])
  return found


def reference(rewards, values, discounts, is_boundary):
  found = np.zeros_like(rewards)
  lanes, steps, _ = rewards.shape
  for lane in range(lanes):
    for number, stream in enumerate(STREAMS):
      ends = [*np.flatnonzero(is_boundary[lane]), steps]
      if not stream.is_episodic:
        ends = [steps]
      start = 0
      for end in ends:
        if end > start:
          discount = discounts[lane, end - 1] if stream.is_episodic else 1
          found[lane, start:end, number] = average_returns(
            rewards[lane, start:end, number],
            values[lane, start : end + 1, number],
            discount,
            stream.discount,
          )
        start = end + 1
  return found


def make_window(deaths, limits, steps=12):
  """Boundary steps after deaths and after time limits, one list per lane."""
  lanes = len(deaths)
  rng = np.random.default_rng(0)
  is_boundary = np.zeros([lanes, steps], bool)
  discounts = np.ones([lanes, steps])
  for lane in range(lanes):
    is_boundary[lane, [*deaths[lane], *limits[lane]]] = True
    for boundary in deaths[lane]:
      if boundary:  # The action before a boundary step ended the episode.
        discounts[lane, boundary - 1] = 0
  rewards = rng.normal(size=(lanes, steps, len(STREAMS)))
  values = rng.normal(size=(lanes, steps + 1, len(STREAMS)))
  return rewards, values, discounts, is_boundary


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_equal_averages_of_returns_episode_by_episode(dtype):
  window = make_window(
    deaths=[[], [4], [], [0, 3, 7], [2], [11], []],
    limits=[[], [], [4], [9], [6, 8], [1], [0, 11]],
  )
  found = advantages.estimate(
    STREAMS, *(tf.constant(p, dtype) for p in window[:3]), window[3], LAMBDA
  )
  tolerance = 1e-6 if dtype == 'float64' else 2e-6
  np.testing.assert_allclose(found, reference(*window), atol=tolerance)


def test_a_time_limit_is_no_death():
  """A reward of -1 for ever, as MountainCar's, and the values that follow."""
  gamma = 0.99
  stream = advantages.Stream('extrinsic', gamma)
  rewards = np.full([1, 6, 1], -1.0)
  rewards[0, 3] = 0  # The boundary step's.
  values = np.full([1, 7, 1], -1 / (1 - gamma))
  is_boundary = np.arange(6)[None] == 3
  for discount, expected in ((1.0, 0.0), (0.0, gamma / (1 - gamma))):
    discounts = np.ones([1, 6])
    discounts[0, 2] = discount
    found = advantages.estimate(
      [stream],
      *map(tf.constant, (rewards, values, discounts)),
      is_boundary,
      1.0,
    )[0, :, 0].numpy()
    assert found[2] == pytest.approx(expected, abs=1e-9)
    np.testing.assert_allclose(found[3:], 0, atol=1e-9)


def test_the_limit_of_mountain_car_is_no_death():
  """Real play: 2 lanes of an untrained policy, 200 steps until the limit."""
  lanes, steps = 2, 450
  games = gym_lanes.Lanes('gym:MountainCar-v0', lanes)
  bridge = vector_bridge.VectorBridge(games, games.time_limit, pickles=False)
  kind = actions.make(bridge.action_space)
  agent = ppo.PPOAgent(
    tf_agents.time_step_spec(bridge.spec),
    kind,
    network.ActorCritic(kind.size, 1, (8,)),
    seed=3,
  )
  head = agent.network.value_head
  head.bias.assign([-20.0])  # Values that matter at the limits.
  player = collector.Collector(bridge, agent, lanes, 0)
  window = tf.function(player.collect, autograph=False)(steps)
  found = window.experience
  boundaries = found.is_boundary().numpy()
  np.testing.assert_array_equal(
    np.flatnonzero(boundaries.all(0)), [200, 200 + 1 + 200]
  )
  np.testing.assert_array_equal(found.discount, np.ones([lanes, steps]))
  stream = advantages.Stream('extrinsic', 0.99)
  values = np.concatenate(
    [found.policy_info['values'], window.final_values[:, None]], 1
  ).astype(np.float64)
  rewards = found.reward.numpy().astype(np.float64)[..., None]
  got = advantages.estimate(
    [stream],
    tf.constant(rewards),
    tf.constant(values),
    found.discount,
    found.is_boundary(),
    LAMBDA,
  )
  expected = np.zeros_like(rewards)
  for lane in range(lanes):
    for start, end in ((0, 200), (201, 401), (402, steps)):
      expected[lane, start:end, 0] = average_returns(
        rewards[lane, start:end, 0],
        values[lane, start : end + 1, 0],
        1.0,
        stream.discount,
      )
  np.testing.assert_allclose(got, expected, atol=1e-6)
  # Had the limits been deaths, the last steps before them would differ.
  assert np.abs(expected[:, 199] - (-1 - values[:, 199])).min() > 10
