"""Numbers that V, M, C, their dreams and codings are made with."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from nca_tf.memory import cells
from nca_tf.world_model import codec
from nca_tf.world_model import controller
from nca_tf.world_model import dream
from nca_tf.world_model import forecast
from nca_tf.world_model import imagination
from nca_tf.world_model import mixture
from nca_tf.world_model import model as model_lib
from nca_tf.world_model import vision
from nca_tf.world_model.states import codings
from nca_tf.world_model.states import layout

Z, A, UNITS = 3, 2, 4
LAYOUT = layout.Layout(size=3)


def make_model(name='latent_size', value=Z):
  sizes = {'latent_size': Z, 'action_size': A, name: value}
  made = model_lib.MemoryModel(cells.make('lstm', UNITS), **sizes)
  made.build()
  return made


MODEL = make_model()
STARTS = np.zeros((2, 5, Z), np.float32)


def make_dream(**options):
  return dream.Dream(MODEL, STARTS, **{'horizon': 2, **options})


def read_model(name):
  def read(value):
    made = make_model(name, value)
    head = {'mixtures': made.latent_head.components}
    return head[name] if name in head else getattr(made, name)

  return read


def play(lanes):
  found = make_dream().play(
    dream.replay(tf.zeros([2, 2, A])),
    1,
    make_dream().make_noise(2, 0),
    lanes,
  )
  return found.scores.shape[1]


def imagine(length):
  carry = imagination.Carry(
    tf.zeros([2, Z]), MODEL.initial(2), tf.ones([2], tf.bool)
  )
  found, _ = imagination.imagine(
    MODEL,
    carry,
    lambda t, carry: tf.zeros([2, A]),
    length,
    lambda latent, t: mixture.mixture_mean(latent),
  )
  return found.z.shape[1]


def look_ahead(horizon):
  episodes = forecast.Episodes(
    z=np.zeros((1, forecast.CHUNK + 1, Z), np.float32),
    action=np.zeros((1, forecast.CHUNK + 1, A), np.float32),
    is_first=np.zeros((1, forecast.CHUNK + 1), bool),
    frames=np.array([forecast.CHUNK + 1]),
    ended=np.array([False]),
  )
  return forecast.forecast(MODEL, episodes, horizon).open_loop.shape[2]


# By the name in the message: who takes such a number, and gives it back.
INTEGERS = {
  'dimensions': lambda n: mixture.MixtureHead(n).dimensions,
  'components': lambda n: mixture.MixtureHead(2, n).components,
  'components of a coding': lambda n: (
    codings.MixtureCoding(LAYOUT, n)._components
  ),
  'latent_size': lambda n: vision.VisionModel(n, 'light').latent_size,
  'latent_size of M': read_model('latent_size'),
  'action_size': read_model('action_size'),
  'mixtures': read_model('mixtures'),
  'size of z': lambda n: controller.LinearController({'z': n}, 3).sizes['z'],
  'actions': lambda n: controller.LinearController({'z': 2}, n).actions,
  'batch': lambda n: codec.Codec(VISION, n)._batch,
  'horizon': lambda n: make_dream(horizon=n).horizon,
  'horizon of a forecast': look_ahead,
  'lanes': lambda n: make_dream().reset(n, 0)[0].z.shape[0],
  'lanes of a loop': play,
  'rollouts': lambda n: make_dream().make_noise(n, 0).start.shape[0],
  'length': imagine,
  'size': lambda n: layout.Layout(n).size,
  'agents': lambda n: layout.Layout(agents=n).find('alive').size,
  'enemies': lambda n: layout.Layout(enemies=n).find('enemies').size,
  'codes': lambda n: layout.Layout(codes=n).find('board').classes,
}
REALS = {
  'temperature': lambda x: make_dream(temperature=x).temperature,
  'done_weight': lambda x: float(np.exp(make_dream(done_weight=x)._shift)),
}
BOOLEANS = {
  'joint': lambda flag: mixture.MixtureHead(2, joint=flag).joint,
  'reward': lambda flag: make_model('reward', flag).reward_head is not None,
}
VISION = vision.VisionModel(2, 'light')


@pytest.mark.parametrize('name', INTEGERS)
def test_an_integer_of_any_library_is_an_integer(name):
  for value in (2, np.int64(2), np.uint8(2), np.array(2), tf.constant(2)):
    found = INTEGERS[name](value)
    assert found == 2, value
    assert json.dumps(found) == '2'


@pytest.mark.parametrize('name', INTEGERS)
@pytest.mark.parametrize('value', [-1, 2.5, 2.0, True, '2', None, np.nan])
def test_no_other_value_is_a_size(name, value):
  word = name.split(' of a ')[0].removesuffix(' of M')
  with pytest.raises(ValueError, match=f'{word} must be an integer of at leas'):
    INTEGERS[name](value)


@pytest.mark.parametrize('name', REALS)
def test_reals(name):
  for value in (2, np.float32(2), np.float64(2), np.int8(2), tf.constant(2.0)):
    found = REALS[name](value)
    assert type(found) is float and found == pytest.approx(2, rel=1e-12)
  for value in (0, -1, True, '1', None, np.nan, np.inf):
    with pytest.raises(ValueError, match=f'{name} must be a finite number abo'):
      REALS[name](value)


@pytest.mark.parametrize('name', BOOLEANS)
def test_booleans(name):
  assert BOOLEANS[name](np.True_) is True
  for value in (1, 'no', None):
    with pytest.raises(ValueError, match=f'{name} must be True or False'):
      BOOLEANS[name](value)


def test_a_sweep_s_numbers_come_back_from_keras_files(tmp_path):
  """NumPy's numbers once stood in the configuration, which is JSON."""
  head = mixture.MixtureHead(np.int64(2), np.int32(3), np.bool_(True))
  made = vision.VisionModel(np.int64(3), 'light')
  made.build()
  for layer in (head, made):
    config = json.loads(json.dumps(layer.get_config()))
    assert type(layer).from_config(config).get_config() == config
  made.save(tmp_path / 'vision.keras')
  loaded = keras.saving.load_model(tmp_path / 'vision.keras')
  assert loaded.latent_size == 3


@pytest.mark.parametrize('cell', cells.names())
@pytest.mark.parametrize('kernel', ['auto', 'plain'])
def test_states_of_another_precision_are_cast_as_inputs_are(cell, kernel):
  keras.utils.set_random_seed(0)
  sizes = {'memory_slots': 4, 'word_size': 3, 'read_heads': 2}
  model = model_lib.MemoryModel(cells.make(cell, UNITS, **sizes), Z, A)
  model.build()
  random = np.random.default_rng(0)
  z, action = random.normal(size=(2, 2, Z)), random.normal(size=(2, 2, A))
  is_first = np.zeros((2, 2), bool)
  state = [part + 0.1 for part in model.initial(2)]
  wide = [np.asarray(part, np.float64) for part in state]
  found = {}
  for name, given in (('own', state), ('wide', wide)):
    single = model.step(z[:, 0], action[:, 0], is_first[:, 0], given)
    whole = model.unroll(z, action, is_first, given, kernel=kernel)
    carry = imagination.Carry(z[:, 0], given, tf.constant(is_first[:, 0]))
    imagined = imagination.imagine(
      model,
      carry,
      imagination.replay(tf.constant(action)),
      2,
      imagination.sampler(model, 1.0, (1, 2)),
    )
    found[name] = keras.tree.flatten(
      [single, whole, tuple(imagined), model.features(given)]
    )
  for one, other in zip(found['own'], found['wide'], strict=True):
    if one is not None:
      assert one.dtype == other.dtype != tf.float64
      np.testing.assert_array_equal(one, other)
  with pytest.raises(ValueError, match=r'state must be \d+ tensors, got 1'):
    model.step(z[:, 0], action[:, 0], is_first[:, 0], wide[:1])


@pytest.mark.parametrize(
  ('frames', 'message'),
  [
    (np.zeros((2, 64, 64, 3), np.float32), 'frames must be uint8, .* float32'),
    (
      np.zeros((2, 62, 64, 3), np.uint8),
      r'shape \[F, 64, 64, 3\], got \[2, 62',
    ),
    (np.zeros((64, 64, 3), np.uint8), r'shape \[F, .*\], got \[64, 64, 3\]'),
  ],
)
def test_frames_that_are_none_are_refused(frames, message):
  with pytest.raises(ValueError, match=message):
    codec.Codec(VISION, 2).encode(frames)


def test_no_frames_are_no_latents():
  coder = codec.Codec(VISION)
  mean, log_variance = coder.encode(np.zeros((0, 64, 64, 3), np.uint8))
  assert mean.shape == log_variance.shape == (0, 2)
  assert mean.dtype == np.float32
  drawn = coder.decode(mean)
  assert drawn.shape == (0, 64, 64, 3) and drawn.dtype == np.uint8
  with pytest.raises(ValueError, match=r'z must be of shape \[F, 2\], got'):
    coder.decode(np.zeros((1, 3), np.float32))
