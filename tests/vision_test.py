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
  vision = vision_lib.VisionModel(16, architecture)
  shape = vision.observation_shape
  frames = frames.reshape(-1)[: 5 * np.prod(shape)].reshape(5, *shape)
  mean, log_variance = vision.encode(frames / np.float32(255))
  assert mean.shape == log_variance.shape == (5, 16)
  decoded = np.asarray(vision.decode(mean))
  assert decoded.shape == (5, *shape)
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


def test_columns_of_a_frame_are_columns_of_z():
  keras.utils.set_random_seed(2)
  vision = vision_lib.VisionModel(32, 'columns')
  frames = np.zeros((2, 32, 128, 3), np.float32)
  frames[1, :, 64:72] = 1  # Those of the ninth of sixteen parts.
  before, after = np.asarray(vision.encode(frames)[0]).reshape(2, 16, 2)
  changed = np.abs(after - before).max(1) > 0
  # Each sees its neighbours: three at either side at most.
  assert changed[7:10].all() and not changed[[*range(5), *range(12, 16)]].any()


def test_a_column_of_z_is_drawn_in_its_place():
  keras.utils.set_random_seed(2)
  vision = vision_lib.VisionModel(32, 'columns')
  z = np.zeros((2, 16, 2), np.float32)
  z[1, 8] = 3
  before, after = np.asarray(vision.decode(z.reshape(2, 32)))
  changed = np.abs(after - before).max((0, 2)) > 0
  assert changed[64:72].all() and not changed[:40].any()
  assert not changed[96:].any()


def test_columns_share_z_equally():
  with pytest.raises(ValueError, match='a multiple of 16, got 24'):
    vision_lib.VisionModel(24, 'columns')


def test_weights_of_colours_against_numpy():
  frames = np.zeros((1, 4, 8, 3), np.uint8)
  frames[0, 0, 0] = 255, 31, 32  # Bins 7, 0 and 1: one pixel of 32.
  weights = vision_lib.weigh_colours(frames)
  rare, common = 32**0.5, (32 / 31) ** 0.5
  mean = (rare + 31 * common) / 32
  found = np.asarray(vision_lib.find_colours(frames))
  assert found[0, 0, 0] == 7 * 64 + 1 and found.sum() == 7 * 64 + 1
  np.testing.assert_allclose(weights[7 * 64 + 1], rare / mean, rtol=1e-5)
  np.testing.assert_allclose(weights[0], common / mean, rtol=1e-5)
  assert np.isfinite(weights).all()
  # What the sample lacks counts as the rarest: 20 times the weight of p = 1.
  np.testing.assert_allclose(weights[3], 20 / mean, rtol=1e-5)


def test_weights_multiply_the_squared_error():
  random = np.random.default_rng(4)
  frames, drawn = random.random((2, 3, 4, 8, 3)).astype(np.float32)
  weights = random.random((3, 4, 8, 1)).astype(np.float32)
  prior = np.zeros((3, 4), np.float32)
  loss = vision_lib.vision_loss(frames, drawn, prior, prior, weights=weights)
  wanted = (weights * (frames - drawn) ** 2).sum((1, 2, 3)).mean()
  np.testing.assert_allclose(loss.reconstruction, wanted, rtol=1e-5)


def test_keras_file_round_trip_of_columns(tmp_path):
  vision = vision_lib.VisionModel(16, 'columns')
  frames = np.random.default_rng(5).random((2, 32, 128, 3), np.float32)
  wanted = vision(frames)
  vision.save(tmp_path / 'vision.keras')
  loaded = keras.saving.load_model(tmp_path / 'vision.keras')
  np.testing.assert_array_equal(loaded(frames), wanted)


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
