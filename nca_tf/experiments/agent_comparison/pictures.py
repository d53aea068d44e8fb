"""Figures of compare_agents: returns over steps, and the local optimum."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from nca_tf.analysis import canvas

_SHARE = 'share of episodes'


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
  for policy, title in (
    ('drawn', 'actions drawn (of cma_es the only ones)'),
    ('likeliest', 'likeliest actions'),
  ):
    yield (
      f'returns_{policy}',
      draw_returns(records, policy, policies, f'{env}, {title}'),
    )
  if optimum:
    yield 'local_optimum', draw_optimum(records, optimum, env)


def draw_returns(records, policy, policies, title) -> Figure:
  """Mean return over steps: a panel per algorithm, a line per seed."""
  figure = canvas.new_figure(1500, 480)
  panels = figure.subplots(1, len(records), sharey=True, squeeze=False)[0]
  for axes, (name, trainings), colour in _panels(panels, records):
    key = find_key(trainings, policy, 'return')
    curves = [[row[key] for row in rows] for rows in trainings]
    steps = [[row['step'] for row in rows] for rows in trainings]
    for x, y in zip(steps, curves, strict=True):
      axes.plot(x, y, color=colour, lw=1, alpha=0.6)
    axes.plot(np.mean(steps, 0), np.mean(curves, 0), color=colour, lw=2.6)
    for mean in policies.values():
      axes.axhline(mean, color='0.55', lw=1, ls='--', zorder=0)
    canvas.clean(axes, name, 'steps')
    _count_steps(axes, steps)
  panels[0].set_yscale('symlog', linthresh=10, linscale=1)
  panels[0].set_ylabel('mean return of an episode', fontsize=11)
  panels[0].yaxis.set_major_formatter(ticker.FormatStrFormatter('%g'))
  ends = [
    (mean, f'{name} {mean:.1f}', canvas.GREY) for name, mean in policies.items()
  ]
  canvas.label_ends(panels[-1], ends)
  figure.suptitle(
    f'{title}: thin lines are seeds, the thick one is their mean; dashed are '
    'scripted policies',
    fontsize=12,
  )
  return figure


def draw_optimum(records, optimum, env) -> Figure:
  """Share of episodes in the optimum over steps, and the return there."""
  figure = canvas.new_figure(1500, 760)
  rows = figure.subplots(
    3, len(records), sharex='col', sharey='row', squeeze=False
  )
  low, high = optimum.RETURNS
  reach = 5 * (high - low)
  labels = (
    ('drawn', 'optimum', f'{_SHARE},\nactions drawn'),
    ('likeliest', 'optimum', f'{_SHARE},\nlikeliest actions'),
    ('drawn', 'return', 'mean return\nnear the optimum'),
  )
  for axes, name in zip(rows[0], records, strict=True):
    canvas.clean(axes, name)
  for panels, (policy, what, label) in zip(rows, labels, strict=True):
    for axes, (_, trainings), colour in _panels(panels, records):
      key = find_key(trainings, policy, what)
      for each in trainings:
        x, y = [row['step'] for row in each], [row[key] for row in each]
        axes.plot(x, y, color=colour, lw=1.2, alpha=0.7)
      if panels[0] is not rows[0, 0]:
        canvas.clean(axes)
      if what == 'return':
        axes.axhspan(low, high, color='0.9', zorder=0)
        axes.set_ylim(low - reach / 2, high + reach)
        steps = [[row['step'] for row in each] for each in trainings]
        axes.set_xlabel('steps', fontsize=11)
        _count_steps(axes, steps)
      else:
        axes.set_ylim(-0.03, 1.03)
    panels[0].set_ylabel(label, fontsize=11)
  figure.suptitle(
    f'{env}, "{optimum.NAME}": a line per seed; grey are the returns of the '
    'local optimum',
    fontsize=12,
  )
  return figure


def find_key(trainings, policy, what) -> str:
  """What a record calls it: one that draws no actions has the likeliest."""
  key = f'{policy}_{what}'
  return key if key in trainings[0][-1] else f'likeliest_{what}'


def _panels(panels, records):
  """Axes, name and records, and colour of each algorithm."""
  return zip(panels, records.items(), canvas.COLOURS)  # noqa: B905


def _count_steps(axes, steps):
  axes.set_xlim(0, max(each[-1] for each in steps))
  axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
  axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=''))
