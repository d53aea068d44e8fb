"""How well M predicts: errors by horizon, and the end of the episode."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from nca_tf import checks
from nca_tf.analysis import canvas
from nca_tf.analysis import classification


def horizon_errors(
  horizons: Sequence[int], errors: Mapping[str, Sequence], title: str = ''
) -> Figure:
  """Mean squared error of latents over how far ahead they are predicted.

  Args:
    horizons: [P] steps ahead, increasing, at least 1; none where no episode is
      long enough, which the figure then says.
    errors: for each predictor's name its [P] errors, not negative: numbers, or
      intervals, which are drawn as bands. A zero or NaN leaves a gap, since the
      axis is logarithmic.
    title: above the axes.

  Raises:
    ValueError: lengths that differ, or a negative error.
  """
  if not errors or np.any(np.diff([0, *horizons]) <= 0):
    raise ValueError(
      'horizons must increase from 1 on and errors name a predictor, got'
      f' {list(horizons)} and {list(errors)}'
    )
  figure = canvas.new_figure(1000, 520)
  axes = figure.subplots()
  canvas.clean(
    axes,
    title or 'Open-loop prediction error',
    'steps ahead',
    'mean squared error of z (per dimension)',
  )
  ends = [
    _error_line(axes, i, name, horizons, values)
    for i, (name, values) in enumerate(errors.items())
  ]
  ends = [end for end in ends if np.isfinite(end[0])]
  if not ends:
    canvas.say_nothing_to_draw(axes, 'no episode is long enough to measure')
    return figure
  axes.set_xscale('log')
  axes.set_yscale('log')
  _label_horizons(axes, horizons)
  canvas.label_ends(axes, ends)
  return figure


def _error_line(axes, number, name, horizons, values):
  """Draws one predictor's errors; returns (last value, name, colour)."""
  values = [np.atleast_1d(value) for value in values]
  values = np.array(values, np.float64).T  # [1 or 3, P]
  means = values[0] if len(values) else values
  if len(means) != len(horizons) or np.any(means < 0):
    raise ValueError(
      f'errors[{name!r}] must be {len(horizons)} numbers that are not negative,'
      f' got {means.tolist()}'
    )
  means = np.where(means > 0, means, np.nan)
  style = canvas.line_style(number)
  # Markers of many horizons would hide the line.
  axes.plot(horizons, means, markevery=max(1, len(means) // 12), **style)
  colour = style['color']
  if len(values) == 3:
    axes.fill_between(
      horizons, values[1], values[2], color=colour, alpha=0.2, lw=0
    )
  drawn = means[np.isfinite(means)]
  return drawn[-1] if len(drawn) else np.nan, name, colour


def _label_horizons(axes, horizons):
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


def trajectories(real, dreamt, most: int = 8) -> Figure:
  """The numbers that a game showed, and those that were dreamt in their place.

  Args:
    real: [T, N].
    dreamt: [T, N].
    most: how many of the N are drawn, those that vary most first.

  Raises:
    ValueError: shapes that differ.
  """
  real, dreamt = np.asarray(real), np.asarray(dreamt)
  if real.shape != dreamt.shape or real.ndim != 2 or not real.size:
    raise ValueError(
      f'real and dreamt must be of one shape [T, N], T and N above 0, got '
      f'{real.shape} and {dreamt.shape}'
    )
  chosen = np.sort(np.argsort(-real.std(0), kind='stable')[:most])
  columns = min(2, len(chosen))
  rows = -(-len(chosen) // columns)
  figure = canvas.new_figure(1000, 80 + 200 * rows)
  panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
  steps = np.arange(1, len(real) + 1)
  marker = 'o' if len(real) == 1 else None
  for axes, number in zip(panels, chosen, strict=False):
    axes.plot(steps, real[:, number], color=canvas.ORANGE, lw=3, marker=marker)
    axes.plot(
      steps, dreamt[:, number], color=canvas.BLUE, lw=1.5, marker=marker
    )
    canvas.clean(axes, f'number {number + 1} of {real.shape[1]}')
    axes.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
  for axes in panels[len(chosen) :]:
    axes.set_visible(False)
  for axes in panels[max(0, len(chosen) - columns) : len(chosen)]:
    axes.set_xlabel('steps dreamt', fontsize=11)
    axes.tick_params(labelbottom=True)
  figure.legend(
    panels[0].lines,
    ('game', 'dream of M'),
    loc='outside upper right',
    ncols=2,
    fontsize=11,
    frameon=False,
  )
  return figure


def done_scores(labels, scores, threshold: float) -> Figure:
  """Predicted probability that the episode ends, by what then happened.

  Args:
    labels: [N], 1 where the episode ended.
    scores: [N] predicted probabilities.
    threshold: above it the dream ends an episode.

  Raises:
    ValueError: lengths that differ, or a threshold that is no number.
  """
  threshold = checks.real('threshold', threshold)
  labels, scores = np.asarray(labels).astype(bool), np.asarray(scores)
  if labels.shape != scores.shape or labels.ndim != 1:
    raise ValueError(
      'labels and scores must be lists of one length, got shapes '
      f'{labels.shape} and {scores.shape}'
    )
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
