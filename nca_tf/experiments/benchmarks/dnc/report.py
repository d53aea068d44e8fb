"""The benchmark of the DNC as tables and a plot."""

import numpy as np

from nca_tf.analysis import canvas
from nca_tf.analysis import table
from nca_tf.experiments.benchmarks.dnc import implementations
from nca_tf.experiments.benchmarks.dnc import settings
from nca_tf.runs import report as report_lib

_MEGA = 1e6


def make(results) -> report_lib.Report:
  """Returns the tables of the stages that there are, and the plot of growth.

  Args:
    results: For each stage, such as 'settings/...', what was measured.
  """
  tables, notes, targets = {}, [], []
  for stage, found in results.items():
    part, _, title = stage.partition('/')
    if part == 'settings':
      tables[title] = _tabulate_setting(found)
      targets += _judge(title, found['contestants'])
    elif part == 'memory':
      tables[f'Working memory over the length, {title}'] = _tabulate_lengths(
        found
      )
      notes.append(_describe_kept(title, found))
      targets += _judge_memory(title, found)
    else:
      axis = f'Microseconds per sequence-step by {title}'
      tables[axis] = _tabulate_growth(found, title)
  if targets:
    view = table.Table(['what', 'target', 'measured', 'met'], digits=2)
    for target in targets:
      view.add(*target)
    tables['Targets'] = view
  grown = {k: v for k, v in results.items() if k.startswith('growth/')}
  return report_lib.Report(
    tables,
    '\n'.join(notes),
    '# DNC, whole training steps on one core',
    results,
    [('growth', draw_growth(grown))] if grown else [],
  )


def microseconds(found, sizes) -> float:
  """Returns CPU time per step of one sequence: the least, free of others."""
  return 1e6 * min(found['seconds']) / (sizes['batch'] * sizes['steps'])


def working_memory(found) -> int:
  """Returns the most memory above the process at rest, in bytes."""
  return found['peak'] - found['rest']


def kept(found, name) -> float:
  """Returns how many numbers of 4 bytes a step adds, from two lengths."""
  bytes_at = found['contestants'][name]
  short, long, *_ = sorted(bytes_at, key=int)
  steps = found['base']['batch'] * (int(long) - int(short))
  return (bytes_at[long] - bytes_at[short]) / (4 * steps)


def _count_state(base):
  """Numbers of one link matrix, one memory and the controller's state."""
  slots = base['slots']
  return slots * slots + slots * base['words'] + 2 * implementations.UNITS


def _tabulate_lengths(found):
  names = found['contestants']
  view = table.Table(['T', *(f'{name}, MB' for name in names)])
  for count in sorted(next(iter(names.values())), key=int):
    view.add(int(count), *(round(names[name][count] / _MEGA) for name in names))
  return view


def _describe_kept(title, found):
  state = _count_state(found['base'])
  ratios = ', '.join(
    f'{name} {kept(found, name) / state:.2f}' for name in found['contestants']
  )
  return f'{title}: a step adds, of N N + N W + h + c numbers: {ratios}.\n'


def _judge_memory(title, found):
  """Yields rows of the table of targets: working memory over the length."""
  ours = found['contestants'].get('nca_tf')
  if ours is None:
    return
  setting, most = settings.KEPT_TARGET
  if title == setting:
    ratio = kept(found, 'nca_tf') / _count_state(found['base'])
    what = f'{title}: kept of a step over N N + N W + h + c'
    yield what, f'at most {most:g}', ratio, ratio <= most
  setting, longest, most = settings.LONG_TARGET
  if title == setting and longest in ours:
    what = f'{title} T{longest}: working memory, GB'
    size = ours[longest]
    yield what, f'at most {most / 1e9:g}', size / 1e9, size <= most


def _tabulate_setting(found):
  sizes, measured = found['sizes'], found['contestants']
  view = table.Table(
    [
      *('implementation', 'us per sequence-step', 'median'),
      *(f'{peer} = 1' for peer in settings.PEERS),
      *('peak MB', 'above rest MB', 'first step s'),
    ],
    digits=2,
  )
  scale = 1e6 / (sizes['batch'] * sizes['steps'])
  for name, one in measured.items():
    view.add(
      name,
      round(microseconds(one, sizes), 1),
      round(scale * float(np.median(one['seconds'])), 1),
      *(
        microseconds(measured[peer], sizes) / microseconds(one, sizes)
        if peer in measured
        else None
        for peer in settings.PEERS
      ),
      round(one['peak'] / _MEGA),
      round(working_memory(one) / _MEGA),
      one['first'],
    )
  return view


def _judge(title, measured):
  """Yields rows of the table of targets: speed and memory of a setting."""
  ours = measured.get('nca_tf')
  if ours is None:
    return
  for setting, peer, least in settings.SPEED_TARGETS:
    if setting == title and peer in measured:
      ratio = min(measured[peer]['seconds']) / min(ours['seconds'])
      what = f'{title}: speed over {peer}'
      yield what, f'at least {least:g}', ratio, ratio >= least
  for peer in settings.PEERS if title == settings.MEMORY_TARGET else ():
    if peer in measured:
      ratio = working_memory(ours) / working_memory(measured[peer])
      what = f'{title}: working memory over that of {peer}'
      yield what, 'at most 1', ratio, ratio <= 1


def _tabulate_growth(found, axis):
  names = found['contestants']
  view = table.Table([axis, *names], digits=1)
  curves = [_curve(found, axis, name) for name in names]
  for value in curves[0]:
    view.add(value, *(curve[value] for curve in curves))
  return view


def _curve(found, axis, name):
  """Returns microseconds per sequence-step by the size that grows."""
  curve = {}
  for value, seconds in found['contestants'][name].items():
    sizes = {**found['base'], axis: int(value)}
    curve[int(value)] = 1e6 * seconds / (sizes['batch'] * sizes['steps'])
  return curve


def draw_growth(results):
  """Draws a panel per size that grows, a line per implementation.

  Args:
    results: {'growth/<axis>': what was measured}.
  """
  figure = canvas.new_figure(420 * len(results), 420)
  panels = figure.subplots(1, len(results), squeeze=False)[0]
  letters = {'slots': 'N', 'batch': 'B', 'steps': 'T', 'heads': 'R'}
  for panel, (stage, found) in zip(panels, results.items(), strict=True):
    axis = stage.partition('/')[2]
    for number, name in enumerate(found['contestants']):
      curve = _curve(found, axis, name)
      colour = canvas.COLOURS[number % len(canvas.COLOURS)]
      panel.plot(
        list(curve),
        list(curve.values()),
        color=colour,
        marker='o',
        ms=4,
        label=name,
      )
    panel.set_xscale('log', base=2)
    panel.set_yscale('log')
    base = {letters[k]: v for k, v in found['base'].items() if k in letters}
    fixed = ' '.join(f'{k}{v}' for k, v in base.items() if k != letters[axis])
    canvas.clean(panel, fixed, letters[axis], 'µs of CPU per sequence-step')
  panels[0].legend(fontsize=9, frameon=False)
  return figure
