"""The report of train_agent: the score, and the return over the steps."""

import numpy as np
from matplotlib import ticker

from nca_tf.analysis import canvas
from nca_tf.analysis import figures
from nca_tf.analysis import intervals
from nca_tf.analysis import table
from nca_tf.experiments.agents import arenas
from nca_tf.experiments.agents import novelty as novelty_lib
from nca_tf.runs import report as report_lib

_NOTES = """\
Score: {episodes} whole episodes on fresh seeds, with 95 % bootstrap intervals.
{solved}
CPU seconds are those of the last process that trained.
"""
_SOLVED = """\
Solved: the first step at which the mean return of the last windows, together
longer than an episode, is at least {:g}."""
_UNKNOWN = 'Nothing says from which return on this environment is solved.'
_QUANTITIES = (
  'return',
  'entropy',
  'kl',
  'explained_variance',
  'intrinsic_reward',
  'coverage',
)


def make(run, novelty=None) -> report_lib.Report:
  """The report of a finished run; `score.json` has its numbers.

  Args:
    run: The run.
    novelty: What --rnd found new, or None.
  """
  config, training = run.config, run.info('train')
  records = run.log.records('train')
  view = table.Table(['actions', 'return', 'length'], digits=3)
  means = {}
  for name in ('drawn', 'likeliest'):
    found = run.info('score')[name]
    parts = [
      intervals.bootstrap_mean(found[key], rng=0)
      for key in ('returns', 'lengths')
    ]
    view.add(name, *parts)
    means[name] = float(np.mean(found['returns']))
  facts = table.Table(['steps', 'solved at', 'CPU seconds'], digits=1)
  facts.add(
    training['steps'], training['solved_at'] or None, training['cpu_seconds']
  )
  numbers = {**training, **means}
  if 'coverage' in records[-1]:
    numbers['coverage'] = records[-1]['coverage']
  least = arenas.get(config.env).solved
  solved = _SOLVED.format(least) if np.isfinite(least) else _UNKNOWN
  return report_lib.Report(
    {'Score': view, 'Training': facts, **novelty_lib.tables(config, novelty)},
    _NOTES.format(episodes=config.score_episodes, solved=solved),
    numbers=numbers,
    figures=[
      *_figures(config, records),
      *novelty_lib.draw(config, novelty),
    ],
  )


def _figures(config, records):
  """Yields names and figures."""
  title = f'{config.env}, {config.label}, {config.cell}'
  yield 'return', draw_return(config, records, title)
  keys = [key for key in _QUANTITIES if key in records[-1]]
  yield 'curves', figures.learning_curves(records, keys, title)


def draw_return(config, records, title):
  """Return, and what else was counted, over the steps in all lanes."""
  wanted = (
    ('return', 'mean return of an episode', canvas.BLUE),
    ('coverage', 'share of places seen', canvas.GREEN),
    ('intrinsic_reward', 'intrinsic reward', canvas.VERMILION),
  )
  wanted = [row for row in wanted if row[0] in records[-1]]
  figure = canvas.new_figure(1000, 60 + 220 * len(wanted))
  panels = figure.subplots(len(wanted), 1, sharex=True, squeeze=False)[:, 0]
  scale = config.lanes * config.window
  for axes, (key, label, colour) in zip(panels, wanted, strict=True):
    # Before any episode has ended there is no return.
    rows = [r for r in records if key != 'return' or r['episodes'] > 0]
    steps = [row['step'] * scale for row in rows]
    marker = 'o' if len(rows) == 1 else ''  # A line has two ends.
    axes.plot(
      steps, [row[key] for row in rows], color=colour, lw=2, marker=marker
    )
    canvas.clean(axes, label)
    axes.set_xlim(0, records[-1]['step'] * scale)
    if key != 'return':
      axes.set_ylim(bottom=0)
  panels[-1].set_xlabel('steps in all lanes', fontsize=11)
  panels[-1].xaxis.set_major_formatter(ticker.EngFormatter(sep=''))
  figure.suptitle(title, fontsize=13)
  return figure
