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
  """Squared errors of one predictor, per episode.

  Attributes:
    total: [E] sum over an episode's forecasts of the mean squared error.
    count: [E] number of forecasts.
  """

  total: np.ndarray
  count: np.ndarray

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
  """
  if not np.array_equal(one.count, other.count):
    raise ValueError('other must have the forecasts of one, got other counts')
  less = Errors(one.total - other.total, one.count)
  return less.interval(seed)


def one_step(predictions, episodes):
  """Errors of forecasts [E, T, Z], entry t being of step t + 1; from t = 1."""
  squared = np.square(predictions - episodes.z[:, 1:]).mean(-1)
  steps = np.arange(squared.shape[1])
  valid = (steps >= 1) & (steps + 1 < episodes.frames[:, None])
  return Errors(np.where(valid, squared, 0).sum(1), valid.sum(1))


def baselines(z):
  """One-step forecasts [E, T, Z] of copy-last and constant velocity."""
  velocity = np.diff(z, axis=1, prepend=z[:, :1])
  return {
    'copy last frame': z[:, :-1],
    'constant velocity': (z + velocity)[:, :-1],
  }


def open_loop(forecasts, episodes):
  """Forecasts of each predictor from every start.

  Args:
    forecasts: world_model.forecast.Forecasts.
    episodes: world_model.forecast.Episodes.

  Returns:
    dict of name -> [E, starts, K, Z] with 'model', 'copy last frame' and
    'constant velocity'.
  """
  starts = forecasts.starts
  ahead = np.arange(1, forecasts.open_loop.shape[2] + 1)[:, None]
  last = episodes.z[:, starts]
  velocity = last - episodes.z[:, starts - 1]
  return {
    'model': forecasts.open_loop,
    'copy last frame': np.broadcast_to(
      last[:, :, None], forecasts.open_loop.shape
    ),
    'constant velocity': last[:, :, None] + ahead * velocity[:, :, None],
  }


def at_horizon(predictions, starts, episodes, horizon):
  """Errors of [E, starts, K, Z] forecasts at one horizon."""
  reached = starts + horizon
  valid = reached < episodes.frames[:, None]
  reached = np.minimum(reached, episodes.z.shape[1] - 1)
  targets = episodes.z[:, reached]
  squared = np.square(predictions[:, :, horizon - 1] - targets).mean(-1)
  return Errors(np.where(valid, squared, 0).sum(1), valid.sum(1))


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
  for row, frames in enumerate(episodes.frames):
    steps = frames - 1 + int(episodes.ended[row])
    labels = np.zeros(steps, int)
    if episodes.ended[row]:
      labels[-1] = 1
    groups.append((labels, forecasts.done_logit[row, :steps]))
  return groups


def likelihood(forecasts, episodes):
  """Mean NLL per latent dimension in nats over all forecasts with a target."""
  steps = np.arange(forecasts.nll.shape[1])
  valid = steps + 1 < episodes.frames[:, None]
  return Errors(np.where(valid, forecasts.nll, 0).sum(1), valid.sum(1))


def done_measures(groups, seed=0):
  """AUC with its interval, precision and recall at logit 0, as a dict.

  A set of episodes without a death has no AUC: NaN then.
  """
  labels = np.concatenate([labels for labels, _ in groups])
  scores = np.concatenate([scores for _, scores in groups])
  if labels.all() or not labels.any():
    nothing = float('nan')
    return {
      'auc': intervals.UNKNOWN,
      'precision': nothing,
      'recall': nothing,
    }
  try:
    auc = intervals.bootstrap_statistic(
      groups, classification.pooled_roc_auc, rng=seed, resamples=RESAMPLES
    )
  except ValueError:  # too few episodes with a death to draw from
    value = classification.roc_auc(labels, scores)
    auc = intervals.Interval(value, float('nan'), float('nan'))
  at_threshold = classification.precision_recall_at(labels, scores, 0.0)
  return {
    'auc': auc,
    'precision': at_threshold.precision,
    'recall': at_threshold.recall,
  }


class Row(typing.NamedTuple):
  """One predictor's line in the tables; None where it predicts nothing."""

  nll: Errors | None
  sampled: Errors  # one step, z drawn from the posterior
  mean: Errors  # one step, posterior means
  latent: dict  # horizon -> Errors, open loop on posterior means
  pixels: dict  # horizon -> Errors
  done: dict | None  # auc, precision, recall


def latent_table(rows):
  """Likelihood and errors of latents, analysis.table.Table.

  Args:
    rows: dict of name -> Row.
  """
  columns = ['predictor', 'NLL/dim', 'MSE 1, z drawn', 'MSE 1, z mean']
  columns += [f'MSE {horizon}' for horizon in HORIZONS[1:]]
  result = table.Table(columns)
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
  columns = ['predictor', *(f'pixels {horizon}' for horizon in HORIZONS)]
  result = table.Table([*columns, 'done AUC', 'precision', 'recall'])
  for name, row in rows.items():
    done = row.done or dict.fromkeys(('auc', 'precision', 'recall'))
    result.add(
      name,
      *(row.pixels[horizon].mean() * 1000 for horizon in HORIZONS),
      done['auc'],
      done['precision'],
      done['recall'],
    )
  return result


def as_json(rows):
  """The same numbers as nested dicts; None where there is none."""
  return {
    name: {
      'nll': _number(row.nll.mean()) if row.nll else None,
      'mse_drawn': _numbers(row.sampled.interval()),
      'mse': _numbers(row.mean.interval()),
      'mse_open_loop': _means(row.latent),
      'pixel_mse': _means(row.pixels),
      'done_auc': _numbers(row.done['auc']) if row.done else None,
      'done_precision': _number(row.done['precision']) if row.done else None,
      'done_recall': _number(row.done['recall']) if row.done else None,
    }
    for name, row in rows.items()
  }


def against(rows, name, baseline):
  """One-step error of `name` less that of `baseline`, on both forms of z.

  Args:
    rows: dict of name -> Row.
    name: of a predictor.
    baseline: of another.

  Returns:
    dict of 'z drawn' and 'z mean', each an Interval.
  """
  one, other = rows[name], rows[baseline]
  return {
    'z drawn': difference(one.sampled, other.sampled),
    'z mean': difference(one.mean, other.mean),
  }


def _number(value):
  return value if math.isfinite(value) else None


def _numbers(values):
  return [_number(value) for value in values]


def _means(errors):
  return {str(key): _number(value.mean()) for key, value in errors.items()}
