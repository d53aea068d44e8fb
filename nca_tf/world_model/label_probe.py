"""How well z tells what a game says of its frames: linear probes.

A label such as "a fireball is in this column" is read from the posterior mean
of z by logistic regression. Half of the episodes fit it, the other half measure
it: has V kept what is asked for, in a form that M and C can read?
"""

import numpy as np
from sklearn import linear_model

from nca_tf.analysis import classification

_FEWEST = 5  # Frames with and without a label, in either half.


def measure(z, labels, episode) -> np.ndarray:
  """Area under the ROC curve by row of the labels, [rows].

  The mean over the columns of a row; NaN where too few frames have the label.

  Args:
    z: [F, Z].
    labels: bool [F, rows, columns].
    episode: [F], number of each frame's episode.
  """
  z = np.asarray(z, np.float64)
  deviation = z.std(0)
  z = (z - z.mean(0)) / np.where(deviation > 0, deviation, 1)
  is_fitted = np.asarray(episode) % 2 == 0
  found = np.full(labels.shape[1:], np.nan)
  for place in np.ndindex(found.shape):
    label = labels[(slice(None), *place)]
    counts = [
      np.bincount(label[half], minlength=2) for half in (is_fitted, ~is_fitted)
    ]
    if np.min(counts) < _FEWEST:
      continue
    probe = linear_model.LogisticRegression(solver='newton-cholesky')
    probe.fit(z[is_fitted], label[is_fitted])
    scores = probe.decision_function(z[~is_fitted])
    found[place] = classification.roc_auc(label[~is_fitted], scores)
  known = np.isfinite(found)
  total = np.where(known, found, 0).sum(1)
  count = known.sum(1)
  return np.where(count > 0, total / np.maximum(count, 1), np.nan)
