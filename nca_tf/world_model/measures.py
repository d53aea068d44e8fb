"""Held-out measures of M and of the baselines that it must beat.

Errors are pooled over steps; intervals draw whole episodes again.
"""

import math
import typing

import numpy as np

from nca_tf.analysis import classification
from nca_tf.analysis import intervals
from nca_tf.analysis import table

HORIZONS = (1, 5, 15, 50)
RESAMPLES = 500


class Errors(typing.NamedTuple):
  """Squared errors of one predictor, per episode."""

  total: np.ndarray  # [E], sum over an episode's forecasts of the mean error
  count: np.ndarray  # [E], number of forecasts

  @classmethod
  def of(cls, errors, valid):
    """Sums errors [E, n] over those that are valid."""
    return cls(np.where(valid, errors, 0).sum(1), valid.sum(1))

  def mean(self):
    """Mean over all forecasts, NaN when there are none."""
    count = self.count.sum()
    return float(self.total.sum() / count) if count else float('nan')

  def interval(self, seed=0):
    """The mean with its bootstrap interval over episodes, or NaN as `mean`."""
    pairs = [pair for pair in zip(*self, strict=True) if pair[1]]
    if not pairs:
      return intervals.UNKNOWN
    return intervals.bootstrap_statistic(
      pairs,
      lambda pairs: np.divide(*np.sum(pairs, axis=0)),
      rng=seed,
      resamples=RESAMPLES,
    )


def difference(one, other, seed=0):
  """Mean error of `one` less that of `other` on the same forecasts.

  Args:
    one: Errors.
    other: Errors of the same episodes.
    seed: of the bootstrap over episodes.

  Returns:
    analysis.intervals.Interval; negative where `one` is better.

  Raises:
    ValueError: The two have different numbers of forecasts.
  """
  if not np.array_equal(one.count, other.count):
    raise ValueError('other must have the forecasts of one, got other counts')
  return Errors(one.total - other.total, one.count).interval(seed)


def one_step(predictions, episodes):
  """Errors of forecasts [E, T, Z], entry t being of step t + 1; from t = 1."""
  squared = np.square(predictions - episodes.z[:, 1:]).mean(-1)
  steps = np.arange(squared.shape[1])
  valid = (steps >= 1) & (steps + 1 < episodes.frames[:, None])
  return Errors.of(squared, valid)


def baselines(z):
  """One-step forecasts [E, T, Z] of copy-last and constant velocity."""
  velocity = np.diff(z, axis=1, prepend=z[:, :1])
  return {
    'copy last frame': z[:, :-1],
    'constant velocity': (z + velocity)[:, :-1],
  }


def open_loop(forecasts, episodes):
  """Forecasts [E, starts, K, Z] of M ('model') and the baselines, by name."""
  starts, shape = forecasts.starts, forecasts.open_loop.shape
  ahead = np.arange(1, shape[2] + 1)[:, None]
  last = episodes.z[:, starts][:, :, None]
  velocity = last - episodes.z[:, starts - 1][:, :, None]
  return {
    'model': forecasts.open_loop,
    'copy last frame': np.broadcast_to(last, shape),
    'constant velocity': last + ahead * velocity,
  }


def at_horizon(predictions, starts, episodes, horizon):
  """Errors of [E, starts, K, Z] forecasts at one horizon."""
  reached = starts + horizon
  valid = reached < episodes.frames[:, None]
  targets = episodes.z[:, np.minimum(reached, episodes.z.shape[1] - 1)]
  squared = np.square(predictions[:, :, horizon - 1] - targets).mean(-1)
  return Errors.of(squared, valid)


def pixel_errors(latents, starts, frames, horizon, decode):
  """Errors after decoding, in squared grey levels of 0..1 per pixel.

  Args:
    latents: [E, starts, Z] forecasts made at `starts`.
    starts: [starts], steps.
    frames: list of E arrays uint8 [T, H, W, C], the real frames.
    horizon: steps ahead of the forecasts.
    decode: latents [F, Z] -> frames uint8.
  """
  total, count = np.zeros(len(frames)), np.zeros(len(frames), int)
  for row, real in enumerate(frames):
    chosen = np.flatnonzero(starts + horizon < len(real))
    if not len(chosen):
      continue
    drawn = decode(latents[row, chosen]).astype(np.float32)
    target = real[starts[chosen] + horizon].astype(np.float32)
    squared = np.square((drawn - target) / 255).mean((1, 2, 3))
    total[row], count[row] = squared.sum(), len(chosen)
  return Errors(total, count)


def done_scores(forecasts, episodes):
  """Per episode: labels [n] (the step that died) and done logits [n]."""
  groups = []
  lives = zip(episodes.frames, episodes.ended, strict=True)
  for row, (frames, ended) in enumerate(lives):
    labels = np.zeros(frames - 1 + int(ended), int)
    labels[frames - 1 :] = 1
    groups.append((labels, forecasts.done_logit[row, : len(labels)]))
  return groups


def likelihood(forecasts, episodes):
  """Mean NLL per latent dimension in nats over all forecasts with a target."""
  steps = np.arange(forecasts.nll.shape[1])
  valid = steps + 1 < episodes.frames[:, None]
  return Errors.of(forecasts.nll, valid)


def done_measures(groups, seed=0):
  """AUC with its interval, precision and recall at logit 0, as a dict.

  A set of episodes without a death has no AUC: NaN then.
  """
  labels, scores = map(np.concatenate, zip(*groups, strict=True))
  nothing = float('nan')
  if labels.all() or not labels.any():
    return {'auc': intervals.UNKNOWN, 'precision': nothing, 'recall': nothing}
  try:
    auc = intervals.bootstrap_statistic(
      groups, classification.pooled_roc_auc, rng=seed, resamples=RESAMPLES
    )
  except ValueError:  # too few episodes with a death to draw from
    value = classification.roc_auc(labels, scores)
    auc = intervals.Interval(value, nothing, nothing)
  at_zero = classification.precision_recall_at(labels, scores, 0.0)
  return {
    'auc': auc,
    'precision': at_zero.precision,
    'recall': at_zero.recall,
  }


class Row(typing.NamedTuple):
  """One predictor's line in the tables; None where it predicts nothing."""

  sampled: Errors  # one step, z drawn from the posterior
  mean: Errors  # one step, posterior means
  latent: dict  # horizon -> Errors, open loop on posterior means
  pixels: dict  # horizon -> Errors; empty where the game shows no pictures
  nll: Errors | None = None
  done: dict | None = None  # auc, precision, recall


def latent_table(rows):
  """Likelihood and errors of latents, from dict of name -> Row."""
  columns = ['predictor', 'NLL/dim', 'MSE 1, z drawn', 'MSE 1, z mean']
  result = table.Table([*columns, *(f'MSE {k}' for k in HORIZONS[1:])])
  for name, row in rows.items():
    result.add(
      name,
      row.nll.mean() if row.nll else None,
      row.sampled.interval(),
      row.mean.interval(),
      *(row.latent[horizon].mean() for horizon in HORIZONS[1:]),
    )
  return result


def game_table(rows):
  """Errors in pixels (times 1000) and the done head, analysis.table.Table."""
  horizons = HORIZONS if any(row.pixels for row in rows.values()) else ()
  columns = ['predictor', *(f'pixels {horizon}' for horizon in horizons)]
  result = table.Table([*columns, 'done AUC', 'precision', 'recall'])
  for name, row in rows.items():
    result.add(
      name,
      *(row.pixels[horizon].mean() * 1000 for horizon in horizons),
      *(row.done.values() if row.done else [None] * 3),
    )
  return result


def as_json(rows):
  """The same numbers as nested dicts; None where there is none."""

  def means(errors):
    return {str(key): value.mean() for key, value in errors.items()}

  return {
    name: _finite(
      {
        'nll': row.nll and row.nll.mean(),
        'mse_drawn': row.sampled.interval(),
        'mse': row.mean.interval(),
        'mse_open_loop': means(row.latent),
        'pixel_mse': means(row.pixels),
        'done_auc': row.done and row.done['auc'],
        'done_precision': row.done and row.done['precision'],
        'done_recall': row.done and row.done['recall'],
      }
    )
    for name, row in rows.items()
  }


def _finite(value):
  """The same with None for every number that is not finite."""
  if isinstance(value, dict):
    return {name: _finite(entry) for name, entry in value.items()}
  if isinstance(value, tuple):
    return [_finite(entry) for entry in value]
  return value if value is not None and math.isfinite(value) else None
