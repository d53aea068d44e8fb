"""Rank correlation against SciPy, and its interval by simulation."""

import numpy as np
import pytest
from scipy import stats

from nca_tf.analysis import ranks


@pytest.mark.parametrize('count', [8, 9, 13, 40])
@pytest.mark.parametrize('levels', [3, 1000])
def test_the_value_is_scipys(count, levels):
  random = np.random.default_rng(count)
  one = random.integers(levels, size=count)
  other = one + random.integers(levels, size=count)
  found = ranks.correlation(one, other)
  assert found.mean == pytest.approx(stats.spearmanr(one, other).statistic)
  assert found.low < found.mean < found.high


def test_the_interval_covers_the_truth():
  random = np.random.default_rng(0)
  pearson, covered = 0.6, 0
  truth = 6 / np.pi * np.arcsin(pearson / 2)  # Of two normal variables.
  for _ in range(400):
    one = random.standard_normal(20)
    other = pearson * one + np.sqrt(1 - pearson**2) * random.standard_normal(20)
    found = ranks.correlation(one, other)
    covered += found.low <= truth <= found.high
  assert 0.92 < covered / 400 < 0.99


def test_what_has_no_order_or_no_interval():
  assert np.isnan(ranks.correlation([1, 1, 1], [1, 2, 3]).mean)
  assert np.isnan(ranks.correlation([1], [2]).mean)
  few = ranks.correlation([1, 2, 3], [1, 3, 2])
  assert few.mean == pytest.approx(0.5) and np.isnan(few.low)
  same = ranks.correlation([1, 2, 3, 4], [10, 20, 30, 40])
  assert same.mean == pytest.approx(1) and np.isnan(same.low)


@pytest.mark.parametrize(
  ('one', 'other', 'message'),
  [
    ([1, 2], [1], r'of one length, got shapes \[2\] and \[1\]'),
    ([1, np.nan], [1, 2], 'finite'),
    ([[1, 2]], [[1, 2]], 'of one length'),
  ],
)
def test_bad_pairs_are_refused(one, other, message):
  with pytest.raises(ValueError, match=message):
    ranks.correlation(one, other)
