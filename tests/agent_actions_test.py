"""Distributions over actions against SciPy's."""

import gymnasium
import numpy as np
import pytest
import scipy.special
import scipy.stats

from nca_tf.agents import actions

RNG = np.random.default_rng(0)


def test_discrete_actions_are_a_softmax():
  kind = actions.make(gymnasium.spaces.Discrete(3))
  logits = RNG.normal(size=(4, 3)).astype('float32')
  taken = np.array([0, 2, 1, 1])
  found = kind.distribution(logits)
  logs = scipy.special.log_softmax(logits, -1)
  np.testing.assert_allclose(
    found.log_prob(taken), logs[range(4), taken], atol=1e-6
  )
  np.testing.assert_allclose(
    found.entropy(), scipy.stats.entropy(np.exp(logs), axis=-1), atol=1e-6
  )
  np.testing.assert_array_equal(found.mode(), logits.argmax(-1))
  assert found.sample(seed=[0, 1]).dtype == kind.spec.dtype


def test_several_actions_are_independent():
  kind = actions.make(gymnasium.spaces.MultiDiscrete([2, 4, 3]))
  assert kind.size == 9
  logits = RNG.normal(size=(5, 9)).astype('float32')
  parts = np.split(logits, [2, 6], -1)
  logs = [scipy.special.log_softmax(part, -1) for part in parts]
  taken = np.stack([RNG.integers(n, size=5) for n in (2, 4, 3)], -1)
  found = kind.distribution(logits)
  expected = sum(part[range(5), taken[:, i]] for i, part in enumerate(logs))
  np.testing.assert_allclose(found.log_prob(taken), expected, atol=1e-6)
  entropy = sum(scipy.stats.entropy(np.exp(part), axis=-1) for part in logs)
  np.testing.assert_allclose(found.entropy(), entropy, atol=1e-5)
  np.testing.assert_array_equal(
    found.mode(), np.stack([part.argmax(-1) for part in parts], -1)
  )
  drawn = found.sample(200, seed=[0, 1]).numpy()
  assert (drawn.max((0, 1)) == [1, 3, 2]).all()


def test_boxes_have_a_normal_distribution_in_their_own_units():
  low, high = np.array([-2, 0], 'float32'), np.array([2, 10], 'float32')
  kind = actions.make(gymnasium.spaces.Box(low, high))
  parameters = 0.5 * RNG.normal(size=(6, 4)).astype('float32')
  found = kind.distribution(parameters)
  mean = [0, 5] + np.array([2, 5]) * parameters[:, :2]
  deviation = np.array([2, 5]) * np.exp(parameters[:, 2:])
  taken = RNG.normal(size=(6, 2)).astype('float32')
  normal = scipy.stats.norm(mean, deviation)
  np.testing.assert_allclose(
    found.log_prob(taken), normal.logpdf(taken).sum(-1), rtol=1e-4
  )
  np.testing.assert_allclose(
    found.entropy(), normal.entropy().sum(-1), rtol=1e-5
  )
  np.testing.assert_allclose(found.mode(), mean, rtol=1e-5)


@pytest.mark.parametrize(
  'space',
  [
    gymnasium.spaces.Discrete(3, start=1),
    gymnasium.spaces.Box(-np.inf, np.inf, (2,)),
    gymnasium.spaces.Box(0, 1, (2, 2)),
    gymnasium.spaces.Dict({'a': gymnasium.spaces.Discrete(2)}),
    gymnasium.spaces.MultiBinary(3),
  ],
)
def test_other_actions_are_refused(space):
  with pytest.raises(ValueError, match='actions must be Discrete from 0'):
    actions.make(space)
