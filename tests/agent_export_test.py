"""Agents' SavedModels act as V, M and C do, where only TensorFlow is there."""

import os
import pathlib
import subprocess
import sys

import alone
import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.utils import seeding
from PIL import Image

from nca_tf import environments
from nca_tf.environments.workers import episode
from nca_tf.environments.workers import player
from nca_tf.environments.workers import saved_agent
from nca_tf.memory import cells
from nca_tf.saved_models import export
from nca_tf.saved_models import screen as screen_lib
from nca_tf.world_model import agent as agent_lib
from nca_tf.world_model import controller as controller_lib
from nca_tf.world_model import model as model_lib
from nca_tf.world_model import vision as vision_lib

SCRIPT = pathlib.Path(__file__).parents[1] / 'testdata' / 'play_agent.py'
LATENT, UNITS, STEPS = 4, 8, 6
SPEC = environments.get_spec('vizdoom')
INFO = {'env': 'vizdoom', 'action_kind': 'discrete', 'frame_skip': 1}


@pytest.fixture(scope='module', params=cells.names())
def made(request, tmp_path_factory):
  """V, M, C, its parameters, and the folder of their agent."""
  keras.utils.set_random_seed(3)
  vision = vision_lib.VisionModel(LATENT, 'light')
  vision.build()
  cell = cells.make(
    request.param, UNITS, memory_slots=6, word_size=4, read_heads=2
  )
  model = model_lib.MemoryModel(cell, LATENT, 3, 2)
  model.build()
  features = model.features(model.initial(1))
  sizes = {'z': LATENT, **{name: x.shape[-1] for name, x in features.items()}}
  controller = controller_lib.LinearController(sizes, 3)
  parameters = next(
    drawn
    for drawn in (
      random_parameters(controller.size, seed) for seed in range(50)
    )
    if takes_all_actions((vision, model, controller, drawn, None))
  )
  folder = tmp_path_factory.mktemp(request.param) / 'agent'
  agent = agent_lib.Agent(vision, model, controller)
  export.export_agent(agent, parameters, folder, INFO)
  return vision, model, controller, parameters, folder


def takes_all_actions(made):
  """Whether the controller does one thing here and another there."""
  actions, _ = live(made, random_frames(STEPS, 5), made[3])
  return set(actions.flat) == {0, 1, 2}


def random_parameters(*shape):
  """Large enough for different actions to be taken."""
  *shape, seed = shape
  values = np.random.default_rng(seed).normal(size=shape)
  return (3 * values).astype(np.float32)


def random_frames(*shape, seed=1):
  # Bright and dark ones, or V finds all noise alike.
  random = np.random.default_rng(seed)
  top = random.integers(1, 256, (*shape, 1, 1, 3))
  return (random.random((*shape, 64, 64, 3)) * top).astype(np.uint8)


def live(made, frames, parameters):
  """What V, M and C do on frames [T, B, ...], written out: actions, states."""
  vision, model, controller, _, _ = made
  state = model.initial(frames.shape[1])
  actions, states = [], []
  for t, frame in enumerate(frames):
    z, _ = vision.encode(tf.cast(frame, tf.float32) / 255)
    action = controller.act(parameters, {'z': z, **model.features(state)})
    first = tf.fill([frames.shape[1]], t == 0)
    _, state = model.step(z, tf.one_hot(action, 3), first, state)
    actions.append(action.numpy())
    states.append([part.numpy() for part in state])
  return np.stack(actions), states


@pytest.mark.parametrize('own', [True, False])
def test_acting_is_v_then_c_then_m(made, own):
  vision, model, controller, parameters, folder = made
  signatures = tf.saved_model.load(folder).signatures
  frames = random_frames(STEPS, 5)
  state = signatures['initial_state'](batch=tf.constant(5))
  assert state['is_first'].numpy().all()
  if own:
    extra = {}
  else:
    parameters = random_parameters(5, controller.size, 7)
    extra = {'parameters': tf.constant(parameters)}
  actions, states = live(made, frames, parameters)
  assert len(set(actions.flat)) > 1
  for t in range(STEPS):
    outputs = signatures['act' if own else 'act_as'](
      frames=tf.constant(frames[t]), **extra, **state
    )
    np.testing.assert_array_equal(outputs['action'], actions[t])
    assert outputs['action'].dtype == tf.int32
    state = {name: outputs[f'next_{name}'] for name in state}
    assert not state['is_first'].numpy().any()
    for name, part in zip(
      cells.state_names(model.cell), states[t], strict=True
    ):
      np.testing.assert_allclose(state[name], part, atol=1e-5)


def test_a_first_step_forgets_what_was_before(made):
  *_, folder = made
  signatures = tf.saved_model.load(folder).signatures
  frames = tf.constant(random_frames(40))
  fresh = signatures['initial_state'](batch=tf.constant(40))
  shifts = np.linspace(-1, 1, 40, dtype=np.float32)
  used = {
    name: part + shifts.reshape(-1, *[1] * (part.shape.rank - 1))
    for name, part in fresh.items()
    if name != 'is_first'
  }
  one, other, later = (
    signatures['act'](frames=frames, is_first=tf.fill([40], first), **state)
    for first, state in (
      (True, {name: fresh[name] for name in used}),
      (True, used),
      (False, used),
    )
  )
  for name, value in one.items():
    np.testing.assert_allclose(other[name], value, atol=1e-6)
  assert (later['action'].numpy() != one['action'].numpy()).any()


def test_the_screen_becomes_the_games_own_frame(made):
  *_, folder = made
  random = np.random.default_rng(2)
  screens = random.integers(0, 256, (4, 120, 160, 3), dtype=np.uint8)
  screens[1:] = screens[1:] // 128 * 255  # Hard edges.
  frames = np.stack(
    [
      Image.fromarray(screen[:100]).resize((64, 64), Image.Resampling.BILINEAR)
      for screen in screens
    ]
  )
  seen = screen_lib.observe(tf.constant(screens), SPEC)
  np.testing.assert_array_equal(seen, frames)
  signatures = tf.saved_model.load(folder).signatures
  state = signatures['initial_state'](batch=tf.constant(4))
  one = signatures['act_screen'](screen=tf.constant(screens), **state)
  other = signatures['act'](frames=tf.constant(frames), **state)
  for name, value in one.items():
    np.testing.assert_allclose(other[name], value, atol=1e-6)


def test_the_screen_becomes_the_games_band():
  screens = np.random.default_rng(2).integers(
    0, 256, (3, 120, 160, 3), dtype=np.uint8
  )
  shape, how = (128, 32), Image.Resampling.BILINEAR
  frames = [
    Image.fromarray(screen[34:66]).resize(shape, how) for screen in screens
  ]
  spec = environments.get_spec('vizdoom', view='band')
  seen = screen_lib.observe(tf.constant(screens), spec)
  np.testing.assert_array_equal(seen, np.stack(frames))


def test_the_policy_acts_as_the_signature(made):
  _, _, controller, _, folder = made
  policy = saved_agent.SavedAgent(folder)
  frames = random_frames(STEPS, 1)
  for given in (None, random_parameters(controller.size, 9)):
    parameters = made[3] if given is None else given
    policy.reset(np.random.default_rng(0), given)
    actions = [policy.act(frame[0]) for frame in frames]
    assert actions == live(made, frames, parameters)[0][:, 0].tolist()
  with pytest.raises(ValueError, match=r'of shape .*, got \[2\]'):
    policy.reset(None, np.zeros(2))


def test_the_description_says_what_it_was_made_for(made):
  vision, model, controller, parameters, folder = made
  info = saved_agent.read_info(folder)
  assert {name: info[name] for name in INFO} == INFO
  assert info['features'] == list(controller.sizes)
  assert info['parameters'] == controller.size
  again = folder.with_name('again')
  agent = agent_lib.Agent(vision, model, controller)
  trained = {**INFO, 'iterations': 3}
  export.export_agent(agent, parameters, again, trained)
  assert saved_agent.read_info(again) == {**info, 'iterations': 3}
  export.export_agent(agent, parameters + 1, again, trained)
  assert player.load(again).label != player.load(folder).label


@pytest.mark.parametrize(
  ('info', 'size', 'message'),
  [
    ({'env': 'vizdoom'}, 0, 'info must name action_kind, frame_skip'),
    ({**INFO, 'action_kind': 'continuous'}, 0, "action_kind 'discrete' of"),
    (INFO, 1, 'parameters must be of shape'),
  ],
)
def test_wrong_arguments_are_named(made, tmp_path, info, size, message):
  vision, model, controller, _, _ = made
  with pytest.raises(ValueError, match=message):
    export.export_agent(
      agent_lib.Agent(vision, model, controller),
      np.zeros(controller.size + size),
      tmp_path / 'agent',
      info,
    )
  assert not (tmp_path / 'agent').exists()


def test_continuous_agents_answer_numbers(made, tmp_path):
  vision, _, _, _, _ = made
  cell = cells.make('lstm', UNITS)
  model = model_lib.MemoryModel(cell, LATENT, 1, 2)
  model.build()
  controller = controller_lib.LinearController({'z': LATENT}, 3, 'continuous')
  parameters = random_parameters(controller.size, 0)
  info = {**INFO, 'action_kind': 'continuous'}
  agent = agent_lib.Agent(vision, model, controller)
  export.export_agent(agent, parameters, tmp_path / 'a', info)
  policy = saved_agent.SavedAgent(tmp_path / 'a')
  frames = random_frames(1, 1)[0]
  action = policy.act(frames[0])
  z, _ = vision.encode(tf.cast(frames, tf.float32) / 255)
  wanted = controller.act(parameters, {'z': z})[0]
  assert isinstance(action, np.float32)
  np.testing.assert_allclose(action, wanted, atol=1e-5)


def test_a_script_with_tensorflow_and_vizdoom_alone_plays(made, tmp_path):
  """The same game as in the library, from the screen that the engine draws."""
  *_, folder = made
  limit, seeds = 300, (1, 2)
  env = environments.make('vizdoom', time_limit=limit)
  policy = saved_agent.SavedAgent(folder)
  results = [episode.play(env, policy, 0, seed) for seed in seeds]
  env.close()
  clean = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(('TF_', 'KERAS_', 'PYTHON'))
  }
  engine_seeds = [
    str(seeding.np_random(seed)[0].integers(2**32)) for seed in seeds
  ]
  done = subprocess.run(
    [
      sys.executable,
      '-c',
      alone.BLOCK,
      str(SCRIPT),
      str(folder),
      *engine_seeds,
    ],
    cwd=tmp_path,
    env={**clean, 'TIME_LIMIT': str(limit)},
    check=True,
    stdout=subprocess.PIPE,
    text=True,
  )
  lines = done.stdout.splitlines()
  assert [int(line.split()[-1]) for line in lines[:-1]] == [
    result.tics for result in results
  ]
  assert lines[-1].startswith('mean ')
