"""Running moments against NumPy over random splits."""

import json

import hypothesis
import numpy as np
import pytest
from gymnasium.wrappers.utils import RunningMeanStd
from hypothesis import strategies

from nca_tf.agents.running_moments import RunningMoments
from nca_tf.agents.running_moments import combine_mean_std

values = strategies.lists(
  strategies.floats(-1e6, 1e6, allow_subnormal=False), min_size=0, max_size=30
)
fast = hypothesis.settings(max_examples=100, deadline=None, database=None)


def moments_of(batch, shape=()):
  moments = RunningMoments(shape)
  moments.update(np.reshape(batch, (-1, *shape)))
  return moments


def assert_same(a, b):
  assert a.count == b.count
  np.testing.assert_allclose(a.mean, b.mean, rtol=1e-9, atol=1e-6)
  np.testing.assert_allclose(a.var(), b.var(), rtol=1e-9, atol=1e-3)


@fast
@hypothesis.given(strategies.lists(values, min_size=1, max_size=6))
def test_any_split_equals_numpy_on_the_whole(batches):
  updated, merged = RunningMoments(), RunningMoments()
  for batch in batches:
    updated.update(np.array(batch))
    merged.merge(moments_of(np.array(batch)))
  whole = np.array([value for batch in batches for value in batch])
  assert updated.count == merged.count == len(whole)
  for moments in (updated, merged):
    for ddof in (0, 1):
      if len(whole) > ddof:
        scale = max(1.0, np.abs(whole).max()) ** 2
        error = moments.var(ddof) - np.var(whole, ddof=ddof)
        assert abs(error) <= 1e-12 * scale
        assert abs(moments.mean - whole.mean()) <= 1e-12 * scale**0.5
      else:
        assert np.isnan(moments.var(ddof))


@fast
@hypothesis.given(values, values, values)
def test_merging_is_commutative_and_associative(a, b, c):
  def merged(*parts):
    total = RunningMoments()
    for part in parts:
      total.merge(part)
    return total

  a, b, c = moments_of(a), moments_of(b), moments_of(c)
  hypothesis.assume(a.count + b.count + c.count > 0)
  left = merged(merged(a, b), c)
  right = merged(a, merged(b, c))
  assert_same(left, right)
  assert_same(left, merged(c, b, a))


def test_merging_leaves_the_other_alone():
  a, b = moments_of([1.0, 2.0]), moments_of([5.0, 9.0])
  before = b.state()
  a.merge(b)
  a.update(np.array([3.0]))
  assert b.state() == before
  assert a.count == 5


def test_nothing_and_one_value():
  moments = RunningMoments((2,))
  np.testing.assert_array_equal(moments.mean, [0, 0])
  assert np.all(np.isnan(moments.var()))
  np.testing.assert_array_equal(moments.scale(), [1, 1])
  moments.update(np.empty((0, 2)))
  assert moments.count == 0
  moments.update([[3.0, -4.0]])
  np.testing.assert_array_equal(moments.mean, [3, -4])
  np.testing.assert_array_equal(moments.var(), [0, 0])
  assert np.all(np.isnan(moments.std(ddof=1)))
  np.testing.assert_array_equal(moments.scale(), [1, 1])
  np.testing.assert_array_equal(moments.normalize([[4.0, -4.0]]), [[1, 0]])


@pytest.mark.parametrize('shape', [(), (3,), (2, 3)])
def test_each_element_has_its_own_moments(shape):
  batch = np.random.default_rng(0).normal(size=(40, *shape))
  batch = batch * 3 + np.arange(np.prod(shape, dtype=int)).reshape(shape)
  moments = moments_of(batch[:7], shape)
  moments.update(batch[7:])
  np.testing.assert_allclose(moments.mean, batch.mean(0), rtol=1e-12)
  np.testing.assert_allclose(moments.std(1), batch.std(0, ddof=1), rtol=1e-12)
  normal = moments.normalize(batch)
  np.testing.assert_allclose(normal.std(0), np.ones(shape), rtol=1e-12)
  assert np.abs(moments.normalize(batch, clip=0.5)).max() == 0.5


def test_large_offset_in_float32_keeps_its_digits():
  rng = np.random.default_rng(1)
  batches = (1e4 + rng.normal(size=(300, 32))).astype(np.float32)
  moments = RunningMoments()
  for batch in batches:
    moments.update(batch)
  truth = batches.astype(np.float64)
  assert moments.mean.dtype == np.float64
  np.testing.assert_allclose(moments.std(), truth.std(), rtol=1e-10)
  np.testing.assert_allclose(moments.mean, truth.mean(), rtol=1e-14)


def test_constant_elements_do_not_divide_by_zero():
  moments = moments_of([7.0, 7.0, 7.0])
  assert moments.scale() == 1e-8
  assert moments.normalize(7.0) == 0


def test_equals_gymnasium_up_to_its_prior():
  batch = np.random.default_rng(2).normal(2.0, 3.0, size=(500, 4))
  peer = RunningMeanStd(epsilon=1e-12, shape=(4,))
  moments = RunningMoments((4,))
  for part in np.split(batch, [3, 40, 300]):
    peer.update(part)
    moments.update(part)
  np.testing.assert_allclose(moments.mean, peer.mean, rtol=1e-9)
  np.testing.assert_allclose(moments.var(), peer.var, rtol=1e-9)


def test_state_survives_json_and_goes_on():
  rng = np.random.default_rng(3)
  moments = moments_of(rng.normal(size=(9, 2)), (2,))
  text = json.dumps(moments.state(), default=np.ndarray.tolist)
  copy = RunningMoments.from_state(json.loads(text))
  more = rng.normal(size=(4, 2))
  moments.update(more)
  copy.update(more)
  assert type(copy.count) is int
  assert copy.count == 13
  np.testing.assert_array_equal(copy.mean, moments.mean)
  np.testing.assert_array_equal(copy.var(), moments.var())


@pytest.mark.parametrize('ddof', [0, 1])
@pytest.mark.parametrize('sizes', [(2, 2), (1, 5), (0, 3), (40, 7), (1, 1)])
def test_combine_mean_std_is_exact_with_the_right_ddof(sizes, ddof):
  rng = np.random.default_rng(4)
  a, b = rng.normal(5, 2, sizes[0]), rng.normal(-1, 1, sizes[1])

  def parts(x):
    mean = x.mean() if len(x) else np.nan
    return len(x), mean, x.std(ddof=ddof) if len(x) > ddof else np.nan

  count, mean, std = combine_mean_std(*parts(a), *parts(b), ddof=ddof)
  both = np.concatenate([a, b])
  assert count == len(both)
  np.testing.assert_allclose(mean, both.mean(), rtol=1e-12)
  np.testing.assert_allclose(std, both.std(ddof=ddof), rtol=1e-12)


def test_wrong_values_are_named_and_change_nothing():
  moments = moments_of([[1.0, 2.0], [3.0, 5.0]], (2,))
  before = moments.state()
  with pytest.raises(ValueError, match=r'batch must be .*got \(3, 4\)'):
    moments.update(np.zeros((3, 4)))
  with pytest.raises(ValueError, match=r'batch must be .*got \(\)'):
    RunningMoments().update(1.0)
  with pytest.raises(ValueError, match='finite, got 1 of 4'):
    moments.update([[1.0, np.nan], [1.0, 1.0]])
  with pytest.raises(ValueError, match=r'other must be of shape \(2,\)'):
    moments.merge(RunningMoments((3,)))
  with pytest.raises(ValueError, match=r"state must have \['squares'\]"):
    RunningMoments.from_state({'count': 1, 'mean': 0.0})
  with pytest.raises(ValueError, match='count must be .* at least 0, got -1'):
    RunningMoments.from_state({'count': -1, 'mean': 0.0, 'squares': 0.0})
  with pytest.raises(ValueError, match='count_b must be .* at least 0, got -2'):
    combine_mean_std(1, 0.0, 0.0, -2, 0.0, 0.0)
  np.testing.assert_array_equal(before['mean'], moments.mean)
  assert before['count'] == moments.count
