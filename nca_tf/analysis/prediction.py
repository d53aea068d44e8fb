"""Measures of a world model on held-out episodes, and what it must beat.

Two parts: how well the end of an episode is foreseen (ROC, precision, recall),
and the error of predicted latents against two predictors that learn nothing.
"""

import typing
from collections.abc import Sequence

import numpy as np


class PrecisionRecall(typing.NamedTuple):
  """Share of alarms that were right, share of positives that were found."""

  precision: float
  recall: float


class Forecast(typing.NamedTuple):
  """Predictions of one episode, made at S steps.

  Attributes:
    predictions: [S, D], what step t says of step t + horizon.
    targets: [S, D], what step t + horizon was.
    starts: [S] int, the steps t.
  """

  predictions: np.ndarray
  targets: np.ndarray
  starts: np.ndarray


def roc_auc(labels, scores) -> float:
  """Area under the ROC curve, exact, ties counting one half.

  The Mann-Whitney form: the chance that a positive scores above a negative.

  Args:
    labels: [N] of 0 and 1, or bool.
    scores: [N] finite numbers, larger for positives.

  Raises:
    ValueError: only one class, bad labels, scores that are not finite.
  """
  positive, negative = _split(labels, scores)
  negative = np.sort(negative)
  below = np.searchsorted(negative, positive, side='left').sum(dtype=np.int64)
  upto = np.searchsorted(negative, positive, side='right').sum(dtype=np.int64)
  return (int(below) + int(upto)) / (2 * len(positive) * len(negative))


def pooled_roc_auc(groups: Sequence[tuple]) -> float:
  """Area over all steps of many episodes; for `bootstrap_statistic`.

  Args:
    groups: (labels, scores) per episode.

  Returns:
    The area, or NaN when the episodes together show only one class.
  """
  labels = np.concatenate([np.asarray(labels) for labels, _ in groups])
  if np.all(labels == labels[0]):
    return float('nan')
  return roc_auc(labels, np.concatenate([scores for _, scores in groups]))


def roc_curve(labels, scores) -> tuple[np.ndarray, np.ndarray]:
  """False and true positive rates from the strictest threshold to the laxest.

  Args:
    labels: as of `roc_auc`.
    scores: as of `roc_auc`.

  Returns:
    Two float arrays [P] that begin at 0 and end at 1, one point per distinct
    score, so that the area under them by trapezoids is `roc_auc`.
  """
  positive, negative = _split(labels, scores)
  thresholds = np.unique(np.concatenate([positive, negative]))[::-1]
  rates = []
  for values in (negative, positive):
    below = np.searchsorted(np.sort(values), thresholds, side='left')
    rates.append(np.append(0.0, 1.0 - below / len(values)))
  return rates[0], rates[1]


def precision_recall_at(labels, scores, threshold: float) -> PrecisionRecall:
  """Precision and recall when every score above the threshold is an alarm.

  Above, not equal: the dream ends an episode by the same rule.

  Args:
    labels: [N] of 0 and 1, or bool, at least one of them 1.
    scores: [N] finite numbers.
    threshold: on the scale of the scores.

  Returns:
    Both as shares; the precision is 0 when there was no alarm.

  Raises:
    ValueError: no positive label, bad labels, scores that are not finite.
  """
  labels, scores = _pairs(labels, scores)
  if not labels.any():
    raise ValueError('labels must hold at least one positive, got none')
  alarms = scores > threshold
  hits = int(np.sum(alarms & labels))
  return PrecisionRecall(
    precision=hits / max(1, int(alarms.sum())),
    recall=hits / int(labels.sum()),
  )


def copy_last(z, horizon: int, *, first: int = 0) -> Forecast:
  """Predicts that nothing changes: z[t + horizon] = z[t].

  Args:
    z: [T, D], one episode.
    horizon: steps ahead, at least 1.
    first: earliest step to predict from; give the world model's, so that all
      predictors answer for the same steps.

  Returns:
    Forecast from the steps first .. T - 1 - horizon; empty when there are none,
    so that short episodes may be concatenated with the rest.
  """
  z, starts = _starts(z, horizon, first)
  return Forecast(z[starts], z[starts + horizon], starts)


def constant_velocity(z, horizon: int, *, first: int = 1) -> Forecast:
  """Predicts that the last change goes on: z[t] + horizon (z[t] - z[t - 1]).

  Args:
    z: [T, D], one episode.
    horizon: steps ahead, at least 1.
    first: as of `copy_last`, at least 1 as a change needs two steps.
  """
  if first < 1:
    raise ValueError(f'first must be at least 1, got {first}')
  z, starts = _starts(z, horizon, first)
  velocity = z[starts] - z[starts - 1]
  return Forecast(z[starts] + horizon * velocity, z[starts + horizon], starts)


def mean_squared_error(predictions, targets) -> float:
  """Mean over all elements of the squared difference.

  Raises:
    ValueError: shapes that differ (nothing is broadcast) or no elements.
  """
  predictions = np.asarray(predictions, np.float64)
  targets = np.asarray(targets, np.float64)
  if predictions.shape != targets.shape or not predictions.size:
    raise ValueError(
      'predictions and targets must be of one shape and not empty, got'
      f' {predictions.shape} and {targets.shape}'
    )
  return float(np.mean(np.square(predictions - targets)))


def _starts(z, horizon, first):
  z = np.asarray(z)
  if z.ndim != 2:
    raise ValueError(f'z must be of shape [T, D], got {z.shape}')
  if horizon < 1:
    raise ValueError(f'horizon must be at least 1, got {horizon}')
  if first < 0:
    raise ValueError(f'first must be at least 0, got {first}')
  return z, np.arange(first, max(first, len(z) - horizon))


def _pairs(labels, scores):
  labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
  if labels.ndim != 1 or labels.shape != scores.shape:
    raise ValueError(
      'labels and scores must be lists of one length, got shapes'
      f' {labels.shape} and {scores.shape}'
    )
  if not np.all((labels == 0) | (labels == 1)):
    raise ValueError(f'labels must be 0 or 1, got {np.unique(labels)[:5]}')
  if not np.all(np.isfinite(scores)):
    raise ValueError('scores must be finite, got a NaN or infinity')
  return labels.astype(bool), scores


def _split(labels, scores):
  labels, scores = _pairs(labels, scores)
  if labels.all() or not labels.any():
    raise ValueError(
      'labels must hold both classes, got'
      f' {int(labels.sum())} positives of {len(labels)}'
    )
  return scores[labels], scores[~labels]
