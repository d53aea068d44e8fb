"""Figures of compare_agents: returns over steps, and the local optimum."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from nca_tf.analysis import canvas


def draw(
  records: Mapping[str, Sequence[Sequence[Mapping]]],
  policies: Mapping[str, float],
  env: str,
  optimum=None,
) -> Iterator[tuple[str, Figure]]:
  """Yields names and figures.

  Args:
    records: Of every algorithm, by its name: those of each seed.
    policies: Mean returns of the scripted policies.
    env: Name of the environment, for the titles.
    optimum: Of `comparison.OPTIMA`, if one is known.
  """
  yield 'returns', draw_returns(records, policies, env)
  if optimum:
    yield 'local_optimum', draw_optimum(records, optimum, env)


def draw_returns(records, policies, env) -> Figure:
  """Mean return over steps: a panel per algorithm, a line per seed."""
  figure = canvas.new_figure(1500, 480)
  panels = figure.subplots(1, len(records), sharey=True, squeeze=False)[0]
  for axes, (name, trainings), colour in _panels(panels, records):
    for steps, means in _columns(trainings, 'return'):
      axes.plot(steps, means, color=colour, lw=1.4, alpha=0.8)
    for mean in policies.values():
      axes.axhline(mean, color='0.55', lw=1, ls='--', zorder=0)
    canvas.clean(axes, name, 'steps')
    _count_steps(axes, trainings)
  _scale_returns(panels[0])
  ends = [
    (mean, f'{name} {mean:.1f}', canvas.GREY) for name, mean in policies.items()
  ]
  canvas.label_ends(panels[-1], ends)
  figure.suptitle(f'{env}: a line per seed, dashed are scripted policies')
  return figure


def draw_optimum(records, optimum, env) -> Figure:
  """Share of episodes in the optimum over steps, and the return there."""
  figure = canvas.new_figure(1500, 560)
  shape = {'sharex': 'col', 'sharey': 'row', 'squeeze': False}
  shares, means = figure.subplots(2, len(records), **shape)
  low, high = optimum.RETURNS
  for axes, (name, trainings), colour in _panels(shares, records):
    for steps, values in _columns(trainings, 'optimum'):
      axes.plot(steps, values, color=colour, lw=1.4, alpha=0.8)
    canvas.clean(axes, name)
    axes.set_ylim(-0.03, 1.03)
  for axes, (_, trainings), colour in _panels(means, records):
    axes.axhspan(low, high, color='0.9', zorder=0)
    for steps, values in _columns(trainings, 'return'):
      axes.plot(steps, values, color=colour, lw=1.4, alpha=0.8)
    canvas.clean(axes, x='steps')
    axes.set_ylim(low - 2 * (high - low), high + 4 * (high - low))
    _count_steps(axes, trainings)
  shares[0].set_ylabel('share of episodes', fontsize=11)
  means[0].set_ylabel('mean return', fontsize=11)
  figure.suptitle(
    f'{env}, "{optimum.NAME}": a line per seed; grey are the returns of the '
    'local optimum'
  )
  return figure


def _scale_returns(axes):
  """Linear up to 10 points, logarithmic beyond, where records are."""
  axes.set_yscale('symlog', linthresh=10, linscale=1)
  axes.set_ylabel('mean return of an episode', fontsize=11)
  low, high = axes.get_ylim()
  sizes = [5, *(first * 10**power for power in range(1, 7) for first in (1, 3))]
  places = [0, *sizes, *(-size for size in sizes)]
  axes.set_yticks([each for each in places if low <= each <= high])
  axes.yaxis.set_major_formatter(ticker.FormatStrFormatter('%g'))
  axes.yaxis.set_minor_locator(ticker.NullLocator())


def _panels(panels, records):
  """Axes, name and records, and colour of each algorithm."""
  return zip(panels, records.items(), canvas.COLOURS)  # noqa: B905


def _columns(trainings, key):
  """Steps and values of each training."""
  for records in trainings:
    yield [row['step'] for row in records], [row[key] for row in records]


def _count_steps(axes, trainings):
  """Marks steps, the first ones wider apart: there most of it happens."""
  last = max(records[-1]['step'] for records in trainings)
  axes.set_xlim(0, last)
  axes.set_xscale('function', functions=(np.sqrt, np.square))
  places = (first * 10**power for power in range(12) for first in (1, 3))
  axes.set_xticks([each for each in places if last / 30 <= each <= last])
  axes.xaxis.set_major_formatter(ticker.EngFormatter(places=0, sep=''))
