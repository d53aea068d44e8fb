"""How many deaths M imagines for each that happened."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from nca_tf.analysis import canvas

_GOOD = 0.8, 1.25
_ENDS = 0.1, 10  # What lies beyond is drawn on the border.


def hazard_ratios(
  groups: Sequence[str], ratios: Mapping[str, np.ndarray]
) -> Figure:
  """Imagined over real deaths by steps ahead, on a logarithmic axis.

  Args:
    groups: Names of the [G] ranges of steps.
    ratios: By the name of M [G, 3], the ratio and the ends of its interval; NaN
      where there was no death or no interval.

  Raises:
    ValueError: Shapes that do not fit.
  """
  for name, values in ratios.items():
    if np.shape(values) != (len(groups), 3):
      raise ValueError(
        f'ratios must be of shape {[len(groups), 3]}, got '
        f'{list(np.shape(values))} of {name}'
      )
  figure = canvas.new_figure(1000, 480)
  axes = figure.subplots()
  canvas.clean(
    axes,
    'Deaths that M imagines from true states, under the recorded actions',
    'steps ahead',
    'imagined over real deaths',
  )
  if not any(np.isfinite(values).any() for values in ratios.values()):
    canvas.say_nothing_to_draw(axes, 'no recorded episode ends by death')
    return figure
  axes.axhspan(*_GOOD, color='#e6e6e6', zorder=0)
  axes.axhline(1, color='#888888', lw=1)
  places, ends = np.arange(len(groups)), []
  for number, (name, values) in enumerate(ratios.items()):
    style = canvas.line_style(number)
    values = np.where(np.isnan(values), np.nan, np.clip(values, *_ENDS))
    mean, low, high = values.T
    axes.plot(places, mean, **style | {'marker': 'o'})
    axes.vlines(places, low, high, color=style['color'], lw=1.2)
    known = np.flatnonzero(np.isfinite(mean))
    if len(known):
      ends.append((mean[known[-1]], name, style['color']))
  axes.set_yscale('log')
  axes.set_ylim(*_ENDS)
  axes.set_xticks(places, groups)
  axes.yaxis.set_major_locator(ticker.FixedLocator([0.1, 0.3, 1, 3, 10]))
  axes.yaxis.set_major_formatter(ticker.FormatStrFormatter('%g'))
  axes.yaxis.set_minor_locator(ticker.NullLocator())
  canvas.label_ends(axes, ends)
  return figure
