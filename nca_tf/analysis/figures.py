"""Pictures of how a world model learns and how well it predicts.

Every function returns a matplotlib `Figure` about 1000 pixels wide; `to_image`
makes it an array for TensorBoard and `save` a file.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from nca_tf.analysis import canvas
from nca_tf.analysis import classification
from nca_tf.analysis.canvas import save
from nca_tf.analysis.canvas import to_image

__all__ = [
  'done_scores',
  'horizon_errors',
  'learning_curves',
  'mixture_histograms',
  'reconstructions',
  'save',
  'to_image',
]


def reconstructions(frames, decoded) -> Figure:
  """Frames of the game above what the vision model makes of them.

  Args:
    frames: [K, H, W, 3], uint8 or floats in [0, 1].
    decoded: the same for the reconstructions.

  Raises:
    ValueError: shapes that differ or no pictures.
  """
  frames, decoded = _floats('frames', frames), _floats('decoded', decoded)
  if frames.shape != decoded.shape:
    raise ValueError(
      f'decoded must be of shape {frames.shape}, got {decoded.shape}'
    )
  columns = len(frames)
  tall = frames.shape[1] / frames.shape[2]
  side = 960 / max(4, columns)
  figure = canvas.new_figure(1000, int(2 * side * tall) + 80)
  grid = figure.subplots(2, max(4, columns), squeeze=False)
  for axes in grid.flat:
    axes.set_axis_off()
  for i in range(columns):
    error = np.square(frames[i] - decoded[i]).sum()
    grid[0, i].set_title(f'{error:.1f}', fontsize=10)
    for row, picture in enumerate((frames[i], decoded[i])):
      grid[row, i].imshow(picture, interpolation='nearest', vmin=0, vmax=1)
  for row, label in enumerate(('game', 'reconstruction')):
    grid[row, 0].text(
      -0.06,
      0.5,
      label,
      rotation=90,
      fontsize=11,
      ha='right',
      va='center',
      transform=grid[row, 0].transAxes,
    )
  figure.suptitle(
    'Reconstructions; above each, the squared error summed over the picture'
    ' (values 0..1)',
    fontsize=12,
  )
  return figure


def learning_curves(
  records: Sequence[Mapping],
  keys: Sequence[str],
  title: str = '',
  *,
  held_out: str = 'held_out_',
) -> Figure:
  """One small panel per quantity over the updates.

  Training is a thin line; what was measured on held-out data a thick one.
  A panel has a logarithmic axis when its values are positive and span more
  than a factor of ten.

  Args:
    records: dicts with 'step' and any of the quantities, as in metrics.jsonl;
      a record that lacks a quantity, or holds NaN for it, is passed over.
    keys: names of quantities, one panel each.
    title: above all panels.
    held_out: what stands before a quantity's name when it is of held-out data.

  Raises:
    ValueError: no keys, or a key that no record has.
  """
  if not keys:
    raise ValueError('keys must name at least one quantity, got none')
  columns = min(3, len(keys))
  rows = math.ceil(len(keys) / columns)
  figure = canvas.new_figure(1000, 60 + 280 * rows)
  panels = list(figure.subplots(rows, columns, squeeze=False).flat)
  for axes in panels[len(keys) :]:
    axes.set_axis_off()
  for axes, key in zip(panels, keys, strict=False):
    training = _series(records, key)
    holding = _series(records, held_out + key)
    if not len(training[0]) and not len(holding[0]):
      raise ValueError(
        f'keys must be in the records, got {key!r}; there are'
        f' {sorted({name for record in records for name in record})}'
      )
    # The thin line above the thick one: either is seen where both agree.
    _curve(axes, *holding, colour=canvas.ORANGE, width=3.5, label='held out')
    _curve(axes, *training, colour=canvas.BLUE, width=1, label='training')
    _logarithmic_where_it_helps(axes, np.concatenate([training[1], holding[1]]))
    canvas.clean(axes, key.replace('_', ' '), 'updates')
    axes.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=''))
    axes.legend(fontsize=9, frameon=False)
  figure.suptitle(title, fontsize=13)
  return figure


def horizon_errors(
  horizons: Sequence[int], errors: Mapping[str, Sequence], title: str = ''
) -> Figure:
  """Mean squared error of latents over how far ahead they are predicted.

  Args:
    horizons: [P] steps ahead, increasing, at least 1.
    errors: for each predictor's name its [P] errors, all positive: numbers,
      or intervals, which are drawn as bands.
    title: above the axes.

  Raises:
    ValueError: lengths that differ, or an error that is not positive.
  """
  if not errors or not len(horizons) or np.any(np.diff(horizons) <= 0):
    raise ValueError(
      'horizons must increase and errors name a predictor, got'
      f' {list(horizons)} and {list(errors)}'
    )
  figure = canvas.new_figure(1000, 520)
  axes = figure.subplots()
  axes.set_xscale('log')
  axes.set_yscale('log')
  ends = []
  for i, (name, values) in enumerate(errors.items()):
    values = np.array([np.atleast_1d(value) for value in values], np.float64)
    if len(values) != len(horizons) or not np.all(values[:, 0] > 0):
      raise ValueError(
        f'errors[{name!r}] must be {len(horizons)} positive numbers, got'
        f' {values[:, 0].tolist() if len(values) else []}'
      )
    colour = canvas.COLOURS[i % len(canvas.COLOURS)]
    marker = 'osD^vX'[i % 6]
    axes.plot(
      horizons, values[:, 0], color=colour, marker=marker, ms=5, lw=2 + (i == 0)
    )
    if values.shape[1] == 3:
      axes.fill_between(
        horizons, values[:, 1], values[:, 2], color=colour, alpha=0.2, lw=0
      )
    ends.append((values[-1, 0], name, colour))
  canvas.clean(
    axes,
    title or 'Open-loop prediction error',
    'steps ahead',
    'mean squared error of z (per dimension)',
  )
  if len(horizons) <= 10:
    axes.set_xticks(horizons, [str(horizon) for horizon in horizons])
  else:
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter('%g'))
  axes.minorticks_off()
  axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
  axes.yaxis.set_major_formatter(ticker.FormatStrFormatter('%g'))
  axes.tick_params(which='both', labelsize=10)
  axes.grid(axis='y', which='both', color='0.9')
  canvas.label_ends(axes, ends)
  return figure


def done_scores(labels, scores, threshold: float) -> Figure:
  """Predicted probability that the episode ends, by what then happened.

  Args:
    labels: [N], 1 where the episode ended.
    scores: [N] predicted probabilities.
    threshold: above it the dream ends an episode.
  """
  labels, scores = np.asarray(labels).astype(bool), np.asarray(scores)
  figure = canvas.new_figure(1000, 420)
  left, right = figure.subplots(1, 2, width_ratios=(3, 2))
  bins = np.linspace(0, 1, 51)
  classes = (('goes on', ~labels, canvas.BLUE), ('ends', labels, canvas.ORANGE))
  for name, chosen, colour in classes:
    left.hist(
      scores[chosen],
      bins,
      color=colour,
      alpha=0.45,
      histtype='stepfilled',
      edgecolor=colour,
      lw=1.5,
      label=f'{name} (n = {chosen.sum():,})',
    )
  left.axvline(
    threshold,
    color=canvas.GREY,
    ls='--',
    lw=1.5,
    label=f'threshold {threshold:.3g}',
  )
  left.set_yscale('log')
  left.set_ylim(0.7, 20 * left.get_ylim()[1])  # Room for the legend.
  left.set_xlim(0, 1)
  left.legend(fontsize=10, frameon=False, loc='upper right')
  canvas.clean(
    left, 'Does the episode end?', 'predicted probability of the end', 'steps'
  )
  _roc(right, labels, scores, threshold)
  return figure


def mixture_histograms(weights, sigmas, latents) -> Figure:
  """What the mixture head uses of its freedom, and how the latents lie.

  Args:
    weights: [S, D, K] mixture weights, which sum to 1 over K.
    sigmas: [S, D, K] standard deviations, positive.
    latents: [S, D] latents, which the prior wants standard normal.

  Raises:
    ValueError: shapes that do not fit, or weights that do not sum to 1.
  """
  weights, sigmas = np.asarray(weights, np.float64), np.asarray(sigmas)
  latents = np.asarray(latents, np.float64)
  if weights.ndim != 3 or weights.shape != sigmas.shape:
    raise ValueError(
      'weights and sigmas must be of one shape [S, D, K], got'
      f' {weights.shape} and {sigmas.shape}'
    )
  if not np.allclose(weights.sum(-1), 1, atol=1e-3):
    raise ValueError('weights must sum to 1 over the last axis')
  figure = canvas.new_figure(1000, 340)
  entropy, width, values = figure.subplots(1, 3)
  _entropy(entropy, weights)
  logs = np.log10(np.maximum(sigmas.ravel(), 1e-12))
  bins = np.logspace(logs.min() - 0.01, logs.max() + 0.01, 50)
  width.hist(
    sigmas.ravel(), bins, weights=weights.ravel(), color=canvas.GREEN, alpha=0.8
  )
  width.set_xscale('log')
  width.axvline(1, color=canvas.GREY, ls='--', lw=1.5)
  canvas.clean(
    width, 'Component width', 'sigma (dashed: the prior, 1)', 'mixture weight'
  )
  limit = max(4.0, float(np.quantile(np.abs(latents), 0.999)))
  grid = np.linspace(-limit, limit, 201)
  values.hist(
    np.clip(latents.ravel(), -limit, limit),
    np.linspace(-limit, limit, 61),
    density=True,
    color=canvas.PURPLE,
    alpha=0.8,
  )
  normal = np.exp(-np.square(grid) / 2) / math.sqrt(2 * math.pi)
  values.plot(grid, normal, color='black', lw=1.5, label='standard normal')
  values.legend(fontsize=9, frameon=False, loc='upper right')
  canvas.clean(values, 'Latents', 'z, all dimensions', 'density')
  values.set_ylim(top=1.25 * values.get_ylim()[1])
  return figure


def _entropy(axes, weights):
  logs = np.log(np.maximum(weights, 1e-12))
  nats = np.maximum(-(weights * logs).sum(-1).ravel(), 0)
  limit = max(math.log(weights.shape[-1]), 1e-3)
  axes.hist(nats, np.linspace(0, limit, 50), color=canvas.BLUE, alpha=0.8)
  axes.axvline(limit, color=canvas.GREY, ls='--', lw=1.5)
  canvas.clean(
    axes,
    'Mixture weights',
    f'entropy, nats (dashed: log {weights.shape[-1]})',
    'steps x dimensions',
  )
  axes.yaxis.set_major_formatter(ticker.EngFormatter(sep=''))


def _roc(axes, labels, scores, threshold):
  axes.set_xlim(-0.02, 1.02)
  axes.set_ylim(-0.02, 1.02)
  axes.set_aspect('equal')
  axes.plot([0, 1], [0, 1], color='0.8', lw=1)
  title = 'ROC needs both classes'
  if labels.any() and not labels.all():
    axes.plot(
      *classification.roc_curve(labels, scores), color=canvas.BLUE, lw=2
    )
    at = classification.precision_recall_at(labels, scores, threshold)
    false = np.mean(scores[~labels] > threshold)
    axes.plot(false, at.recall, 'o', color=canvas.VERMILION, ms=8)
    axes.annotate(
      f'threshold {threshold:.3g}\nprecision {at.precision:.2f}\n'
      f'recall {at.recall:.2f}',
      (1, 0.02),
      ha='right',
      va='bottom',
      fontsize=10,
      color=canvas.VERMILION,
    )
    title = f'ROC, area {classification.roc_auc(labels, scores):.3f}'
  canvas.clean(axes, title, 'false alarms (share)', 'ends found (share)')


def _series(records, key):
  points = [
    (record['step'], record[key])
    for record in records
    if record.get(key) is not None and math.isfinite(record[key])
  ]
  steps, values = np.array(points, np.float64).reshape(-1, 2).T
  return steps, values


def _curve(axes, steps, values, *, colour, width, label):
  if len(steps):
    marker = 'o' if len(steps) == 1 else None
    axes.plot(
      steps, values, color=colour, lw=width, label=label, marker=marker, ms=5
    )


def _logarithmic_where_it_helps(axes, values):
  if values.min() > 0 and values.max() > 10 * values.min():
    axes.set_yscale('log')


def _floats(name, pictures):
  pictures = np.asarray(pictures)
  if pictures.ndim != 4 or pictures.shape[-1] != 3 or not len(pictures):
    raise ValueError(
      f'{name} must be of shape [K, H, W, 3], K > 0, got {pictures.shape}'
    )
  if pictures.dtype == np.uint8:
    return pictures / 255
  return np.clip(pictures.astype(np.float64), 0, 1)
