"""SavedModels answer as the live models do, where only TensorFlow is there."""

import os
import subprocess
import sys
import textwrap

import keras
import memory_models
import numpy as np
import pytest
import tensorflow as tf

from nca_tf import random_tensors
from nca_tf.memory import cells
from nca_tf.saved_models import export
from nca_tf.world_model import codec
from nca_tf.world_model import imagination
from nca_tf.world_model import vision as vision_lib

LATENT, ACTIONS, STEPS = 4, 3, 5
BATCHES = (1, 5, 17)
ROWS = random_tensors.normal_rows

# Runs far from the checkout, with every package but TensorFlow's own blocked.
CLIENT = textwrap.dedent("""
  import sys

  class Block:
    def find_spec(self, name, path=None, target=None):
      if name.split('.')[0] in (
        'nca_tf', 'tf_keras', 'tf_agents', 'tensorflow_probability'
      ):
        raise ImportError(name)

  sys.meta_path.insert(0, Block())
  import numpy as np
  import tensorflow as tf

  folder = sys.argv[1]
  inputs = dict(np.load(folder + '/inputs.npz'))
  outputs = {}
  for name in ('vision', 'model'):
    loaded = tf.saved_model.load(folder + '/' + name)
    for signature, function in loaded.signatures.items():
      for batch in (1, 5, 17):
        start = f'{signature}/{batch}/'
        arguments = {
          key[len(start):]: tf.constant(value)
          for key, value in inputs.items() if key.startswith(start)
        }
        for key, value in function(**arguments).items():
          outputs[start + key] = value.numpy()
  np.savez(folder + '/outputs.npz', **outputs)
""")


def _inputs(state):
  random = np.random.default_rng(0)
  inputs = {}
  for batch in BATCHES:
    frames = random.integers(0, 256, (batch, 64, 64, 3), dtype=np.uint8)
    z = random.normal(size=(batch, LATENT)).astype(np.float32)
    action = np.eye(ACTIONS, dtype=np.float32)[
      random.integers(ACTIONS, size=(batch, STEPS))
    ]
    inputs[f'encode/{batch}/frames'] = frames
    inputs[f'decode/{batch}/z'] = z
    inputs[f'initial_state/{batch}/batch'] = np.int32(batch)
    seen = {
      'z': z,
      'is_first': np.arange(batch) % 2 == 0,
      **{name: part[:batch] for name, part in state.items()},
    }
    drawn = {
      'temperature': np.float32(1.15),
      'seed': np.array([3, batch], np.int32),
      **seen,
    }
    for name, value in seen.items():
      inputs[f'predict/{batch}/{name}'] = value
    for name, value in drawn.items():
      inputs[f'step/{batch}/{name}'] = value
      inputs[f'dream/{batch}/{name}'] = value
    inputs[f'predict/{batch}/action'] = action[:, 0]
    inputs[f'step/{batch}/action'] = action[:, 0]
    inputs[f'dream/{batch}/action'] = action
  return inputs


def _state(model):
  """A state reached by some steps, so that the DNC's memory is not empty."""
  random = np.random.default_rng(1)
  z = random.normal(size=(17, 4, LATENT)).astype(np.float32)
  action = np.zeros((17, 4, ACTIONS), np.float32)
  first = np.zeros((17, 4), bool)
  _, state = model.unroll(z, action, first, model.initial(17))
  names = cells.state_names(model.cell)
  return {
    name: np.asarray(part) for name, part in zip(names, state, strict=True)
  }


@pytest.fixture(scope='module', params=memory_models.KINDS)
def exported(request, tmp_path_factory):
  """Live models, the inputs and what the other process answered."""
  keras.utils.set_random_seed(0)
  folder = tmp_path_factory.mktemp(request.param)
  vision = vision_lib.VisionModel(LATENT, 'light')
  vision.build()
  model = memory_models.make(request.param, LATENT, ACTIONS, reward=True)
  export.export_vision(vision, folder / 'vision')
  export.export_model(model, folder / 'model')
  inputs = _inputs(_state(model))
  np.savez(folder / 'inputs.npz', **inputs)
  clean = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(('TF_', 'KERAS_', 'PYTHON'))
  }
  subprocess.run(
    [sys.executable, '-c', CLIENT, str(folder)],
    cwd=folder,
    env=clean,
    check=True,
  )
  with np.load(folder / 'outputs.npz') as outputs:
    return vision, model, inputs, dict(outputs)


@pytest.mark.parametrize('batch', BATCHES)
def test_vision_equals_the_live_one(exported, batch):
  vision, _, inputs, outputs = exported
  live = codec.Codec(vision, batch=batch)
  mean, log_variance = live.encode(inputs[f'encode/{batch}/frames'])
  np.testing.assert_allclose(outputs[f'encode/{batch}/mean'], mean, atol=1e-5)
  np.testing.assert_allclose(
    outputs[f'encode/{batch}/log_variance'], log_variance, atol=1e-5
  )
  frames = live.decode(inputs[f'decode/{batch}/z'])
  difference = outputs[f'decode/{batch}/frames'].astype(int) - frames
  assert np.abs(difference).max() <= 1  # a rounding to uint8 at a border


def _argument(inputs, signature, batch, model):
  start = f'{signature}/{batch}/'
  state = [
    tf.constant(inputs[start + name]) for name in cells.state_names(model.cell)
  ]
  names = ('z', 'action', 'is_first', 'temperature', 'seed')
  z, action, is_first, temperature, seed = (
    tf.constant(inputs[start + name]) for name in names
  )
  return z, action, is_first, state, temperature, seed


@pytest.mark.parametrize('batch', BATCHES)
def test_initial_state_is_the_cells(exported, batch):
  _, model, _, outputs = exported
  names = cells.state_names(model.cell)
  for name, part in zip(names, model.initial(batch), strict=True):
    np.testing.assert_array_equal(
      outputs[f'initial_state/{batch}/{name}'], part
    )


@pytest.mark.parametrize('batch', BATCHES)
def test_step_equals_the_live_model(exported, batch):
  _, model, inputs, outputs = exported
  arguments = _argument(inputs, 'step', batch, model)
  z, action, is_first, state, temperature, seed = arguments
  prediction, state = model.step(z, action, is_first, state)
  drawn = model.latent_head.sample(prediction.latent, seed, temperature, ROWS)
  wanted = {
    'next_mean': model.latent_head.mean(prediction.latent),
    'done_probability': tf.sigmoid(prediction.done_logit),
    'reward': prediction.reward,
  }
  names = cells.state_names(model.cell)
  wanted |= {
    f'next_{name}': part for name, part in zip(names, state, strict=True)
  }
  parameters = prediction.latent._asdict()
  parameters.pop('context', None)
  for signature, further in (
    ('step', {'next_z': drawn}),
    ('predict', parameters),
  ):
    further = wanted | further
    start = f'{signature}/{batch}/'
    assert {key for key in outputs if key.startswith(start)} == {
      start + name for name in further
    }
    for name, value in further.items():
      np.testing.assert_allclose(outputs[start + name], value, atol=1e-5)


@pytest.mark.parametrize('batch', BATCHES)
def test_dream_is_its_own_steps(exported, batch):
  _, model, inputs, outputs = exported
  arguments = _argument(inputs, 'dream', batch, model)
  z, action, is_first, state, temperature, seed = arguments
  for t in range(STEPS):
    prediction, carry = imagination.step(
      model,
      imagination.Carry(z, state, is_first),
      action[:, t],
      lambda latent, t=t: model.latent_head.sample(
        latent, seed + [0, t], temperature, ROWS
      ),
    )
    z, state, is_first = carry
    np.testing.assert_allclose(outputs[f'dream/{batch}/z'][:, t], z, atol=1e-5)
    np.testing.assert_allclose(
      outputs[f'dream/{batch}/done_probability'][:, t],
      tf.sigmoid(prediction.done_logit),
      atol=1e-5,
    )


def test_a_half_written_export_is_replaced(exported, tmp_path):
  vision = exported[0]
  (tmp_path / 'vision.partial').mkdir()
  (tmp_path / 'vision.partial' / 'torn').write_text('x')
  export.export_vision(vision, tmp_path / 'vision')
  assert not (tmp_path / 'vision.partial').exists()
  assert set(tf.saved_model.load(tmp_path / 'vision').signatures) == {
    'encode',
    'decode',
  }
