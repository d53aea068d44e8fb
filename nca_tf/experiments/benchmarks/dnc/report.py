"""The benchmark of the DNC as tables and a plot."""

import numpy as np

from nca_tf.analysis import canvas
from nca_tf.analysis import table
from nca_tf.experiments.benchmarks import measurement
from nca_tf.experiments.benchmarks.dnc import implementations
from nca_tf.experiments.benchmarks.dnc import settings
from nca_tf.runs import report as report_lib


def make(results) -> report_lib.Report:
  """Returns the tables of the stages that there are, and the plot of growth.

  Args:
    results: For each stage, such as 'settings/...', what was measured.
  """
  tables, notes, grown = {}, [], {}
  targets = measurement.Targets('met')
  for stage, found in results.items():
    part, _, title = stage.partition('/')
    if part == 'settings':
      tables[title] = _tabulate_setting(found)
      _judge(title, found['contestants'], targets)
    elif part == 'memory':
      heading = f'Working memory over the length, {title}'
      tables[heading] = _tabulate_lengths(found)
      notes.append(_describe_kept(title, found))
      _judge_memory(title, found, targets)
    else:
      grown[title] = {
        name: _curve(found, title, name) for name in found['contestants']
      }
      heading = f'Microseconds per sequence-step by {title}'
      tables[heading] = _tabulate_growth(grown[title], title)
  return report_lib.Report(
    tables | targets.tables(),
    '\n'.join(notes),
    '# DNC, whole training steps on one core',
    results,
    [('growth', draw_growth(grown, results))] if grown else [],
  )


def _microseconds(seconds, sizes):
  """Returns CPU time per step of one sequence, from that of a batch."""
  return 1e6 * float(seconds) / (sizes['batch'] * sizes['steps'])


def _working_memory(found):
  """Returns the most memory above the process at rest, in bytes."""
  return found['peak'] - found['rest']


def _kept(found, name):
  """Returns how many numbers of 4 bytes a step adds, from two lengths.

  In units of one link matrix, one memory and the controller's state.
  """
  base, bytes_at = found['base'], found['contestants'][name]
  short, long, *_ = sorted(bytes_at, key=int)
  steps = base['batch'] * (int(long) - int(short))
  state = base['slots'] * (base['slots'] + base['words'])
  state += 2 * implementations.UNITS
  return (bytes_at[long] - bytes_at[short]) / (4 * steps) / state


def _tabulate_lengths(found):
  names = found['contestants']
  view = table.Table(['T', *(f'{name}, MB' for name in names)])
  for count in sorted(next(iter(names.values())), key=int):
    view.add(int(count), *(round(names[name][count] / 1e6) for name in names))
  return view


def _describe_kept(title, found):
  ratios = ', '.join(
    f'{name} {_kept(found, name):.2f}' for name in found['contestants']
  )
  return f'{title}: a step adds, of N N + N W + h + c numbers: {ratios}.\n'


def _judge_memory(title, found, targets):
  """Adds targets: working memory over the length."""
  ours = found['contestants'].get('nca_tf')
  if ours is None:
    return
  setting, most = settings.KEPT_TARGET
  if title == setting:
    what = f'{title}: kept of a step over N N + N W + h + c'
    targets.add(what, _kept(found, 'nca_tf'), high=most)
  setting, longest, most = settings.LONG_TARGET
  if title == setting and longest in ours:
    what = f'{title} T{longest}: working memory, GB'
    targets.add(what, ours[longest] / 1e9, high=most / 1e9)


def _tabulate_setting(found):
  sizes, measured = found['sizes'], found['contestants']
  columns = ['implementation', 'us per sequence-step', 'median']
  columns += [f'{peer} = 1' for peer in implementations.PEERS]
  columns += ['peak MB', 'above rest MB', 'first step s']
  view = table.Table(columns, digits=2)
  for name, one in measured.items():
    view.add(
      name,
      # The least is free of what else the machine did.
      round(_microseconds(min(one['seconds']), sizes), 1),
      round(_microseconds(np.median(one['seconds']), sizes), 1),
      *(_ratio(measured.get(peer), one) for peer in implementations.PEERS),
      round(one['peak'] / 1e6),
      round(_working_memory(one) / 1e6),
      one['first'],
    )
  return view


def _ratio(slow, fast):
  """Returns how many times as fast the second one is, None without both."""
  return slow and min(slow['seconds']) / min(fast['seconds'])


def _judge(title, measured, targets):
  """Adds targets: speed and memory of a setting."""
  ours = measured.get('nca_tf')
  if ours is None:
    return
  for setting, peer, least in settings.SPEED_TARGETS:
    if setting == title and peer in measured:
      ratio = _ratio(measured[peer], ours)
      targets.add(f'{title}: speed over {peer}', ratio, low=least)
  for peer in implementations.PEERS if title == settings.MEMORY_TARGET else ():
    if peer in measured:
      ratio = _working_memory(ours) / _working_memory(measured[peer])
      what = f'{title}: working memory over that of {peer}'
      targets.add(what, ratio, high=1)


def _tabulate_growth(curves, axis):
  view = table.Table([axis, *curves], digits=1)
  for value in next(iter(curves.values())):
    view.add(value, *(curve[value] for curve in curves.values()))
  return view


def _curve(found, axis, name):
  """Returns microseconds per sequence-step by the size that grows."""
  curve = {}
  for value, seconds in found['contestants'][name].items():
    sizes = {**found['base'], axis: int(value)}
    curve[int(value)] = _microseconds(seconds, sizes)
  return curve


def draw_growth(grown, results):
  """Draws a panel per size that grows, a line per implementation."""
  figure = canvas.new_figure(420 * len(grown), 420)
  panels = figure.subplots(1, len(grown), squeeze=False)[0]
  letters = {'slots': 'N', 'batch': 'B', 'steps': 'T', 'heads': 'R'}
  for panel, (axis, curves) in zip(panels, grown.items(), strict=True):
    for number, (name, curve) in enumerate(curves.items()):
      style = canvas.line_style(number, lw=1.5)
      panel.plot(*zip(*curve.items(), strict=True), label=name, **style)
    panel.set_xscale('log', base=2)
    panel.set_yscale('log')
    base = results[f'growth/{axis}']['base']
    base = {letters[k]: v for k, v in base.items() if k in letters}
    fixed = ' '.join(f'{k}{v}' for k, v in base.items() if k != letters[axis])
    canvas.clean(panel, fixed, letters[axis], 'µs of CPU per sequence-step')
  panels[0].legend(fontsize=9, frameon=False)
  return figure
