"""Scores of controllers over generations, with scripted policies as lines."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from nca_tf.analysis import canvas
from nca_tf.analysis import intervals

_RESAMPLES = 2000


def scores_over_generations(
  curves: Mapping[str, tuple[Sequence[int], Sequence[float]]],
  evaluations: Mapping[str, tuple[Sequence[int], Sequence[Sequence[float]]]],
  lines: Mapping[str, float] | None = None,
) -> Figure:
  """As the published figure: score in the game over generations.

  Args:
    curves: thin lines by name: generations and one number for each, such as a
      population's mean in the dream.
    evaluations: thick lines by name: generations and the scores of all episodes
      played then, drawn as their mean with its bootstrap 95 % interval.
    lines: horizontal lines by name, such as the scripted policies.

  Raises:
    ValueError: there is nothing to draw.
  """
  if not curves and not evaluations:
    raise ValueError('curves or evaluations must hold something, got nothing')
  figure = canvas.new_figure(1000, 560)
  axes = figure.subplots()
  for name, (generations, values) in curves.items():
    axes.plot(generations, values, linewidth=1, alpha=0.7, label=name)
  rng = np.random.default_rng(0)
  for name, (generations, scores) in evaluations.items():
    found = [
      intervals.bootstrap_mean(each, rng=rng, resamples=_RESAMPLES)
      for each in scores
    ]
    means, low, high = np.reshape(found, (-1, 3)).T
    axes.errorbar(
      generations,
      means,
      yerr=[(means - low).tolist(), (high - means).tolist()],
      linewidth=2.5,
      marker='o',
      capsize=3,
      label=f'{name}, in the game',
    )
  _finish(axes, lines or {})
  return figure


def repeated_scores_over_generations(
  evaluations: Mapping[str, tuple[Sequence[int], Sequence[Sequence[Sequence]]]],
  lines: Mapping[str, float] | None = None,
) -> Figure:
  """The same for settings that were each run with several seeds.

  Args:
    evaluations: by name: generations, and for each of them the scores of all
      its episodes, one list per seed. Drawn as a thin line per seed, a thick
      one for their mean, and a band: its bootstrap 95 % interval over seeds and
      episodes.
    lines: horizontal lines by name, such as the scripted policies.

  Raises:
    ValueError: there is nothing to draw.
  """
  if not evaluations:
    raise ValueError('evaluations must hold something, got nothing')
  figure = canvas.new_figure(1000, 560)
  axes = figure.subplots()
  for number, (name, (generations, scores)) in enumerate(evaluations.items()):
    colour = canvas.COLOURS[number % len(canvas.COLOURS)]
    found = [
      intervals.bootstrap_nested(each, rng=number, resamples=_RESAMPLES)
      for each in scores
    ]
    mean, low, high = np.reshape(found, (-1, 3)).T
    axes.fill_between(
      generations, low, high, color=colour, alpha=0.12, linewidth=0
    )
    for seed in range(max(map(len, scores))):
      means = [np.mean(each[seed]) for each in scores]
      axes.plot(generations, means, color=colour, linewidth=0.8, alpha=0.5)
    axes.plot(
      generations, mean, color=colour, linewidth=2.5, marker='o', label=name
    )
  _finish(axes, lines or {})
  return figure


def _finish(axes, lines):
  """Draws the horizontal lines with their names, and labels the axes."""
  for value in lines.values():
    axes.axhline(value, color='0.55', linewidth=1, linestyle='--', zorder=0)
  if min([axes.dataLim.y0, *lines.values()]) >= 0:  # Tics, not rewards.
    axes.set_ylim(bottom=0)
  canvas.clean(axes, x='generation', y='score')
  axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
  if lines:
    ends = [
      (value, f'{name} {value:.0f}', canvas.GREY)
      for name, value in lines.items()
    ]
    canvas.label_ends(axes, ends, gap=0.04)
  # Above the axes, where no line crosses it.
  axes.legend(frameon=False, loc='lower left', bbox_to_anchor=(0, 1), ncols=3)
