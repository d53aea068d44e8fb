"""What stands in V's place for vectors, against NumPy."""

import keras
import numpy as np
import pytest

from nca_tf.datasets import rollouts
from nca_tf.experiments.world_model import data
from nca_tf.world_model import codec as codec_lib
from nca_tf.world_model import standardiser

MEAN = np.array([3.0, -1e6, 0.0, 7.0])
DEVIATION = np.array([0.5, 100.0, 2.0, 0.0])  # The last never changes.


@pytest.fixture
def vision():
  made = standardiser.Standardiser(4)
  made.build()
  made.fit(MEAN, DEVIATION)
  return made


def test_z_is_the_vector_in_deviations_and_back(vision):
  z = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
  z[:, 3] = 0
  vectors = np.float32(MEAN + z * DEVIATION)
  codec = codec_lib.Codec(vision)  # More than one batch of it.
  mean, log_variance = codec.encode(vectors)
  expected = (vectors - MEAN) / np.where(DEVIATION, DEVIATION, 1)
  np.testing.assert_allclose(mean, expected, atol=1e-4)
  np.testing.assert_allclose(np.exp(log_variance / 2), 0.01, rtol=1e-5)
  decoded = codec.decode(mean)
  assert decoded.dtype == np.float32
  np.testing.assert_allclose(decoded, vectors, rtol=1e-6, atol=1e-5)


def test_far_numbers_are_cut(vision):
  mean, _ = vision.encode(np.full((1, 4), 1e30, np.float32))
  np.testing.assert_array_equal(mean, [[10, 10, 10, 10]])


def test_it_is_the_vector_itself_before_fit():
  vision = standardiser.Standardiser(3)
  vision.build()
  np.testing.assert_array_equal(vision.encode(np.eye(3))[0], np.eye(3))
  assert not vision.trainable_variables
  assert [tuple(each.shape) for each in vision.weights] == [(3,), (3,)]


@pytest.mark.parametrize(
  ('mean', 'deviation', 'message'),
  [
    (np.zeros(3), np.ones(4), r'mean must be of shape \[4\], got \[3\]'),
    (np.zeros(4), np.ones(()), r'deviation must be of shape \[4\], got \[\]'),
    (np.full(4, np.nan), np.ones(4), 'mean must be finite'),
    (np.zeros(4), np.full(4, np.inf), 'deviation must be finite'),
  ],
)
def test_wrong_moments_are_refused(vision, mean, deviation, message):
  with pytest.raises(ValueError, match=message):
    vision.fit(mean, deviation)


def test_moments_are_those_of_the_episodes_to_learn_from(tmp_path):
  spec = rollouts.Spec('vectors', (4,), 0, 'continuous', components=2)
  random = np.random.default_rng(1)
  learnt, episodes = [], []
  with rollouts.Writer(tmp_path, spec, shard_size=3) as writer:
    for index in range(8):
      length = 5 + index
      vectors = random.normal(MEAN, DEVIATION, (length + 1, 4))
      actions = random.uniform(-1, 1, (length, 2)).astype(np.float32)
      episode = rollouts.make_episode(
        index,
        index,
        vectors.astype(np.float32),
        actions,
        np.ones(length, np.float32),
        terminated=index % 2 == 0,
      )
      episodes.append(episode)
      writer.append(episode)
      if index % 4 != 3:  # Death repeats an observation.
        learnt.append(episode.observation[: length + 1 - (index % 2 == 0)])
  recordings = data.Recordings([tmp_path], spec, held_out=4)
  mean, deviation = recordings.moments()
  learnt = np.concatenate(learnt).astype(np.float64)
  np.testing.assert_allclose(mean, learnt.mean(0))
  np.testing.assert_allclose(deviation, learnt.std(0), atol=1e-9)
  for wrote, found in zip(episodes, rollouts.read(tmp_path), strict=True):
    for name in ('observation', 'action', 'reward'):
      ours, theirs = getattr(wrote, name), getattr(found, name)
      assert ours.dtype == theirs.dtype
      np.testing.assert_array_equal(ours, theirs)
    assert found.action.shape == (found.length + 1, 2)


def test_actions_of_another_size_are_refused(tmp_path):
  spec = rollouts.Spec('vectors', (4,), 0, 'continuous', components=2)
  episode = rollouts.make_episode(
    0,
    0,
    np.zeros((4, 4), np.float32),
    np.zeros((3, 3), np.float32),
    np.zeros(3, np.float32),
    terminated=False,
  )
  with (
    rollouts.Writer(tmp_path, spec) as writer,
    pytest.raises(ValueError, match=r'action must be float32 \[4, 2\], got'),
  ):
    writer.append(episode)


def test_weights_are_full_precision_under_mixed_policies():
  policy = keras.dtype_policies.DTypePolicy('mixed_bfloat16')
  vision = standardiser.Standardiser(2, dtype=policy)
  vision.build()
  vision.fit(np.array([1000.0, 1.0]), np.ones(2))
  mean, _ = vision.encode(np.float32([[1000.25, 1.125]]))
  np.testing.assert_array_equal(mean, [[0.25, 0.125]])


@pytest.mark.parametrize('value', [0, 2.0, '2', [2], None, True])
def test_components_of_actions_are_integers(value):
  with pytest.raises(ValueError, match='components must be an integer'):
    rollouts.Spec('vectors', (4,), 0, 'continuous', components=value)
