"""The linear controller against NumPy."""

import numpy as np
import pytest

from nca_tf.world_model import controller as controller_lib

SIZES = {'z': 3, 'h': 4}


@pytest.fixture
def features():
  random = np.random.default_rng(0)
  values = {
    name: random.normal(size=(9, size)).astype(np.float32)
    for name, size in {**SIZES, 'c': 5}.items()
  }
  return values


def activation(parameters, features):
  inputs = np.concatenate([features['z'], features['h']], -1)
  return np.tanh(inputs @ parameters[:-1] + parameters[-1])


def test_published_features_and_a_bias_are_1089_parameters():
  sizes = {'z': 64, 'h': 512, 'c': 512}
  assert controller_lib.LinearController(sizes, 3).size == 1089


def test_activation_is_cut_into_equal_bins(features):
  controller = controller_lib.LinearController(SIZES, 3)
  parameters = np.random.default_rng(1).normal(size=8).astype(np.float32)
  values = activation(parameters, features)
  expected = np.where(values < -1 / 3, 0, np.where(values < 1 / 3, 1, 2))
  np.testing.assert_array_equal(controller.act(parameters, features), expected)
  assert len(set(expected)) > 1


def test_every_row_can_have_parameters_of_its_own(features):
  controller = controller_lib.LinearController(SIZES, 5)
  parameters = np.random.default_rng(1).normal(size=(9, 8)).astype(np.float32)
  actions = controller.act(parameters, features).numpy()
  for row in range(9):
    only = {name: values[row : row + 1] for name, values in features.items()}
    assert actions[row] == controller.act(parameters[row], only).numpy()[0]


def test_extreme_activations_stay_within_the_actions(features):
  controller = controller_lib.LinearController(SIZES, 3)
  parameters = np.zeros(8, np.float32)
  for bias, action in ((1e6, 2), (-1e6, 0), (0, 1)):
    parameters[-1] = bias
    assert set(controller.act(parameters, features).numpy()) == {action}


def test_continuous_actions_are_the_activation(features):
  controller = controller_lib.LinearController(SIZES, 3, 'continuous')
  parameters = np.random.default_rng(1).normal(size=8).astype(np.float32)
  actions = controller.act(parameters, features)
  np.testing.assert_allclose(
    actions, activation(parameters, features), rtol=1e-5
  )
  assert controller.encode(actions).shape == (9, 1)


def test_each_component_has_weights_and_a_bias_of_its_own(features):
  controller = controller_lib.LinearController(SIZES, 0, 'continuous', 3)
  assert controller.size == 3 * 8
  random = np.random.default_rng(1)
  one, many = random.normal(size=24), random.normal(size=(9, 24))
  actions = controller.act(np.float32(one), features)
  for i, part in enumerate(one.reshape(3, 8)):
    expected = activation(part, features)
    np.testing.assert_allclose(actions[:, i], expected, rtol=1e-5)
  assert controller.encode(actions).shape == (9, 3)
  rows = controller.act(np.float32(many), features)
  for row in range(9):
    only = {name: values[row : row + 1] for name, values in features.items()}
    expected = [activation(part, only)[0] for part in many[row].reshape(3, 8)]
    np.testing.assert_allclose(rows[row], expected, rtol=1e-5)


def test_discrete_actions_are_fed_to_m_one_hot():
  controller = controller_lib.LinearController(SIZES, 3)
  np.testing.assert_array_equal(
    controller.encode(np.array([2, 0])), [[0, 0, 1], [1, 0, 0]]
  )


def test_what_does_not_fit_the_controller_is_named(features):
  controller = controller_lib.LinearController(SIZES, 3)
  with pytest.raises(ValueError, match='features must have z, h, h is missing'):
    controller.act(np.zeros(8, np.float32), {'z': features['z']})
  with pytest.raises(ValueError, match=r'of shape \[..., 8\], got \[9, 7\]'):
    controller.act(np.zeros((9, 7), np.float32), features)


@pytest.mark.parametrize(
  ('sizes', 'kind', 'message'),
  [
    ({}, 'discrete', 'sizes must name at least one feature, got none'),
    ({'z': 0}, 'discrete', 'size of z must be an integer of at least 1, got 0'),
    ({'z': 1}, 'fuzzy', "action_kind must be .*, got 'fuzzy'"),
  ],
)
def test_wrong_settings_are_refused(sizes, kind, message):
  with pytest.raises(ValueError, match=message):
    controller_lib.LinearController(sizes, 3, kind)


def test_of_actions_without_an_order_the_largest_sum_acts(features):
  controller = controller_lib.LinearController(SIZES, 4, ordered=False)
  assert controller.size == 4 * 8
  parameters = np.random.default_rng(1).normal(size=(9, 32)).astype(np.float32)
  inputs = np.concatenate([features['z'], features['h']], -1)
  rows = parameters.reshape(9, 4, 8)
  sums = np.einsum('brf,bf->br', rows[..., :-1], inputs) + rows[..., -1]
  actions = controller.act(parameters, features)
  np.testing.assert_array_equal(actions, sums.argmax(-1))
  assert len(set(actions.numpy())) > 2
  assert controller.encode(actions).shape == (9, 4)
  only = controller_lib.LinearController(SIZES, 1, ordered=False)
  assert not only.act(parameters[:, :8], features).numpy().any()


def test_an_index_has_no_components():
  with pytest.raises(ValueError, match='components must be 1 .*, got 2'):
    controller_lib.LinearController(SIZES, 3, 'discrete', 2)
  with pytest.raises(ValueError, match='components must be an int.*, got 0'):
    controller_lib.LinearController(SIZES, 0, 'continuous', 0)
