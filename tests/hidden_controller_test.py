"""The controller with a hidden layer against NumPy, and through a search."""

import numpy as np
import pytest
import tensorflow as tf
import tiny_world_models

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments import workers
from nca_tf.environments.workers import saved_agent
from nca_tf.experiments.controller import dream_agent
from nca_tf.experiments.controller import run as run_lib
from nca_tf.experiments.controller import search
from nca_tf.experiments.controller import settings
from nca_tf.world_model import controller as controller_lib
from nca_tf.world_model import hidden_controller

SIZES = {'z': 3, 'h': 4}
UNITS = 5
KINDS = [
  (3,),
  (1,),
  (0, 'continuous'),
  (0, 'continuous', 3),
  (4, 'discrete', 1, False),
]


def sums_of(controller, parameters, inputs):
  """Sums [R] of one row, by NumPy."""
  rows, features = controller.rows, inputs.size
  count = rows * (features + 1)
  linear = parameters[:count].reshape(rows, features + 1)
  rest = parameters[count:]
  inward = rest[: UNITS * features].reshape(UNITS, features)
  rest = rest[UNITS * features :]
  bias, outward = rest[:UNITS], rest[UNITS:].reshape(rows, UNITS)
  units = np.tanh(inward @ inputs + bias)
  return linear[:, :-1] @ inputs + linear[:, -1] + outward @ units


@pytest.fixture(params=KINDS, ids=str)
def controller(request):
  return hidden_controller.HiddenController(SIZES, *request.param, hidden=UNITS)


@pytest.mark.parametrize('each', [False, True], ids=['shared', 'of each row'])
def test_sums_are_those_of_the_equation(controller, each):
  rng = np.random.default_rng(0)
  features = {name: rng.normal(size=(6, n)) for name, n in SIZES.items()}
  shape = (6, controller.size) if each else (controller.size,)
  parameters = rng.normal(size=shape)
  inputs = np.concatenate([features['z'], features['h']], -1)
  wanted = [
    sums_of(controller, row, seen)
    for row, seen in zip(
      np.broadcast_to(parameters, (6, controller.size)), inputs, strict=True
    )
  ]
  found = controller.activate(parameters, features)
  if controller.rows == 1:
    found = found[:, None]
  np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_it_begins_as_the_linear_controller_of_zeros(controller):
  first = controller.initial(3)
  assert first.dtype == np.float32 and first.shape == (controller.size,)
  np.testing.assert_array_equal(first, controller.initial(3))
  assert np.any(first != controller.initial(4))
  features = {name: tf.ones([2, n]) for name, n in SIZES.items()}
  assert not np.any(controller.activate(first, features))


def test_every_weight_learns_once_the_last_layer_has_moved(controller):
  network = dream_agent.DreamActor(controller)
  network.build((7,))
  first = controller.initial(0)
  first[-controller.rows * UNITS :] = 0.1
  network.weights_of_controller.assign(first)
  seen = tf.random.stateless_normal([20, 7], [1, 2])
  with tf.GradientTape() as tape:
    parameters, _, _ = network.step(seen, None, [])
    loss = tf.reduce_sum(tf.square(parameters[:, :-1] - 1))
  gradient = tape.gradient(loss, network.weights_of_controller.value)
  assert np.all(gradient.numpy() != 0)


@pytest.mark.parametrize('hidden', [0, -1, 2.5, True, '3', None])
def test_units_are_an_integer_of_at_least_one(hidden):
  with pytest.raises(ValueError, match='hidden must be'):
    hidden_controller.HiddenController(SIZES, 3, hidden=hidden)


def test_a_linear_controller_has_none():
  controller = controller_lib.LinearController(SIZES, 3)
  assert controller.hidden == 0 and not np.any(controller.initial(1))


FLAGS = (
  '--preset=smoke',
  '--iterations=1',
  '--evolutions=1',
  '--generations=1',
  '--check_episodes=0',
  '--final_episodes=1',
  '--processes=1',
)


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  return tiny_world_models.train(tmp_path_factory.mktemp('search') / 'model')


def resolve(model, *flags):
  argv = *FLAGS, f'--world_model={model}', *flags
  return config_flags.resolve(settings.Config, argv)


@pytest.fixture(scope='module')
def linear(model):
  """The run of a linear agent."""
  folder = model.with_name('linear')
  run_lib.run(resolve(model, '--optimizer=ppo', f'--run_dir={folder}'))
  return folder


def test_a_search_ends_with_an_agent_of_it(model, tmp_path):
  config = resolve(
    model, '--optimizer=ppo', '--hidden=4', f'--run_dir={tmp_path / "run"}'
  )
  run_lib.run(config)
  info = saved_agent.read_info(tmp_path / 'run')
  assert info['hidden'] == 4
  options = {'frame_skip': info['frame_skip'], **info['options']}
  played = workers.play('vizdoom', str(tmp_path / 'run'), [1], options=options)
  assert len(list(played)) == 1


def test_evolution_refuses_one(model):
  with pytest.raises(faults.UsageError, match='--hidden must be 0 with --opt'):
    resolve(model, '--hidden=8')


@pytest.mark.parametrize('hidden', [0, 4])
def test_a_search_begins_from_the_weights_of_an_agent(model, linear, hidden):
  config = resolve(model, f'--initial_agent={linear}')
  sizes = {'z': 8, 'h': 16}
  given = (hidden_controller.HiddenController, {'hidden': hidden})
  kind, units = given if hidden else (controller_lib.LinearController, {})
  controller = kind(sizes, 3, **units)
  wanted = saved_agent.SavedAgent(linear).parameters
  found = search.read_start(config, controller)
  assert found.shape == (controller.size,)
  np.testing.assert_array_equal(found[: len(wanted)], wanted)
  assert np.any(wanted) and bool(hidden) == bool(np.any(found[len(wanted) :]))


def test_evolution_goes_on_from_what_ppo_found(model, linear, tmp_path):
  run_lib.run(
    resolve(
      model,
      f'--initial_agent={linear}',
      '--sigma=0.000001',
      '--action_noise=0.4',
      f'--run_dir={tmp_path / "run"}',
    )
  )
  np.testing.assert_allclose(
    saved_agent.SavedAgent(tmp_path / 'run').parameters,
    saved_agent.SavedAgent(linear).parameters,
    atol=1e-4,
  )


def test_weights_of_another_size_are_refused(model, linear):
  config = resolve(model, f'--initial_agent={linear}')
  controller = controller_lib.LinearController({'z': 9, 'h': 16}, 3)
  with pytest.raises(faults.UsageError, match='--initial_agent must have 26 p'):
    search.read_start(config, controller)


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (('--initial_agent=nowhere',), '--initial_agent: folder must hold an'),
    (('--features=h',), r"--initial_agent must have features \['h'\], got"),
    (('--optimizer=ppo', '--action_noise=1'), '--action_noise must be 0 with'),
    (('--in=game', '--action_noise=1'), '--action_noise must be 0 with'),
    (('--action_noise=-1',), '--action_noise must be'),
    (('--hidden=-1',), '--hidden must be'),
    (('--hidden=2.5',), '--hidden must be'),
  ],
)
def test_bad_input_is_one_line(model, linear, flags, message):
  with pytest.raises(faults.UsageError, match=message) as caught:
    resolve(model, f'--initial_agent={linear}', *flags)
  assert '\n' not in str(caught.value)
