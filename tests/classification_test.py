"""Measures of prediction against scikit-learn and brute force; the table."""

import hypothesis
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import strategies

from nca_tf.analysis import Interval
from nca_tf.analysis import Table
from nca_tf.analysis import pooled_roc_auc
from nca_tf.analysis import precision_recall_at
from nca_tf.analysis import roc_auc
from nca_tf.analysis import roc_curve

labelled = strategies.lists(
  strategies.tuples(strategies.booleans(), strategies.integers(-4, 4)),
  min_size=2,
  max_size=40,
)
fast = hypothesis.settings(max_examples=100, deadline=None, database=None)


@fast
@hypothesis.given(labelled)
def test_area_is_the_chance_of_the_right_order(pairs):
  labels = np.array([label for label, _ in pairs])
  scores = np.array([score for _, score in pairs])
  hypothesis.assume(labels.any() and not labels.all())
  wins = [
    (a > b) + 0.5 * (a == b) for a in scores[labels] for b in scores[~labels]
  ]
  assert roc_auc(labels, scores) == pytest.approx(np.mean(wins), abs=1e-12)
  theirs = sklearn.metrics.roc_auc_score(labels, scores)
  assert roc_auc(labels, scores) == pytest.approx(theirs, abs=1e-12)


@fast
@hypothesis.given(labelled)
def test_curve_is_that_of_scikit_learn(pairs):
  labels = np.array([label for label, _ in pairs])
  scores = np.array([score for _, score in pairs])
  hypothesis.assume(labels.any() and not labels.all())
  false, true = roc_curve(labels, scores)
  theirs = sklearn.metrics.roc_curve(labels, scores, drop_intermediate=False)
  np.testing.assert_allclose(false, theirs[0], atol=1e-12)
  np.testing.assert_allclose(true, theirs[1], atol=1e-12)
  area = np.trapezoid(true, false)
  assert area == pytest.approx(roc_auc(labels, scores), abs=1e-12)


def test_area_of_rare_positives_among_many():
  rng = np.random.default_rng(0)
  labels = rng.random(100_000) < 0.003
  scores = np.round(rng.normal(size=100_000) + 2 * labels, 2)  # Many ties.
  theirs = sklearn.metrics.roc_auc_score(labels, scores)
  assert roc_auc(labels, scores) == pytest.approx(theirs, abs=1e-12)
  parts = np.array_split(np.arange(100_000), 7)
  groups = [(labels[part], scores[part]) for part in parts]
  assert pooled_roc_auc(groups) == roc_auc(labels, scores)
  assert np.isnan(pooled_roc_auc([([0, 0], [0.1, 0.2]), ([0], [0.3])]))
  assert np.isnan(pooled_roc_auc([([], [])]))


def test_precision_and_recall_agree_with_scikit_learn():
  rng = np.random.default_rng(1)
  labels = rng.integers(0, 2, 200)
  scores = np.round(rng.random(200) + 0.3 * labels, 1)
  for threshold in (0.0, 0.3, 0.7, 1.1):
    alarms = scores > threshold
    result = precision_recall_at(labels, scores, threshold)
    assert result.precision == sklearn.metrics.precision_score(labels, alarms)
    assert result.recall == sklearn.metrics.recall_score(labels, alarms)
  assert precision_recall_at(labels, scores, 9.0) == (0.0, 0.0)
  # On the threshold is no alarm.
  assert precision_recall_at([1, 1], [0.5, 0.6], 0.5).recall == 0.5


@pytest.mark.parametrize(
  'call, message',
  [
    (lambda: roc_auc([1, 1], [0.1, 0.2]), 'both classes, got 2 positives of 2'),
    (lambda: roc_auc([0, 0], [0.1, 0.2]), 'both classes, got 0 positives of 2'),
    (lambda: roc_auc([], []), 'both classes, got 0 positives of 0'),
    (lambda: roc_auc([0, 1], [0.1, np.nan]), 'scores must be finite'),
    (
      lambda: roc_auc([0, 2], [0.1, 0.2]),
      r'must be 0 or 1, got \[0 2\]',
    ),
    (
      lambda: roc_auc([0, 1], [0.1]),
      r'shapes \(2,\) and \(1,\)',
    ),
    (lambda: roc_curve([0], [0.1]), 'both classes'),
    (lambda: precision_recall_at([0], [0.1], 0), 'one positive, got none'),
    (
      lambda: precision_recall_at([1], [0.1], float('nan')),
      'threshold must be a finite number, got nan',
    ),
    (lambda: precision_recall_at([1], [0.1], '0'), "threshold .*got '0'"),
    (lambda: roc_auc([0, 1], ['a', 'b']), 'scores must be a list of numbers'),
    (lambda: Table(['a'], digits=-1), 'digits .*at least 0, got -1'),
    (lambda: Table(['a'], digits=1.5), 'digits .*got 1.5'),
    (lambda: Table(['a'], digits=True), 'digits .*got True'),
  ],
)
def test_wrong_values_are_named(call, message):
  with pytest.raises(ValueError, match=message):
    call()


def test_table_is_aligned():
  table = Table(['policy', 'n', 'score'], digits=np.int64(1))
  table.add('random', 200, Interval(292.13, 272.5, 311.9))
  table.add('a|b', np.int64(8), np.float32(3.0))
  table.add('none', None, float('nan'))
  table.add('nan', 1, Interval(*[float('nan')] * 3))
  assert table.text() == '\n'.join(
    [
      'policy    n                 score',
      '------  ---  --------------------',
      'random  200  292.1 [272.5, 311.9]',
      'a|b       8                   3.0',
      'none      -                     -',
      'nan       1                     -',
    ]
  )
  assert table.markdown() == (
    '| policy |   n |                score |\n'
    '| ------ | --: | -------------------: |\n'
    '| random | 200 | 292.1 [272.5, 311.9] |\n'
    '| a\\|b   |   8 |                  3.0 |\n'
    '| none   |   - |                    - |\n'
    '| nan    |   1 |                    - |\n'
  )


def test_table_of_words_and_wrong_rows():
  table = Table(['flag', 'set'])
  table.add('jit', True)
  table.add('two\nlines', np.bool_(False))
  assert table.text().splitlines()[2:] == ['jit        yes', 'two lines  no']
  with pytest.raises(ValueError, match='cells must be 2, .*got 1'):
    table.add('alone')
  with pytest.raises(ValueError, match='columns must name at least one'):
    Table([])
