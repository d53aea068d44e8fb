"""V: published size, shapes, and its loss against NumPy."""

import keras
import numpy as np
import pytest

from nca_tf.world_model import codec
from nca_tf.world_model import vision as vision_lib


@pytest.fixture(scope='module')
def frames():
  return np.random.default_rng(0).integers(
    0, 256, (5, 64, 64, 3), dtype=np.uint8
  )


@pytest.fixture(scope='module')
def light():
  keras.utils.set_random_seed(1)
  vision = vision_lib.VisionModel(8, 'light')
  vision.build()
  return vision


def test_reference_has_the_published_number_of_parameters():
  vision = vision_lib.VisionModel(64)
  vision.build()
  assert vision.count_params() == 4_446_915


def test_light_is_a_tenth_of_the_reference():
  vision = vision_lib.VisionModel(64, 'light')
  vision.build()
  assert vision.count_params() < 4_446_915 / 9


@pytest.mark.parametrize('architecture', vision_lib.ARCHITECTURES)
def test_shapes_and_range(architecture, frames):
  vision = vision_lib.VisionModel(8, architecture)
  mean, log_variance = vision.encode(frames / np.float32(255))
  assert mean.shape == log_variance.shape == (5, 8)
  decoded = np.asarray(vision.decode(mean))
  assert decoded.shape == (5, 64, 64, 3)
  assert 0 <= decoded.min() and decoded.max() <= 1


def test_loss_against_numpy():
  random = np.random.default_rng(2)
  frames, drawn = random.random((2, 3, 64, 64, 3)).astype(np.float32)
  mean, log_variance = random.normal(size=(2, 3, 4)).astype(np.float32)
  loss = vision_lib.vision_loss(frames, drawn, mean, log_variance)
  kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(1)
  squares = ((frames - drawn) ** 2).sum((1, 2, 3)).mean()
  np.testing.assert_allclose(loss.reconstruction, squares, rtol=1e-5)
  np.testing.assert_allclose(loss.kl, kl.mean(), rtol=1e-5)
  np.testing.assert_allclose(
    loss.total, squares + np.maximum(kl, 2).mean(), rtol=1e-5
  )


def test_kl_below_the_floor_costs_the_floor():
  nothing = np.zeros((1, 64, 64, 3), np.float32)
  prior = np.zeros((1, 4), np.float32)
  loss = vision_lib.vision_loss(nothing, nothing, prior, prior)
  assert float(loss.kl) == 0
  assert float(loss.total) == 4 * 0.5


def test_codec_equals_the_model_for_any_number_of_frames(light, frames):
  small = codec.Codec(light, batch=2)  # 5 frames: the last batch is filled up
  mean, log_variance = small.encode(frames)
  wanted = light.encode(frames / np.float32(255))
  np.testing.assert_allclose(mean, wanted[0], atol=1e-5)
  np.testing.assert_allclose(log_variance, wanted[1], atol=1e-5)
  drawn = small.decode(mean)
  assert drawn.dtype == np.uint8 and drawn.shape == frames.shape
  np.testing.assert_allclose(
    drawn / 255.0, np.asarray(light.decode(mean)), atol=0.5 / 255 + 1e-5
  )


def test_keras_file_round_trip(light, frames, tmp_path):
  path = tmp_path / 'vision.keras'
  light.save(path)
  loaded = keras.saving.load_model(path)
  wanted = light.encode(frames / np.float32(255))[0]
  np.testing.assert_array_equal(
    loaded.encode(frames / np.float32(255))[0], wanted
  )


def test_unknown_architecture_is_named():
  with pytest.raises(ValueError, match="architecture .* got 'deep'"):
    vision_lib.VisionModel(8, 'deep')
