"""Error of a sequence task over the length of its sequences."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from nca_tf import checks
from nca_tf.analysis import canvas


def error_over_length(
  lengths: Sequence[int],
  errors: Mapping[str, Sequence],
  longest: int,
  *,
  title: str = '',
  x: str = 'length',
  y: str = 'error',
  bar: float | None = None,
) -> Figure:
  """One thin line per seed, a thick one for their mean.

  The vertical axis is linear below a small error and logarithmic above, so
  that zero and a hundred fit on it.

  Args:
    lengths: [L], increasing.
    errors: by name, [seeds, L], not negative; one that is not finite leaves a
      gap.
    longest: length up to which was trained; what lies beyond is shaded.
    title: above the axes.
    x: what a length counts.
    y: what an error is.
    bar: an error to stay below, drawn as a line.

  Raises:
    ValueError: nothing to draw, lengths that differ or do not increase, or a
      negative error.
  """
  longest = checks.integer('longest', longest, least=1)
  arrays = _check(lengths, errors)
  figure = canvas.new_figure(1000, 520)
  axes = figure.subplots()
  largest = max(np.nanmax(rows, initial=0) for rows in arrays.values())
  threshold = 0.01 if largest <= 1 else 0.1
  axes.set_yscale('symlog', linthresh=threshold)
  axes.set_ylim(-0.05 * threshold, 1.5 * max(largest, threshold))
  last = max(*lengths, longest)
  axes.axvspan(longest, last, color='0.94', zorder=0)
  ends = []
  for number, (name, rows) in enumerate(arrays.items()):
    style, mean = canvas.line_style(number), rows.mean(0)
    for row in rows:
      axes.plot(lengths, row, color=style['color'], lw=0.8, alpha=0.5)
    axes.plot(lengths, mean, clip_on=False, **style)
    ends.append((mean[-1], name, style['color']))
  if bar is not None:
    axes.axhline(bar, color='0.55', lw=1, ls='--')
  axes.set_xlim(min(lengths), last + (last == min(lengths)) / 10)
  canvas.clean(axes, title, f'{x} (shaded: longer than in training)', y)
  canvas.count_along(axes)
  axes.yaxis.set_major_formatter(ticker.FormatStrFormatter('%g'))
  canvas.label_ends(axes, ends)
  return figure


def _check(lengths, errors):
  """Returns the errors as arrays, with NaN for what is not finite."""
  if not errors:
    raise ValueError('errors must name at least one model, got none')
  if not len(lengths) or np.any(np.diff(lengths) <= 0):
    raise ValueError(f'lengths must increase, got {list(lengths)}')
  arrays = {}
  for name, rows in errors.items():
    rows = np.asarray(rows, float)
    if rows.ndim != 2 or rows.shape[1] != len(lengths) or not len(rows):
      raise ValueError(
        f'errors[{name!r}] must be [seeds, {len(lengths)}], got {rows.shape}'
      )
    if np.any(rows < 0):
      raise ValueError(f'errors[{name!r}] must not be negative')
    arrays[name] = np.where(np.isfinite(rows), rows, np.nan)
  return arrays
