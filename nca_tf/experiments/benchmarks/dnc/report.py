"""The benchmark of the DNC as tables in Markdown and a plot."""

import numpy as np

from nca_tf.analysis import canvas
from nca_tf.analysis import table
from nca_tf.experiments.benchmarks.dnc import implementations as dnc_contestants


def _sizes(slots, words, batch, steps, heads=4):
  return {
    'slots': slots,
    'words': words,
    'heads': heads,
    'batch': batch,
    'steps': steps,
  }


SETTINGS = {
  'N64 W32 R4 B16 T50': _sizes(64, 32, 16, 50),
  'N256 W64 R4 B16 T32': _sizes(256, 64, 16, 32),
  'N256 W64 R4 B1 T32': _sizes(256, 64, 1, 32),
  'N256 W64 R4 B64 T32': _sizes(256, 64, 64, 32),
  'N1024 W64 R4 B4 T16': _sizes(1024, 64, 4, 16),
}
TINY = {'tiny': _sizes(8, 4, 2, 4, 2)}
BASE = _sizes(64, 32, 16, 50)
GROWTH = {
  'slots': (16, 32, 64, 128, 256, 512),
  'batch': (1, 2, 4, 8, 16, 32, 64),
  'steps': (12, 25, 50, 100, 200),
  'heads': (1, 2, 4, 8),
}
# Sequences that only get longer: what a step keeps for the gradient, and the
# whole of the longest.
LENGTHS = {
  'N64 W32 R4 B16': (BASE, (100, 400)),
  'N256 W64 R4 B4': (_sizes(256, 64, 4, 32), (64, 256, 2000)),
}
TINY_LENGTHS = {'tiny': (_sizes(8, 4, 2, 4, 2), (8, 400))}
# Setting, peer, at least so many times its speed.
BARS = (
  ('N64 W32 R4 B16 T50', 'pytorch-dnc', 4.0),
  ('N64 W32 R4 B16 T50', 'deepmind/dnc', 3.0),
  ('N256 W64 R4 B16 T32', 'pytorch-dnc', 2.5),
  ('N256 W64 R4 B16 T32', 'deepmind/dnc', 2.5),
)
# Of a step: kept numbers over N x N + N x W + h + c. Of T = 2000: bytes.
_KEPT_BAR = ('N256 W64 R4 B4', 1.3)
_LONG_BAR = ('N256 W64 R4 B4', '2000', 6e9)
_PEERS = ('pytorch-dnc', 'deepmind/dnc')
_MEGA = 1e6


def write(results) -> str:
  """Returns the tables of the stages that there are.

  Args:
    results: for each stage, such as 'settings/...', what was measured.
  """
  text = ['# DNC, whole training steps on one core']
  bars = table.Table(['what', 'bar', 'measured', 'met'], digits=2)
  for stage, found in results.items():
    part, _, title = stage.partition('/')
    if part == 'settings':
      text.append(f'## {title}')
      text.append(_setting(found).markdown())
      _judge(title, found['contestants'], bars)
    elif part == 'memory':
      text.append(f'## Working memory over the length, {title}')
      text += [_lengths(found).markdown(), _keeps(found)]
      _judge_memory(title, found, bars)
    else:
      text.append(f'## Microseconds per sequence-step by {title}')
      text.append(_growth(found, title).markdown())
  if _has_rows(bars):
    text += ['## Bars', bars.markdown()]
  return '\n\n'.join(text)


def microseconds(found, sizes) -> float:
  """CPU time per step of one sequence: the least, as others disturb."""
  return 1e6 * min(found['seconds']) / (sizes['batch'] * sizes['steps'])


def working_memory(found) -> int:
  """The most memory above the process at rest, in bytes."""
  return found['peak'] - found['rest']


def kept(found, name) -> float:
  """Numbers of 4 bytes that a step of a sequence adds, by two lengths."""
  bytes_at = found['contestants'][name]
  short, long, *_ = sorted(bytes_at, key=int)
  steps = found['base']['batch'] * (int(long) - int(short))
  return (bytes_at[long] - bytes_at[short]) / (4 * steps)


def _states(base):
  """Numbers of one link matrix, one memory and the controller's state."""
  slots = base['slots']
  return slots * slots + slots * base['words'] + 2 * dnc_contestants.UNITS


def _lengths(found):
  names = found['contestants']
  view = table.Table(['T', *(f'{name}, MB' for name in names)])
  for count in sorted(next(iter(names.values())), key=int):
    view.add(int(count), *(round(names[name][count] / _MEGA) for name in names))
  return view


def _keeps(found):
  states = _states(found['base'])
  ratios = ', '.join(
    f'{name} {kept(found, name) / states:.2f}' for name in found['contestants']
  )
  return f'A step adds, of N N + N W + h + c numbers: {ratios}.'


def _judge_memory(title, found, bars):
  """Adds the rows of these lengths to the table of bars."""
  ours = found['contestants'].get('nca_tf')
  if ours is None:
    return
  setting, most = _KEPT_BAR
  if title == setting:
    ratio = kept(found, 'nca_tf') / _states(found['base'])
    what = f'{title}: kept of a step over N N + N W + h + c'
    bars.add(what, f'at most {most:g}', ratio, ratio <= most)
  setting, longest, most = _LONG_BAR
  if title == setting and longest in ours:
    what = f'{title} T{longest}: working memory, GB'
    bars.add(
      what,
      f'at most {most / 1e9:g}',
      ours[longest] / 1e9,
      ours[longest] <= most,
    )


def _setting(found):
  sizes, contestants = found['sizes'], found['contestants']
  view = table.Table(
    [
      'contestant',
      'us per sequence-step',
      'median',
      *(f'{peer} = 1' for peer in _PEERS),
      'peak MB',
      'above rest MB',
      'first step s',
    ],
    digits=2,
  )
  scale = 1e6 / (sizes['batch'] * sizes['steps'])
  for name, one in contestants.items():
    view.add(
      name,
      round(microseconds(one, sizes), 1),
      round(scale * float(np.median(one['seconds'])), 1),
      *(
        microseconds(contestants[peer], sizes) / microseconds(one, sizes)
        if peer in contestants
        else None
        for peer in _PEERS
      ),
      round(one['peak'] / _MEGA),
      round(working_memory(one) / _MEGA),
      one['first'],
    )
  return view


def _judge(title, contestants, bars):
  """Adds the rows of this setting to the table of bars."""
  ours = contestants.get('nca_tf')
  if ours is None:
    return
  for setting, peer, least in BARS:
    if setting == title and peer in contestants:
      ratio = min(contestants[peer]['seconds']) / min(ours['seconds'])
      what = f'{title}: speed over {peer}'
      bars.add(what, f'at least {least:g}', ratio, ratio >= least)
  if title == BARS[0][0]:
    for peer in _PEERS:
      if peer in contestants:
        ratio = working_memory(ours) / working_memory(contestants[peer])
        what = f'{title}: working memory over that of {peer}'
        bars.add(what, 'at most 1', ratio, ratio <= 1)


def _has_rows(view):
  return len(view.text().splitlines()) > 2


def _growth(found, axis):
  view = table.Table([axis, *found['contestants']], digits=1)
  for value in next(iter(found['contestants'].values())):
    view.add(
      int(value),
      *(_curve(found, axis, name)[1][value] for name in found['contestants']),
    )
  return view


def _curve(found, axis, name):
  """The values of an axis, and microseconds per sequence-step by value."""
  base, times = found['base'], found['contestants'][name]
  result = {}
  for value, seconds in times.items():
    sizes = {**base, axis: int(value)}
    result[value] = 1e6 * seconds / (sizes['batch'] * sizes['steps'])
  return [int(value) for value in times], result


def draw_growth(results):
  """A panel per size that grows, a line per contestant.

  Args:
    results: {'growth/<axis>': what was measured}.
  """
  figure = canvas.new_figure(420 * len(results), 420)
  panels = figure.subplots(1, len(results), squeeze=False)[0]
  names = ('N', 'B', 'T', 'R')
  letters = dict(zip(('slots', 'batch', 'steps', 'heads'), names, strict=True))
  for panel, (stage, found) in zip(panels, results.items(), strict=True):
    axis = stage.partition('/')[2]
    for number, name in enumerate(found['contestants']):
      values, times = _curve(found, axis, name)
      colour = canvas.COLOURS[number % len(canvas.COLOURS)]
      panel.plot(
        values, list(times.values()), color=colour, marker='o', ms=4, label=name
      )
    panel.set_xscale('log', base=2)
    panel.set_yscale('log')
    base = {letters[k]: v for k, v in found['base'].items() if k in letters}
    fixed = ' '.join(f'{k}{v}' for k, v in base.items() if k != letters[axis])
    canvas.clean(panel, fixed, letters[axis], 'µs of CPU per sequence-step')
  panels[0].legend(fontsize=9, frameon=False)
  return figure
