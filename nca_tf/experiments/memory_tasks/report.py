"""The report of train_memory_task: tables, figures, numbers."""

import numpy as np
from matplotlib import ticker

from nca_tf.analysis import canvas
from nca_tf.analysis import figures
from nca_tf.analysis import intervals
from nca_tf.analysis import length_figures
from nca_tf.analysis import memory_trace
from nca_tf.analysis import table
from nca_tf.memory import cells as cells_lib
from nca_tf.runs import report as report_lib

_NOTES = """\
Error: {unit}, mean of {count} held-out sequences per length and seed; trained \
on up to {longest} {length}.
Brackets: 95 % bootstrap intervals; seeds are resampled, then the sequences of \
each. Differences are of the seeds' means, resampled for each cell.
"""
# Units of the loss by kind of task.
_LOSSES = {
  'bits': 'nats per bit',
  'classes': 'nats per answer',
  'number': 'squared error',
}


def make(training) -> report_lib.Report:
  """The report of a finished `run.Training`; `errors.json` has its numbers."""
  config, task = training.config, training.task
  errors = {cell: training.errors(cell) for cell in config.cells}
  means = {cell: every.mean(2) for cell, every in errors.items()}
  tables = {'Error by length': _error_table(training, errors)}
  first, *others = config.cells
  for other in others:
    view = table.Table([task.LENGTH, 'difference of errors'], digits=4)
    for i, length in enumerate(config.lengths):
      ours, theirs = means[first][:, i], means[other][:, i]
      view.add(length, intervals.bootstrap_difference(ours, theirs, rng=0))
    title = f'{cells_lib.get(first).title} less {cells_lib.get(other).title}'
    tables[title] = view
  notes = _NOTES.format(
    unit=task.UNIT,
    count=config.test_sequences,
    longest=config.own('longest'),
    length=task.LENGTH,
  )
  numbers = {
    'task': config.task,
    'unit': task.UNIT,
    'longest': config.own('longest'),
    'lengths': config.lengths,
    'seeds': list(training.seeds),
    'parameters': {cell: training.parameters[cell] for cell in config.cells},
    'errors': means,
  }
  return report_lib.Report(
    tables, notes, numbers=numbers, figures=_figures(training, means)
  )


def _error_table(training, errors):
  headings = [f'{cell}, {training.parameters[cell]} weights' for cell in errors]
  worst = [f'{cell}, worst seed' for cell in errors]
  view = table.Table([training.task.LENGTH, *headings, *worst], digits=4)
  for i, length in enumerate(training.config.lengths):
    found = [every[:, i] for every in errors.values()]
    means = [
      intervals.bootstrap_nested(each, rng=0, resamples=2000) for each in found
    ]
    view.add(length, *means, *(each.mean(1).max() for each in found))
  return view


def _figures(training, means):
  """Yields names and figures."""
  config, task = training.config, training.task
  yield (
    'error_over_length',
    length_figures.error_over_length(
      config.lengths,
      means,
      config.own('longest'),
      title=config.task.replace('_', ' '),
      x=task.LENGTH,
      y=task.UNIT,
      bar=0.5 if task.KIND == 'number' else 0.01,
    ),
  )
  quantities = {
    'loss': _LOSSES[task.KIND],
    'error': task.UNIT,
    'gradient_norm': '',
  }
  for cell in config.cells:
    for seed in training.seeds:
      records = training.run.log.records(f'{cell}-{seed}')
      title = f'{cell}, seed {seed}'
      curves = figures.learning_curves(records, quantities, title)
      yield f'curves-{cell}-{seed}', curves
  for cell in config.cells:
    if cells_lib.get(cell).has_memory:
      yield from _memory_figures(training, cell)


def _memory_figures(training, cell):
  """Memory, usage, weightings and gates of the first seed's cell."""
  batch, outputs, trace = training.trace(cell, training.seeds[0])
  steps = np.flatnonzero(batch.answers[0])
  title = training.config.task.replace('_', ' ')
  yield (
    'trace',
    memory_trace.memory_trace(
      trace,
      marks=[steps[0] - 0.5],
      title=f'{title}: the answer begins at the line',
    ),
  )
  shown = sorted({0, int(steps[0]) // 2, int(steps[0]), len(outputs) - 1})
  matrices = trace['memory'], shown, f'{title}: memory'
  yield 'memory', memory_trace.memory_matrices(*matrices)
  yield 'answer', draw_answer(training.task.KIND, batch, outputs, title)


def draw_answer(kind, batch, outputs, title):
  """Inputs, targets and outputs of one sequence, one above the other."""
  if kind == 'bits':
    outputs = 1 / (1 + np.exp(-outputs))
  elif kind == 'classes':
    outputs = np.exp(outputs - outputs.max(-1, keepdims=True))
    outputs /= outputs.sum(-1, keepdims=True)
  outputs = outputs * batch.answers[0][:, None]
  figure = canvas.new_figure(1000, 520)
  panels = figure.subplots(3, 1, sharex=True)
  inputs, targets = batch.inputs[0], batch.targets[0]
  highest = max(1, targets.max(), outputs.max())
  rows = (
    ('inputs', inputs, 1),
    ('targets', targets, highest),
    ('outputs at the answer', outputs, highest),
  )
  style = {'aspect': 'auto', 'interpolation': 'nearest', 'cmap': 'viridis'}
  for axes, (name, values, limit) in zip(panels, rows, strict=True):
    picture = axes.imshow(values.T, vmax=limit, **style)
    canvas.clean(axes, name)
    whole = ticker.MaxNLocator(4, integer=True, min_n_ticks=1)
    axes.yaxis.set_major_locator(whole)
    axes.set_ylabel('component', fontsize=10)
    figure.colorbar(picture, ax=axes, pad=0.01, aspect=8)
  panels[-1].set_xlabel('step', fontsize=11)
  figure.suptitle(title, fontsize=13)
  return figure
