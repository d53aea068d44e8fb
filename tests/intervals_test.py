"""Bootstrap intervals against SciPy and against repeated sampling."""

import math

import numpy as np
import pytest
import scipy.stats

from nca_tf.analysis import Interval
from nca_tf.analysis import bootstrap_difference
from nca_tf.analysis import bootstrap_mean
from nca_tf.analysis import bootstrap_nested
from nca_tf.analysis import bootstrap_statistic
from nca_tf.analysis import intervals
from nca_tf.analysis import pooled_roc_auc
from nca_tf.analysis import roc_auc


def scores(size, seed=0):
  return np.random.default_rng(seed).gamma(2.0, 150.0, size)


def test_mean_agrees_with_scipy():
  data = scores(60)
  ours = bootstrap_mean(data, rng=1)
  theirs = scipy.stats.bootstrap(
    (data,), np.mean, method='percentile', rng=2, n_resamples=10000
  ).confidence_interval
  assert ours.mean == data.mean()
  width = theirs.high - theirs.low
  assert abs(ours.low - theirs.low) < 0.05 * width
  assert abs(ours.high - theirs.high) < 0.05 * width


@pytest.mark.parametrize('level', [0.5, 0.95])
def test_t_interval_agrees_with_scipy(level):
  data = scores(5)
  ours = intervals.student_mean(data, level)
  low, high = scipy.stats.t.interval(
    level, len(data) - 1, data.mean(), scipy.stats.sem(data)
  )
  np.testing.assert_allclose(ours, [data.mean(), low, high])
  assert intervals.student_mean([3.0]).text() == '3.0'
  with pytest.raises(ValueError, match='level must be'):
    intervals.student_mean(data, 1.0)


@pytest.mark.parametrize('level', [0.5, 0.95])
def test_the_interval_covers_the_truth_as_often_as_it_says(level):
  rng = np.random.default_rng(3)
  hits = 0
  for _ in range(400):
    interval = bootstrap_mean(
      rng.normal(10, 4, 50), rng=rng, level=level, resamples=400
    )
    hits += interval.low <= 10 <= interval.high
  assert abs(hits / 400 - level) < 0.075


def test_chunks_do_not_change_the_result(monkeypatch):
  whole = bootstrap_mean(scores(30), rng=5, resamples=999)
  monkeypatch.setattr(intervals, 'CHUNK', 64)
  assert bootstrap_mean(scores(30), rng=5, resamples=999) == whole


def test_same_seed_same_interval():
  a = bootstrap_mean(scores(9), rng=7)
  assert a == bootstrap_mean(scores(9), rng=np.random.default_rng(7))
  assert a != bootstrap_mean(scores(9), rng=8)


def test_difference_agrees_with_scipy():
  a, b = scores(50, 1), scores(80, 2) * 0.5
  ours = bootstrap_difference(a, b, rng=1)
  theirs = scipy.stats.bootstrap(
    (a, b),
    lambda a, b, axis: a.mean(axis) - b.mean(axis),
    method='percentile',
    rng=2,
    n_resamples=10000,
  ).confidence_interval
  assert ours.mean == pytest.approx(a.mean() - b.mean())
  assert ours.low > 0
  np.testing.assert_allclose(ours[1:], theirs, atol=4)


def test_pairs_are_drawn_together():
  a = scores(40)
  b = a - 5 + np.random.default_rng(1).normal(size=40)
  paired = bootstrap_difference(a, b, rng=0, paired=True)
  apart = bootstrap_difference(a, b, rng=0)
  assert paired.mean == pytest.approx(apart.mean)
  assert 4 < paired.low < paired.high < 6
  assert apart.low < 0 < apart.high


def test_whole_episodes_are_drawn_again():
  rng = np.random.default_rng(0)
  offsets = rng.normal(size=20)
  groups = [offset + rng.normal(0, 0.1, 500) for offset in offsets]

  def mean(chosen):
    return np.concatenate(chosen).mean()

  episodes = bootstrap_statistic(groups, mean, rng=1)
  steps = bootstrap_mean(np.concatenate(groups), rng=1, resamples=1000)
  assert episodes.mean == pytest.approx(steps.mean)
  assert episodes.high - episodes.low > 10 * (steps.high - steps.low)
  means = bootstrap_mean([group.mean() for group in groups], rng=2)
  np.testing.assert_allclose(episodes, means, atol=0.05)


def test_statistic_of_tuples_and_undefined_resamples():
  rng = np.random.default_rng(0)
  groups = []
  for i in range(30):
    labels = np.zeros(20, int)
    labels[-1] = i % 5 == 0  # Most episodes end at the time limit.
    groups.append((labels, labels + rng.normal(size=20)))
  interval = bootstrap_statistic(groups, pooled_roc_auc, rng=1)
  labels, values = (np.concatenate(part) for part in zip(*groups, strict=True))
  assert interval.mean == roc_auc(labels, values)
  assert interval.low < interval.mean < interval.high
  rare = groups[:2]  # Half of the resamples have no positive or are single.
  with pytest.raises(ValueError, match='95 % of the .*more episodes'):
    bootstrap_statistic(rare, pooled_roc_auc, rng=1)
  with pytest.raises(ValueError, match='finite for all groups, got nan'):
    bootstrap_statistic(groups[1:2], pooled_roc_auc, rng=1)


def test_one_value_has_no_interval():
  for interval in (
    bootstrap_mean([3.0], rng=0),
    bootstrap_difference([4.0], [1.0, 1.0], rng=0),
    bootstrap_statistic([3.0], np.mean, rng=0),
  ):
    assert interval.mean == 3
    assert math.isnan(interval.low) and math.isnan(interval.high)
    assert interval.text() == '3.0'
  assert Interval(614.04, 541.3, 690.2).text() == '614.0 [541.3, 690.2]'


def test_numbers_of_numpy_are_as_good_as_those_of_python():
  values = scores(20)
  plain = bootstrap_mean(values, rng=3, level=0.9, resamples=50)
  given = {'level': np.float64(0.9), 'resamples': np.int64(50)}
  assert bootstrap_mean(values, rng=np.uint8(3), **given) == plain
  assert bootstrap_mean(values, rng=np.array(3), **given) == plain
  assert plain.text(np.int32(2)) == plain.text(2)
  assert intervals.share(np.int64(3), np.int32(7)) == intervals.share(3, 7)


@pytest.mark.parametrize(
  'call, message',
  [
    (
      lambda: bootstrap_mean([], rng=0),
      'values must be a list of',
    ),
    (lambda: bootstrap_mean([[1.0]], rng=0), r'got shape \(1, 1\)'),
    (lambda: bootstrap_mean([1, np.nan], rng=0), 'finite, got 1 of 2'),
    (lambda: bootstrap_mean([1, np.inf], rng=0), 'finite, got 1 of 2'),
    (lambda: bootstrap_mean([1, 2], rng=None), 'rng must be .*got None'),
    (lambda: bootstrap_mean([1, 2], rng=0, level=95), 'level .*got 95'),
    (lambda: bootstrap_mean([1, 2], rng=0, resamples=0), 'resamples .*got 0'),
    (lambda: bootstrap_difference([1], [], rng=0), 'b must be a list'),
    (
      lambda: bootstrap_difference([1, 2], [1], rng=0, paired=True),
      'as many values as a when paired, got 2, 1',
    ),
    (lambda: bootstrap_statistic([], np.mean, rng=0), 'groups .*got none'),
    (lambda: bootstrap_mean(['a'], rng=0), 'values must be a list of numbers'),
    (lambda: bootstrap_mean([1, [2]], rng=0), 'values must be a list of num'),
    (lambda: bootstrap_mean([1, 1j], rng=0), 'values must be a list of num'),
    (lambda: bootstrap_mean([1, 2], rng=True), 'rng must be .*got True'),
    (lambda: bootstrap_mean([1, 2], rng=2.5), 'rng must be .*got 2.5'),
    (lambda: bootstrap_mean([1, 2], rng=-1), 'rng must be .*got -1'),
    (lambda: bootstrap_mean([1, 2], rng='0'), "rng must be .*got '0'"),
    (lambda: bootstrap_mean([1, 2], rng=0, level=np.nan), 'level .*got .*nan'),
    (lambda: bootstrap_mean([1, 2], rng=0, level='.9'), "level .*got '.9'"),
    (
      lambda: bootstrap_nested([[1, 2]], rng=0, resamples=10.0),
      'resamples must be an integer .*got 10.0',
    ),
    (
      lambda: bootstrap_difference([1, 2], [1, 3], rng=0, resamples=True),
      'resamples .*got True',
    ),
    (
      lambda: bootstrap_statistic([1, 2], np.mean, rng=0, resamples='9'),
      "resamples .*got '9'",
    ),
    (lambda: intervals.share(1, 0), 'count .*at least 1, got 0'),
    (lambda: intervals.share(3, 2), 'successes .*at most 2, got 3'),
    (lambda: intervals.share(-1, 2), 'successes .*at least 0.*got -1'),
    (lambda: intervals.share(0.5, 2), 'successes .*got 0.5'),
    (lambda: Interval(1, 0, 2).text(-1), 'digits .*got -1'),
    (lambda: Interval(1, 0, 2).text(1.0), 'digits .*got 1.0'),
  ],
)
def test_wrong_values_are_named(call, message):
  with pytest.raises(ValueError, match=message):
    call()


def test_nested_interval_has_the_variance_of_groups_and_of_values():
  """Within a resample: s^2 of the group means / G, and s_g^2 / N_g / G."""
  rng = np.random.default_rng(4)
  groups = [rng.normal(mean, 20, 25) for mean in rng.normal(0, 10, 12)]
  found = bootstrap_nested(groups, rng=0)
  means = [values.mean() for values in groups]
  within = np.mean([values.var() / 25 for values in groups])
  deviation = math.sqrt((np.var(means) + within) / 12)
  assert found.mean == pytest.approx(np.mean(means))
  assert found.high - found.low == pytest.approx(3.92 * deviation, rel=0.05)


def test_nested_interval_of_one_group_is_that_of_its_values():
  values = scores(40)
  nested = bootstrap_nested([values], rng=0)
  assert nested.mean == values.mean()
  assert nested.low == pytest.approx(
    bootstrap_mean(values, rng=0).low, rel=0.02
  )
  assert math.isnan(bootstrap_nested([[3.0]], rng=0).low)
  assert bootstrap_nested([[3.0], [5.0]], rng=0) == (4.0, 3.0, 5.0)


def test_nested_interval_weighs_groups_alike_whatever_their_size():
  assert bootstrap_nested([[0.0] * 99, [10.0]], rng=0).mean == 5


@pytest.mark.parametrize(
  ('groups', 'message'),
  [
    ([], 'groups must hold at least one list'),
    ([[]], 'groups must be a list of at least one number'),
    ([[1.0, math.nan]], 'groups must be finite'),
  ],
)
def test_nested_interval_refuses(groups, message):
  with pytest.raises(ValueError, match=message):
    bootstrap_nested(groups, rng=0)
