"""PPO: what its first epoch compares, what it learns, and what it refuses."""

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
from nca_tf.runs import checkpoints

LANES, STEPS = 8, 12
SPEC = tf_agents.time_step_spec(tf.TensorSpec((2,), tf.float32))
KIND = actions.make(Counting.action_space)


def make_cell(name):
  if name == 'none':
    return None
  return cells.make(name, 8, memory_slots=5, word_size=4, read_heads=1)


def make_agent(cell='none', **settings):
  actor = network.ActorCritic(KIND.size, 1, (8,), make_cell(cell))
  settings = ppo.Settings(learning_rate=1e-2, **settings)
  agent = ppo.PPOAgent(SPEC, KIND, actor, settings=settings, seed=1)
  agent.initialize()
  return agent


@pytest.mark.parametrize('cell', ['none', *cells.names()])
def test_in_the_first_epoch_no_probability_has_changed(cell, tmp_path):
  """Windows begin in the middle of episodes, and episodes end inside.

  So it is right after a resume as well.
  """
  agent = make_agent(cell)
  player = collector.Collector(Counting(), agent, LANES, 0)
  iterate = make_iterate(agent, player)
  iterate()
  check_iteration(agent, *iterate())
  ours = checkpoints.Checkpoints(tmp_path, agent=agent, player=player)
  ours.save(2)
  fresh = make_agent(cell)
  player = collector.Collector(Counting(), fresh, LANES, 0)
  theirs = checkpoints.Checkpoints(tmp_path, agent=fresh, player=player)
  assert theirs.restore() == 2
  check_iteration(fresh, *make_iterate(fresh, player)())


def make_iterate(agent, player):
  """Returns a function that plays a window and learns from it."""

  @tf.function(autograph=False)
  def iterate():
    window = player.collect(STEPS)
    found = window.experience
    parameters, _ = agent.network(
      agent.prepare(found.observation), found.is_first(), window.state
    )
    new = KIND.distribution(parameters).log_prob(found.action)
    before = [v.value + 0 for v in agent.network.trainable_variables]
    info = agent.train(
      found, state=window.state, final_values=window.final_values
    )
    ratios = tf.exp(new - found.policy_info['log_prob'])
    return ratios, found.is_first(), before, info.extra

  return iterate


def check_iteration(agent, ratios, is_first, before, info):
  """Before learning, probabilities were those of play; then all changed."""
  assert not np.all(is_first[:, 0]) and np.any(is_first[:, 1:])
  np.testing.assert_allclose(ratios, 1, atol=1e-6)
  for old, new in zip(before, agent.network.trainable_variables, strict=True):
    assert np.any(new.numpy() != old), new.path
  assert all(np.isfinite(value) for value in info.values())
  assert info['kl'] > 0  # Of later epochs.


def test_it_prefers_what_is_rewarded():
  """A bandit in a window: action 2 pays."""
  agent = make_agent(epochs=2)
  rng = np.random.default_rng(0)
  observation = tf.constant(rng.normal(size=(LANES, STEPS, 2)), tf.float32)
  learn = tf.function(agent.train, autograph=False)
  state = agent.collect_policy.get_initial_state(1)

  def chance():
    parameters, _, _ = agent.network.step(tf.zeros([1, 2]), [True], state)
    return float(KIND.distribution(parameters).prob(2)[0])

  start = chance()
  for _ in range(15):
    parameters, values = agent.network(
      agent.prepare(observation), tf.zeros([LANES, STEPS], tf.bool), state
    )
    distribution = KIND.distribution(parameters)
    action = tf.constant(rng.integers(3, size=(LANES, STEPS)), tf.int32)
    middle = tf.ones([LANES, STEPS], tf.int32)
    reward = tf.cast(action == 2, tf.float32)
    window = tf_agents.Trajectory(
      step_type=middle,
      observation=observation,
      action=action,
      policy_info={
        'log_prob': distribution.log_prob(action),
        'values': values,
      },
      next_step_type=middle,
      reward=reward,
      discount=tf.zeros([LANES, STEPS]),
    )
    learn(window, state=state, final_values=tf.zeros([LANES, 1]))
  assert start == pytest.approx(1 / 3, abs=0.02)
  assert chance() > 0.6


def test_boundary_steps_teach_nothing():
  agent = make_agent(normalizes=False)
  player = collector.Collector(Counting(), agent, LANES, 0)
  window = player.collect(STEPS)
  found = window.experience
  changed = tf.where(found.is_boundary(), (found.action + 1) % 3, found.action)
  batches = []
  agent._run_epochs = lambda batch, state: (
    batches.append(batch) or {'loss': tf.zeros([])}
  )
  for action in (found.action, changed):
    agent.train(
      found._replace(action=action),
      state=window.state,
      final_values=window.final_values,
    )
  losses = [agent._find_loss(batch, []) for batch in batches]
  for one, other in zip(*map(tf.nest.flatten, losses), strict=True):
    np.testing.assert_allclose(one, other, atol=1e-6)
  real = tf.boolean_mask(batches[0]['advantages'], ~found.is_boundary())
  assert np.mean(real) == pytest.approx(0, abs=1e-5)
  assert np.std(real) == pytest.approx(1, abs=1e-4)


def test_streams_and_values_have_to_agree():
  with pytest.raises(ValueError, match='must have 2 streams, got 1'):
    ppo.PPOAgent(
      SPEC, KIND, network.ActorCritic(3, 1), (ppo.EXTRINSIC, ppo.EXTRINSIC)
    )
