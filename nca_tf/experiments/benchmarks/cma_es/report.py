"""The benchmark of CMA-ES as tables."""

import math

import numpy as np

from nca_tf.analysis import table
from nca_tf.experiments.benchmarks import measurement
from nca_tf.experiments.benchmarks.cma_es import bbob
from nca_tf.experiments.benchmarks.cma_es import narrow
from nca_tf.experiments.benchmarks.cma_es import quality
from nca_tf.experiments.benchmarks.cma_es import settings
from nca_tf.experiments.benchmarks.cma_es import speed
from nca_tf.runs import report as report_lib


def make(results) -> report_lib.Report:
  """Returns the tables of the stages that there are.

  Args:
    results: For each stage, such as 'speed/10', what its `measure` returned.
  """
  found = {part: {} for part in _PARTS}
  for stage, numbers in results.items():
    part, _, title = stage.partition('/')
    found[part][title] = numbers
  tables, notes = {}, []
  for part, (title, note, tabulate) in _PARTS.items():
    if found[part]:
      tables[title] = tabulate(found[part])
      notes.append(f'{note}\n')
  targets = measurement.Targets('verdict', ('miss', 'pass'))
  _judge_speed(found['speed'], targets)
  _judge_quality(found['quality'], targets)
  _judge_narrow(found['narrow'], targets)
  tables |= targets.tables()
  return report_lib.Report(tables, '\n'.join(notes), '# CMA-ES', results)


def _tabulate_speed(found):
  columns = ['n', 'implementation', 'generations per CPU-second']
  view = table.Table([*columns, 'pycma = 1', 'evosax = 1'], digits=2)
  for title, measured in found.items():
    for name, values in measured.items():
      rate = speed.quartiles(values)
      ratios = [
        speed.ratio(measured, name, peer).mean if peer in measured else None
        for peer in ('pycma', 'evosax')
      ]
      view.add(title, name, rate.text(0 if rate.mean > 100 else 1), *ratios)
  return view


def _judge_speed(found, targets):
  for n, precision, peer, least in settings.SPEED_TARGETS:
    measured = found.get(str(n), {})
    if peer in measured:
      ratio = speed.ratio(measured, f'nca_tf {precision}', peer)
      what = f'speed, n = {n}, {precision}, over {peer}'
      targets.add(what, ratio, low=least)
  for title, measured in found.items():
    for precision in ('float64', 'float32'):
      product = f'product {precision}'
      if product in measured:
        ratio = speed.ratio(measured, product, f'nca_tf {precision}')
        what = 'a generation over its sampling product'
        what = f'{what}, n = {title}, {precision}'
        targets.add(what, ratio, high=settings.PRODUCT_TARGET)


def _tabulate_quality(found):
  columns = ['problem', 'nca_tf', 'pycma', 'ratio [95 %]', 'found']
  view = table.Table([*columns, "pycma's found [95 %]"], digits=3)
  for title, runs in found.items():
    ours, theirs = runs['nca_tf'], runs.get('pycma')
    view.add(
      title,
      _count(quality.median(ours)),
      _count(quality.median(theirs)) if theirs else None,
      quality.ratio(ours, theirs) if theirs else None,
      quality.rate(ours).mean,
      quality.rate(theirs) if theirs else None,
    )
  return view


def _judge_quality(found, targets):
  for title, runs in found.items():
    ours, theirs = runs['nca_tf'], runs.get('pycma')
    if theirs and title.startswith('rastrigin'):
      wanted = quality.rate(theirs)
      targets.add(
        f'success, {title}', quality.rate(ours), wanted.low, wanted.high, '.3f'
      )
    elif theirs:
      ratio = quality.ratio(ours, theirs)
      what = f'evaluations over pycma, {title}'
      targets.add(what, ratio, *settings.RATIO_TARGET)
  for title, runs in found.items():
    plain = found.get(title.removeprefix('rotated '))
    if title.startswith('rotated') and plain:
      ratio = quality.ratio(runs['nca_tf'], plain['nca_tf'])
      targets.add(f'{title} over plain', ratio, *settings.ROTATION_TARGET)


def _judge_narrow(found, targets):
  for title, runs in found.items():
    if runs.get('pycma'):
      ratio = quality.ratio(runs['nca_tf'], runs['pycma'])
      what = f'evaluations over pycma, narrow box, {title}'
      targets.add(what, ratio, high=settings.NARROW_TARGET)


def _tabulate_bbob(found):
  columns = ['function', 'n', 'found', "pycma's", 'evaluations per n']
  columns += ["pycma's", 'ratio', 'median error', "pycma's"]
  view = table.Table(columns, digits=2)
  for title, runs in found.items():
    function, n = title.split()
    ours, theirs = runs['nca_tf'], runs.get('pycma', [])
    times = [
      bbob.expected_running_time(each) / int(n) if each else math.nan
      for each in (ours, theirs)
    ]
    ratio = times[0] / times[1] if all(map(math.isfinite, times)) else None
    view.add(
      function,
      int(n),
      _share(ours),
      _share(theirs),
      *map(_count, times),
      ratio,
      _error(ours),
      _error(theirs),
    )
  return view


def _count(value):
  return None if not math.isfinite(value) else round(value)


def _share(rows):
  return f'{sum(row["found"] for row in rows)}/{len(rows)}' if rows else '-'


def _error(rows):
  if not rows:
    return '-'
  return f'{max(0, np.median([row["error"] for row in rows])):.0e}'


# Part: title, note, function that makes the table.
_PARTS = {
  'speed': (
    'Speed: whole runs on the ellipsoid, 64 candidates',
    "Speed: medians over the rounds with quartiles; a product is z A' alone.",
    _tabulate_speed,
  ),
  'quality': (
    f'Evaluations to {quality.FTARGET:g}',
    'Evaluations: medians over the seeds, a failed run counting as infinitely '
    'long.',
    _tabulate_quality,
  ),
  'bbob': (
    f'BBOB to f_opt + {bbob.FTARGET:g}, IPOP restarts',
    'BBOB: evaluations are the expected running time, those of all runs over '
    "the successes; the instances are this library's own, the same for both.",
    _tabulate_bbob,
  ),
  'narrow': (
    f'Evaluations to {narrow.FTARGET:g} in a box of {narrow.WIDTH:g}',
    'Narrow box: a sphere in 5 dimensions, its minimum in four places, first '
    f'step {narrow.SIGMA:g}.',
    _tabulate_quality,
  ),
}
