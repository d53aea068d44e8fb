"""How well rare events are predicted, such as the end of an episode."""

import typing
from collections.abc import Sequence

import numpy as np

from nca_tf import checks


class PrecisionRecall(typing.NamedTuple):
  """Share of alarms that were right, share of positives that were found."""

  precision: float
  recall: float


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
    The area, or NaN when the episodes together show only one class, or no step.
  """
  labels = np.concatenate([np.asarray(labels) for labels, _ in groups])
  if not labels.size or np.all(labels == labels[0]):
    return float('nan')
  return roc_auc(labels, np.concatenate([scores for _, scores in groups]))


def roc_curve(labels, scores) -> tuple[np.ndarray, np.ndarray]:
  """False and true positive rates from the strictest threshold to the laxest.

  Returns:
    Two float arrays [P] that begin at 0 and end at 1, one point per distinct
    score, so that the area under them by trapezoids is `roc_auc`, which takes
    the same arguments.
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
    ValueError: no positive label, or as `roc_auc`.
  """
  threshold = checks.real('threshold', threshold)
  labels, scores = _pairs(labels, scores)
  if not labels.any():
    raise ValueError('labels must hold at least one positive, got none')
  alarms = scores > threshold
  hits = int(np.sum(alarms & labels))
  return PrecisionRecall(
    precision=hits / max(1, int(alarms.sum())),
    recall=hits / int(labels.sum()),
  )


def _pairs(labels, scores):
  try:
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
  except (TypeError, ValueError) as error:
    raise ValueError(f'scores must be a list of numbers: {error}') from error
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
