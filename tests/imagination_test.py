"""M on its own against steps written out, with every registered cell."""

import memory_models
import numpy as np
import pytest
import tensorflow as tf

from nca_tf.world_model import dream
from nca_tf.world_model import imagination

BATCH, STEPS, LATENT, ACTIONS = 3, 5, 4, 2


@pytest.fixture(scope='module', params=memory_models.KINDS)
def model(request):
  return memory_models.make(request.param, LATENT, ACTIONS, reward=True)


@pytest.fixture
def carry(model):
  z = np.random.default_rng(1).normal(size=(BATCH, LATENT))
  is_first = tf.constant([True, False, True])
  return imagination.Carry(
    tf.constant(z, tf.float32), model.initial(BATCH), is_first
  )


def by_hand(model, carry, actions, seed, temperature):
  """Latents, done probabilities, rewards [B, T, ...] and the last state."""
  z, state, is_first = carry
  found = []
  for t in range(STEPS):
    prediction, state = model.step(z, actions[:, t], is_first, state)
    key = np.array([seed[0], seed[1] + t], np.int32)
    z = model.latent_head.sample(prediction.latent, key, temperature)
    is_first = tf.zeros_like(is_first)
    found.append((z, tf.sigmoid(prediction.done_logit), prediction.reward))
  return [np.stack(part, 1) for part in zip(*found, strict=True)], state


@pytest.mark.parametrize('compiled', [False, True])
def test_imagined_steps_are_those_of_m_on_its_own_draws(model, carry, compiled):
  random = np.random.default_rng(2)
  actions = np.eye(ACTIONS, dtype=np.float32)[
    random.integers(ACTIONS, size=(BATCH, STEPS))
  ]
  seed = tf.constant([3, 4])

  def imagine():
    return imagination.imagine(
      model,
      carry,
      imagination.replay(tf.constant(actions)),
      STEPS,
      imagination.sampler(model, 1.3, seed),
    )

  if compiled:
    imagine = tf.function(imagine, autograph=False, jit_compile=True)
  imagined, last = imagine()
  wanted, state = by_hand(model, carry, actions, (3, 4), 1.3)
  for part, value in zip(imagined, wanted, strict=True):
    np.testing.assert_allclose(part, value, atol=1e-5)
  for part, value in zip(last.memory, state, strict=True):
    np.testing.assert_allclose(part, value, atol=1e-5)
  np.testing.assert_allclose(last.z, wanted[0][:, -1], atol=1e-5)
  assert not last.is_first.numpy().any()


def test_a_policy_sees_what_m_imagined(model, carry):
  seen = []

  def policy(t, carry):
    seen.append(carry.z.shape)
    return tf.one_hot(tf.cast(carry.z[:, 0] > 0, tf.int32), ACTIONS)

  imagined, _ = imagination.imagine(
    model, carry, policy, 2, lambda latent, t: model.latent_head.mean(latent)
  )
  first, _ = model.step(
    carry.z,
    tf.one_hot(tf.cast(carry.z[:, 0] > 0, tf.int32), ACTIONS),
    carry.is_first,
    carry.memory,
  )
  mean = model.latent_head.mean(first.latent)
  np.testing.assert_allclose(imagined.z[:, 0], mean, atol=1e-6)
  assert seen[0] == (BATCH, LATENT)


def test_a_dream_pays_what_m_predicts(model):
  starts = np.zeros((2, 3, LATENT), np.float32)
  played = dream.Dream(model, tuple(starts), horizon=4)
  state, _ = played.reset(BATCH, seed=1)
  action = tf.one_hot([0, 1, 0], ACTIONS)
  wanted, _ = model.step(state.z, action, state.is_first, state.memory)
  following, _, reward, *_ = played.step(state, action, seed=2)
  np.testing.assert_allclose(reward, wanted.reward, atol=1e-6)
  assert np.abs(reward - following.survival).max() > 1e-3
