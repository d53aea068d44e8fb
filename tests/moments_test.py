"""Moments in the graph against NumPy's and those of RunningMoments."""

import numpy as np

from nca_tf.agents import moments
from nca_tf.agents import running_moments


def test_batches_equal_all_values_at_once():
  rng = np.random.default_rng(0)
  batches = [1e4 + rng.normal(size=(n, 3)) for n in (1, 7, 2, 40)]
  ours = moments.Moments((3,))
  theirs = running_moments.RunningMoments((3,))
  for batch in batches:
    ours.update(batch)
    theirs.update(batch)
  every = np.concatenate(batches)
  np.testing.assert_allclose(ours.mean, every.mean(0), rtol=1e-12)
  np.testing.assert_allclose(ours.deviation, every.std(0), rtol=1e-9)
  np.testing.assert_allclose(ours.deviation, theirs.std(), rtol=1e-9)
  values = 1e4 + 3 * rng.normal(size=(5, 3))
  np.testing.assert_allclose(
    ours.normalize(values, 2.0), theirs.normalize(values, 2.0), rtol=1e-9
  )


def test_a_first_change_is_far_out_where_constants_have_a_small_deviation():
  ours = moments.Moments((2,), constant=1e-4)
  values = np.array([[3.0, -8.0]])
  np.testing.assert_array_equal(ours.scale(values), values)  # None seen yet.
  ours.update(np.repeat(values, 9, 0))
  np.testing.assert_array_equal(ours.normalize(values, 5.0), [[0, 0]])
  np.testing.assert_array_equal(ours.normalize(values + 0.1, 5.0), [[5, 5]])
  ours.update(np.array([[3.0, 2.0]]))
  assert ours.deviation.numpy()[0] == 1e-4
  np.testing.assert_allclose(ours.deviation[1], np.std([-8] * 9 + [2]))


def test_nothing_seen_and_nothing_varied_change_no_scale():
  ours = moments.Moments((2,))
  values = np.array([[3.0, -8.0]])
  np.testing.assert_array_equal(ours.normalize(values, 5.0), [[3, -5]])
  ours.update(values)
  np.testing.assert_array_equal(ours.scale(values), values)
  np.testing.assert_array_equal(ours.normalize(values, 5.0), [[0, 0]])
