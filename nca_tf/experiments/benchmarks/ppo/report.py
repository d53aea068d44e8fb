"""The benchmark of PPO as tables and learning curves."""

import statistics

import numpy as np

from nca_tf.analysis import canvas
from nca_tf.analysis import intervals
from nca_tf.analysis import table
from nca_tf.experiments.benchmarks import measurement
from nca_tf.experiments.benchmarks.ppo import settings
from nca_tf.runs import report as report_lib

_NOTES = """\
Steps are those of the environment per CPU-second, medians over the turns with
quartiles. What the first window takes more than others is tracing.
Solved: the mean return of the last {episodes} episodes is that of ways {detour}
times the shortest, or in CartPole-v1 {score:g} over {last} episodes.
"""


def make(results) -> report_lib.Report:
  """Returns the tables of the stages that there are.

  Args:
    results: For each stage, such as 'solve/10', what was measured.
  """
  tables, targets, curves = {}, measurement.Targets('met'), {}
  if 'speed' in results:
    tables['Play and learning in the grid'] = _tabulate_speed(results['speed'])
    _judge_speed(results['speed'], 'steps', settings.SPEED_TARGET, targets)
    tracing = _find_tracing(results['speed']['nca_tf'])
    what = 'tracing of an iteration, CPU seconds'
    targets.add(what, tracing, high=settings.TRACING_TARGET)
  if 'images' in results:
    found = results['images']
    tables['Play and learning in the grid, from images'] = _tabulate_speed(
      found
    )
    _judge_speed(found, 'steps from images', settings.SPEED_TARGET, targets)
  if 'collection' in results:
    found = results['collection']
    tables['Play alone in the grid'] = _tabulate_collection(found)
    ratio = _ratio(_rates(found['nca_tf']), _rates(found['driver']))
    what = 'collection over the eager driver'
    targets.add(what, ratio, low=settings.EAGER_TARGET)
  if 'memory' in results:
    found = results['memory']
    tables['Play and learning with a DNC'] = _tabulate_speed(found)
    _judge_speed(found, 'steps with a DNC', settings.MEMORY_TARGET, targets)
  for part, title in (('solve', 'The grid'), ('cartpole', 'CartPole-v1')):
    runs = _gather(results, part)
    if runs:
      curves[title] = runs
      tables[f'{title} until it is solved'] = _tabulate_runs(runs)
    if part == 'solve':
      _judge_time(runs, targets)
  score, last = settings.CARTPOLE_SOLVED
  notes = _NOTES.format(
    episodes=settings.GRID_EPISODES,
    detour=settings.GRID_DETOUR,
    score=score,
    last=last,
  )
  head = '# PPO, on one core'
  figures = [('learning', draw_curves(curves))] if curves else []
  return report_lib.Report(
    tables | targets.tables(), notes, head, results, figures
  )


def _rates(turns):
  return np.array([turn['steps'] / turn['seconds'] for turn in turns])


def _quartiles(values):
  low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
  return intervals.Interval(middle, low, high)


def _ratio(ours, theirs):
  """Returns the median of one speed over another, turn by turn."""
  return _quartiles(ours / theirs)


def _find_tracing(one):
  seconds = [turn['seconds'] / turn['steps'] for turn in one['turns']]
  usual = statistics.median(seconds) * one['first']['steps']
  return max(0.0, one['first']['seconds'] - usual)


def _tabulate_speed(found):
  columns = ['implementation', 'weights', 'steps per CPU-s']
  columns += ['nca_tf over it', 'tracing, CPU-s']
  view = table.Table(columns, digits=2)
  ours = _rates(found['nca_tf']['turns'])
  for name, one in found.items():
    rates = _rates(one['turns'])
    view.add(
      name,
      one['weights'],
      _quartiles(rates).text(0),
      _ratio(ours, rates),
      _find_tracing(one) if name == 'nca_tf' else None,
    )
  return view


def _judge_speed(found, what, least, targets):
  ours = _rates(found['nca_tf']['turns'])
  for name, one in found.items():
    if name != 'nca_tf':
      ratio = _ratio(ours, _rates(one['turns']))
      targets.add(f'{what} over {name}', ratio, low=least)


def _tabulate_collection(found):
  columns = ['implementation', 'steps per CPU-s', 'nca_tf over it']
  view = table.Table(columns, digits=2)
  ours = _rates(found['nca_tf'])
  for name, turns in found.items():
    rates = _rates(turns)
    view.add(name, _quartiles(rates).text(0), _ratio(ours, rates))
  return view


def _gather(results, part):
  """Returns {implementation: its runs, by seed}."""
  runs = {}
  for stage, found in results.items():
    if stage.startswith(f'{part}/'):
      for name, one in found.items():
        runs.setdefault(name, []).append(one)
  return runs


def _tabulate_runs(runs):
  columns = ['implementation', 'solved', 'thousands of steps', 'their mean']
  columns += ['CPU-s without tracing', 'their mean', 'tracing, CPU-s']
  view = table.Table(columns, digits=2)
  for name, each in runs.items():
    steps = [run['steps'] / 1000 for run in each]
    seconds = [run['seconds'] - run['tracing'] for run in each]
    view.add(
      name,
      f'{sum(run["solved"] for run in each)}/{len(each)}',
      ' '.join(f'{n:.0f}' for n in steps),
      statistics.fmean(steps),
      ' '.join(f'{n:.1f}' for n in seconds),
      statistics.fmean(seconds),
      statistics.fmean(run['tracing'] for run in each)
      if name == 'nca_tf'
      else None,
    )
  return view


def _judge_time(runs, targets):
  """Adds targets: CPU seconds to solve over those of the peers."""
  for name, each in runs.items():
    if name == 'nca_tf':
      continue
    theirs = statistics.fmean(run['seconds'] for run in each)
    for kind, share in (('without', 1), ('with', 0)):
      ours = statistics.fmean(
        run['seconds'] - share * run['tracing'] for run in runs['nca_tf']
      )
      what = f'CPU seconds to solve over {name}, {kind} tracing'
      targets.add(what, ours / theirs, high=1)


def draw_curves(curves):
  """Draws a panel per game: mean returns over steps, a line per run."""
  figure = canvas.new_figure(520 * len(curves), 420)
  panels = figure.subplots(1, len(curves), squeeze=False)[0]
  for axes, (title, runs) in zip(panels, curves.items(), strict=True):
    for number, (name, each) in enumerate(runs.items()):
      for i, run in enumerate(each):
        count = len(run['returns'])
        steps = np.arange(1, count + 1) * run['steps'] / count / 1000
        colour = canvas.line_style(number)['color']
        label = None if i else name
        axes.plot(steps, run['returns'], label=label, color=colour, lw=1.3)
    canvas.clean(axes, title, 'thousands of steps', 'return of last episodes')
    axes.set_xlim(left=0)
    axes.legend(fontsize=9, frameon=False)
  return figure
