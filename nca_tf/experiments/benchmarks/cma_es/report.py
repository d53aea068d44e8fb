"""The benchmark of CMA-ES as tables in Markdown."""

import math

import numpy as np

from nca_tf.analysis import intervals
from nca_tf.analysis import table
from nca_tf.experiments.benchmarks.cma_es import bbob as cma_es_bbob
from nca_tf.experiments.benchmarks.cma_es import quality as cma_es_quality
from nca_tf.experiments.benchmarks.cma_es import speed as cma_es_speed


def write(results) -> str:
  """Returns all tables for the stages that there are.

  Args:
    results: for each stage, such as 'speed/10', what its `measure` returned.
  """
  parts = {'speed': {}, 'quality': {}, 'bbob': {}}
  for stage, found in results.items():
    part, _, title = stage.partition('/')
    parts[part][title] = found
  text = ['# CMA-ES\n']
  writers = {'speed': _speed, 'quality': _quality, 'bbob': _bbob}
  for part, found in parts.items():
    if found:
      text += writers[part](found)
  return '\n'.join(text)


def _speed(found):
  speeds = table.Table(
    [
      'n',
      'contestant',
      'generations per CPU-second',
      'pycma = 1',
      'evosax = 1',
    ],
    digits=2,
  )
  bars = _Bars()
  for title, measured in found.items():
    for name, values in measured.items():
      low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
      ratios = [
        cma_es_speed.ratio(measured, name, peer).mean
        if peer in measured
        else None
        for peer in ('pycma', 'evosax')
      ]
      speed = intervals.Interval(middle, low, high)
      speeds.add(title, name, speed.text(0 if middle > 100 else 1), *ratios)
  for n, precision, peer, bar in cma_es_speed.BARS:
    measured = found.get(str(n), {})
    if peer in measured:
      ratio = cma_es_speed.ratio(measured, f'nca_tf {precision}', peer)
      what = f'speed, n = {n}, {precision}, over {peer}'
      bars.add(what, f'at least {bar:g}', ratio, ratio.mean >= bar)
  for title, measured in found.items():
    for precision in ('float64', 'float32'):
      if f'product {precision}' in measured:
        ratio = cma_es_speed.ratio(
          measured, f'product {precision}', f'nca_tf {precision}'
        )
        what = (
          f'a generation over its sampling product, n = {title}, {precision}'
        )
        bar = cma_es_speed.PRODUCT_BAR
        bars.add(what, f'at most {bar:g}', ratio, ratio.mean <= bar)
  return [
    '## Speed: whole runs on the ellipsoid, 64 candidates\n',
    "Medians over the rounds with quartiles; a product is z A' alone.\n",
    speeds.markdown(),
    *bars.markdown(),
  ]


def _quality(found):
  counts = table.Table(
    [
      'problem',
      'nca_tf',
      'pycma',
      'ratio [95 %]',
      'found',
      "pycma's found [95 %]",
    ],
    digits=3,
  )
  bars = _Bars()
  low, high = cma_es_quality.RATIO_BAR
  for title, runs in found.items():
    ours, theirs = runs['nca_tf'], runs.get('pycma')
    ratio = theirs and cma_es_quality.ratio(ours, theirs)
    rates = [
      cma_es_quality.rate(each) if each else None for each in (ours, theirs)
    ]
    counts.add(
      title,
      _count(cma_es_quality.median(ours)),
      _count(cma_es_quality.median(theirs)) if theirs else None,
      ratio,
      rates[0].mean,
      rates[1],
    )
    if not theirs:
      continue
    if title.startswith('rastrigin'):
      inside = rates[1].low <= rates[0].mean <= rates[1].high
      bar = f'{rates[1].low:.3f} to {rates[1].high:.3f}'
      bars.add(f'success, {title}', bar, rates[0], inside)
    else:
      bars.add(
        f'evaluations over pycma, {title}',
        f'{low:g} to {high:g}',
        ratio,
        low <= ratio.mean <= high,
      )
  for title, runs in found.items():
    if title.startswith('rotated'):
      plain = found.get(title.removeprefix('rotated '))
      if plain:
        _add_rotation(bars, title, runs['nca_tf'], plain['nca_tf'])
  return [
    f'## Evaluations to {cma_es_quality.TARGET:g}\n',
    'Medians over the seeds, a failed run counting as infinitely long.\n',
    counts.markdown(),
    *bars.markdown(),
  ]


def _add_rotation(bars, title, rotated, plain):
  low, high = cma_es_quality.ROTATION_BAR
  ratio = cma_es_quality.ratio(rotated, plain)
  bars.add(
    f'{title} over plain',
    f'{low:g} to {high:g}',
    ratio,
    low <= ratio.mean <= high,
  )


def _bbob(found):
  rows = table.Table(
    [
      *('function', 'n', 'found', "pycma's", 'evaluations per n'),
      *("pycma's", 'ratio', 'median error', "pycma's"),
    ],
    digits=2,
  )
  for title, runs in found.items():
    function, n = title.split()
    ours, theirs = runs['nca_tf'], runs.get('pycma', [])
    times = [
      cma_es_bbob.expected_running_time(each) / int(n) if each else math.nan
      for each in (ours, theirs)
    ]
    ratio = times[0] / times[1] if math.isfinite(times[1]) else math.nan
    rows.add(
      function,
      int(n),
      _share(ours),
      _share(theirs),
      *map(_count, times),
      ratio if math.isfinite(ratio) else None,
      _error(ours),
      _error(theirs),
    )
  return [
    f'## BBOB to f_opt + {cma_es_bbob.TARGET:g}, IPOP restarts\n',
    'Evaluations: expected running time, those of all runs over the successes;'
    " the instances are this library's own, the same for both.\n",
    rows.markdown(),
  ]


class _Bars:
  """What was asked for beside what was measured."""

  def __init__(self):
    self._table = table.Table(['bar', 'asked', 'measured', 'verdict'], digits=2)
    self._is_empty = True

  def add(self, what, asked, measured, passed):
    self._table.add(what, asked, measured, 'pass' if passed else 'miss')
    self._is_empty = False

  def markdown(self):
    return [] if self._is_empty else [self._table.markdown()]


def _count(value):
  return None if not math.isfinite(value) else round(value)


def _share(rows):
  return f'{sum(row["found"] for row in rows)}/{len(rows)}' if rows else '-'


def _error(rows):
  if not rows:
    return '-'
  return f'{max(0, np.median([row["error"] for row in rows])):.0e}'
