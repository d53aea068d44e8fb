"""What a person sees of compare_memory: tables and curves."""

import numpy as np
from matplotlib import ticker

from nca_tf.analysis import canvas
from nca_tf.analysis import intervals
from nca_tf.analysis import table
from nca_tf.experiments.memory_games import comparison as comparison_lib
from nca_tf.runs import report as report_lib

_NOTES = """\
Score: mean return of {episodes} whole episodes per seed, of fresh seeds, at the
end; returns lie between -1 and 1. Brackets: 95 % t intervals over seeds, of
which there are {count}; differences are paired by seed.
"""
_CHAIN_NOTES = """\
Regret: wrong answers in all episodes of the training, over those of play by
chance; a length counts as learnt below {learnt}, as in bsuite's memory_len.
"""
_ACROSS = 3  # Panels of a row.


def publish(comparison) -> None:
  """Writes summary, scores.json and figures of a finished run.Comparison."""
  config = comparison.run.config
  tables = {
    'Score, likeliest actions': _score_table(comparison, 'likeliest'),
    'Score, actions drawn': _score_table(comparison, 'drawn'),
    'Trainings': _training_table(comparison),
  }
  if pairs := _find_pairs(config):
    tables['Differences, likeliest actions'] = _difference_table(
      comparison, pairs
    )
  notes = _NOTES.format(episodes=config.score_episodes, count=len(config.seeds))
  chain = [task for task in config.compared if _is_chain(task)]
  figures = [('curves', draw_curves(comparison))]
  if chain:
    tables['Regret in memory_chain'] = _regret_table(comparison, chain)
    notes += _CHAIN_NOTES.format(learnt=comparison_lib.LEARNT)
    figures.append(('regret', draw_regret(comparison, chain)))
  comparison.run.publish(
    report_lib.Report(
      tables, notes, numbers=_numbers(comparison, chain), figures=figures
    )
  )


def _is_chain(task):
  return task.startswith(f'{comparison_lib.CHAIN}-')


def _scores(comparison, task, cell, way='likeliest'):
  return [found[way] for found in comparison.found(task, cell)]


def _score_table(comparison, way):
  config = comparison.run.config
  view = table.Table(['game', *config.cells], digits=2)
  for task in config.compared:
    view.add(
      task,
      *(
        intervals.student_mean(_scores(comparison, task, cell, way))
        for cell in config.cells
      ),
    )
  return view


def _find_pairs(config):
  """The differences between cells that were run."""
  return [
    pair
    for pair in comparison_lib.DIFFERENCES
    if set(pair) <= set(config.cells)
  ]


def _difference(comparison, task, pair):
  return comparison_lib.difference(
    *(_scores(comparison, task, cell) for cell in pair)
  )


def _difference_table(comparison, pairs):
  columns = [f'{one} less {other}' for one, other in pairs]
  view = table.Table(['game', *columns], digits=2)
  for task in comparison.run.config.compared:
    view.add(task, *(_difference(comparison, task, pair) for pair in pairs))
  return view


def _training_table(comparison):
  config = comparison.run.config
  columns = ['game', 'cell', 'weights', 'steps', 'CPU seconds', 'solved at']
  view = table.Table(columns, digits=1)
  for task in config.compared:
    for cell in config.cells:
      found = comparison.found(task, cell)
      view.add(
        task,
        cell,
        found[0]['weights'],
        found[0]['steps'],
        intervals.student_mean([each['cpu_seconds'] for each in found]),
        ' '.join(str(each['solved_at'] or '-') for each in found),
      )
  return view


def find_regrets(comparison, tasks, cell) -> np.ndarray:
  """Regrets in games of memory_chain, [seeds, tasks]."""
  return np.array(
    [
      [
        comparison_lib.regret(
          each['total']['returns'], each['total']['episodes']
        )
        for each in comparison.found(task, cell)
      ]
      for task in tasks
    ]
  ).T


def _regret_table(comparison, tasks):
  config = comparison.run.config
  regrets = {
    cell: find_regrets(comparison, tasks, cell) for cell in config.cells
  }
  view = table.Table(['length', *config.cells], digits=2)
  for number, task in enumerate(tasks):
    length = comparison_lib.find_length(task)
    view.add(
      str(length),
      *(intervals.student_mean(found[:, number]) for found in regrets.values()),
    )
  view.add(
    'share learnt',
    *(
      intervals.student_mean(
        [comparison_lib.memory_len_score(row) for row in found]
      )
      for found in regrets.values()
    ),
  )
  return view


def _numbers(comparison, chain):
  """The results, for programs: intervals are [mean, low, high]."""
  config = comparison.run.config
  return {
    'seeds': list(config.seeds),
    'trainings': {
      task: {cell: comparison.found(task, cell) for cell in config.cells}
      for task in config.compared
    },
    'scores': {
      task: {
        cell: intervals.student_mean(_scores(comparison, task, cell))
        for cell in config.cells
      }
      for task in config.compared
    },
    'differences': {
      task: {
        ' less '.join(pair): _difference(comparison, task, pair)
        for pair in _find_pairs(config)
      }
      for task in config.compared
    },
    'regrets': {
      cell: find_regrets(comparison, chain, cell).tolist()
      for cell in (config.cells if chain else ())
    },
  }


def draw_curves(comparison):
  """A panel per game: a thin line per seed, a thick one for their mean."""
  config = comparison.run.config
  tasks = config.compared
  across = min(_ACROSS, len(tasks))
  down = -(-len(tasks) // across)
  figure = canvas.new_figure(max(500, 380 * across), 60 + 270 * down)
  panels = figure.subplots(down, across, squeeze=False).ravel()
  for axes in panels[len(tasks) :]:
    axes.set_visible(False)
  lines = {}
  for axes, task in zip(panels, tasks, strict=False):
    for number, cell in enumerate(config.cells):
      colour = canvas.COLOURS[number % len(canvas.COLOURS)]
      curves = [found['curve'] for found in comparison.found(task, cell)]
      for curve in curves:
        axes.plot(*np.array(curve).T, color=colour, lw=0.7, alpha=0.4)
      if len({len(curve) for curve in curves}) == 1:
        steps, mean = np.mean(curves, 0).T
        (lines[cell],) = axes.plot(steps, mean, color=colour, lw=2.5)
    axes.set_ylim(-1.05, 1.05)
    axes.set_xlim(left=0)
    canvas.clean(axes, task)
    axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=''))
  figure.supxlabel('steps in all lanes', fontsize=11)
  figure.supylabel('mean return, actions drawn', fontsize=11)
  style = {'frameon': False, 'handlelength': 3.5, 'ncols': 6}
  figure.legend(lines.values(), lines.keys(), loc='outside upper left', **style)
  return figure


def draw_regret(comparison, tasks):
  """Regret over the length: bsuite's figure of memory_len."""
  config = comparison.run.config
  lengths = [comparison_lib.find_length(task) for task in tasks]
  figure = canvas.new_figure(900, 420)
  axes = figure.subplots()
  order = np.argsort(lengths)
  lengths = np.array(lengths)[order]
  ends = []
  for number, cell in enumerate(config.cells):
    regrets = find_regrets(comparison, tasks, cell)[:, order]
    style = canvas.line_style(number)
    for row in regrets:
      axes.plot(lengths, row, color=style['color'], lw=0.8, alpha=0.5)
    axes.plot(lengths, regrets.mean(0), clip_on=False, **style)
    ends.append((regrets[:, -1].mean(), cell, style['color']))
  axes.axhline(comparison_lib.LEARNT, color='0.55', lw=1, ls='--', zorder=0)
  ends.append((comparison_lib.LEARNT, "bsuite's bar", canvas.GREY))
  axes.set_ylim(0, 1.15)
  axes.set_xlim(0, lengths[-1])
  canvas.clean(
    axes, 'memory_chain', 'length', 'regret over that of play by chance'
  )
  canvas.count_along(axes)
  canvas.label_ends(axes, ends)
  return figure
