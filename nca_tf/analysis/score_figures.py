"""Scores of controllers over generations, with scripted policies as lines."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from nca_tf.analysis import canvas
from nca_tf.analysis import intervals


def scores_over_generations(
  curves: Mapping[str, tuple[Sequence[int], Sequence[float]]],
  looks: Mapping[str, tuple[Sequence[int], Sequence[Sequence[float]]]],
  lines: Mapping[str, float] | None = None,
  *,
  resamples: int = 2000,
) -> Figure:
  """The picture of the original work: score in the game over generations.

  Args:
    curves: thin lines by name: generations and one number for each, such as a
      population's mean in the dream.
    looks: thick lines by name: generations and the scores of all episodes
      played then, drawn as their mean with its bootstrap 95 % interval.
    lines: horizontal lines by name, such as the scripted policies.
    resamples: of the bootstrap.

  Raises:
    ValueError: there is nothing to draw.
  """
  if not curves and not looks:
    raise ValueError('curves or looks must hold something, got nothing')
  figure = canvas.new_figure(1000, 560)
  axes = figure.subplots()
  for name, (generations, values) in curves.items():
    axes.plot(generations, values, linewidth=1, alpha=0.7, label=name)
  rng = np.random.default_rng(0)
  for name, (generations, scores) in looks.items():
    found = [
      intervals.bootstrap_mean(each, rng=rng, resamples=resamples)
      for each in scores
    ]
    means = [each.mean for each in found]
    below = [each.mean - each.low for each in found]
    above = [each.high - each.mean for each in found]
    axes.errorbar(
      generations,
      means,
      yerr=[below, above],
      linewidth=2.5,
      marker='o',
      capsize=3,
      label=f'{name}, in the game',
    )
  last = 0.0
  for name, value in sorted((lines or {}).items(), key=lambda item: item[1]):
    axes.axhline(value, color='0.55', linewidth=1, linestyle='--', zorder=0)
    last = max(value, last + 0.03 * axes.get_ylim()[1])
    axes.annotate(
      f'{name} {value:.0f}',
      (1.005, last),
      xycoords=('axes fraction', 'data'),
      fontsize=9,
      va='center',
      annotation_clip=False,
    )
  axes.set_ylim(bottom=0)
  axes.set_xlabel('generation')
  axes.set_ylabel('survived tics')
  axes.legend(frameon=False)
  axes.spines[['top', 'right']].set_visible(False)
  return figure
