"""Scores of controllers over generations, with scripted policies as lines."""

from collections.abc import Mapping, Sequence

import numpy as np
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

  The first of the curves and the first of the evaluations have one colour,
  being of one search, and so on.

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
  for number, (name, (generations, values)) in enumerate(curves.items()):
    style = _style(number, linewidth=1, alpha=0.8, label=name)
    style['marker'] = '.' if len(values) == 1 else None
    axes.plot(generations, values, **style)
  rng = np.random.default_rng(0)
  for number, (name, (generations, scores)) in enumerate(evaluations.items()):
    found = [
      intervals.bootstrap_mean(each, rng=rng, resamples=_RESAMPLES)
      for each in scores
    ]
    means, low, high = np.reshape(found, (-1, 3)).T
    # Bars of several searches stand side by side.
    shift = 0.15 * (number - (len(evaluations) - 1) / 2)
    axes.errorbar(
      np.asarray(generations) + shift,
      means,
      yerr=[(means - low).tolist(), (high - means).tolist()],
      capsize=3,
      **_style(number, linewidth=2.5, label=f'{name}, in the game'),
    )
  _finish(figure, axes, lines or {})
  return figure


def repeated_scores_over_generations(
  evaluations: Mapping[str, tuple[Sequence[int], Sequence[Sequence[Sequence]]]],
  lines: Mapping[str, float] | None = None,
  controls: Mapping[str, str] | None = None,
) -> Figure:
  """The same for settings that were each run with several seeds.

  Args:
    evaluations: by name: generations, and for each of them the scores of all
      its episodes, one list per seed. Drawn as a thin line per seed, a thick
      one for their mean, and a band: its bootstrap 95 % interval over seeds and
      episodes.
    lines: horizontal lines by name, such as the scripted policies.
    controls: name of a setting by that of its control, which is dashed and of
      the same colour.

  Raises:
    ValueError: there is nothing to draw.
  """
  if not evaluations:
    raise ValueError('evaluations must hold something, got nothing')
  figure = canvas.new_figure(1000, 560)
  axes = figure.subplots()
  controls = controls or {}
  treated = [name for name in evaluations if name not in controls]
  for number, (name, (generations, scores)) in enumerate(evaluations.items()):
    origin = controls.get(name, name)
    place = treated.index(origin) if origin in treated else number
    style = _style(place, linestyle='--' if name in controls else '-')
    found = [
      intervals.bootstrap_nested(each, rng=number, resamples=_RESAMPLES)
      for each in scores
    ]
    mean, low, high = np.reshape(found, (-1, 3)).T
    axes.fill_between(
      generations, low, high, color=style['color'], alpha=0.1, linewidth=0
    )
    axes.plot(generations, mean, linewidth=2.5, label=name, **style)
    style |= {'linewidth': 0.8, 'alpha': 0.35, 'marker': None}
    for seed in range(max(map(len, scores))):
      means = [np.mean(each[seed]) for each in scores]
      axes.plot(generations, means, **style)
  _finish(figure, axes, lines or {})
  return figure


def _style(number, **more):
  """Colour and marker of the search or setting of a number."""
  place = number % len(canvas.COLOURS)
  return {'color': canvas.COLOURS[place], 'marker': 'osD^vP'[place], **more}


def _finish(figure, axes, lines):
  """Draws the horizontal lines with their names, and labels the axes."""
  for value in lines.values():
    axes.axhline(value, color='0.55', linewidth=1, linestyle='--', zorder=0)
  if min([axes.dataLim.y0, *lines.values()]) >= 0:  # Tics, not rewards.
    axes.set_ylim(bottom=0)
  canvas.clean(axes, x='generation', y='score')
  canvas.count_along(axes)
  digits = 0 if max(map(abs, lines.values()), default=0) >= 10 else 2
  ends = [
    (value, f'{name} {value:.{digits}f}', canvas.GREY)
    for name, value in lines.items()
  ]
  canvas.label_ends(axes, ends)
  # Outside the axes, where no line crosses it.
  style = {'frameon': False, 'handlelength': 3.5, 'ncols': 4}
  figure.legend(loc='outside upper left', **style)
