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


def make(training) -> report_lib.Report:
  """The report of a finished `run.Training`; `errors.json` has its numbers."""
  config = training.config
  first, *others = config.cells
  differences = {
    f'{_title(first)} less {_title(other)}': _difference_table(
      training, first, other
    )
    for other in others
  }
  return report_lib.Report(
    {'Error by length': _error_table(training), **differences},
    _NOTES.format(
      unit=training.task.UNIT,
      count=config.test_sequences,
      longest=config.own('longest'),
      length=training.task.LENGTH,
    ),
    numbers=_numbers(training),
    figures=_figures(training),
  )


def _title(cell):
  return cells_lib.get(cell).title


def _error_table(training):
  cells = training.config.cells
  headings = [f'{cell}, {training.parameters[cell]} weights' for cell in cells]
  worst = [f'{cell}, worst seed' for cell in cells]
  view = table.Table([training.task.LENGTH, *headings, *worst], digits=4)
  errors = {cell: training.errors(cell) for cell in cells}
  for i, length in enumerate(training.config.lengths):
    means = [
      intervals.bootstrap_nested(errors[cell][:, i], rng=0, resamples=2000)
      for cell in cells
    ]
    view.add(
      length, *means, *(errors[cell][:, i].mean(1).max() for cell in cells)
    )
  return view


def _difference_table(training, first, other):
  view = table.Table([training.task.LENGTH, 'difference of errors'], digits=4)
  ours, theirs = (training.errors(cell).mean(2) for cell in (first, other))
  for i, length in enumerate(training.config.lengths):
    view.add(
      length, intervals.bootstrap_difference(ours[:, i], theirs[:, i], rng=0)
    )
  return view


def _numbers(training):
  """For programs: each seed's mean error by length."""
  config = training.config
  return {
    'task': config.task,
    'unit': training.task.UNIT,
    'longest': config.own('longest'),
    'lengths': list(config.lengths),
    'seeds': list(training.seeds),
    'parameters': {cell: training.parameters[cell] for cell in config.cells},
    'errors': {
      cell: training.errors(cell).mean(2).tolist() for cell in config.cells
    },
  }


def _figures(training):
  """Yields names and figures."""
  config = training.config
  yield (
    'error_over_length',
    length_figures.error_over_length(
      config.lengths,
      {cell: training.errors(cell).mean(2) for cell in config.cells},
      config.own('longest'),
      title=config.task.replace('_', ' '),
      x=training.task.LENGTH,
      y=training.task.UNIT,
      bar=0.5 if training.task.KIND == 'number' else 0.01,
    ),
  )
  for cell in config.cells:
    for seed in training.seeds:
      records = training.run.log.records(f'{cell}-{seed}')
      yield (
        f'curves-{cell}-{seed}',
        figures.learning_curves(
          records, ['loss', 'error', 'gradient_norm'], f'{cell}, seed {seed}'
        ),
      )
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
  chosen = sorted({0, int(steps[0]) // 2, int(steps[0]), len(outputs) - 1})
  yield (
    'memory',
    memory_trace.memory_matrices(trace['memory'], chosen, f'{title}: memory'),
  )
  yield 'answer', _draw_answer(training.task.KIND, batch, outputs, title)


def _draw_answer(kind, batch, outputs, title):
  """Inputs, targets and outputs of one sequence, one above the other."""
  if kind == 'bits':
    outputs = 1 / (1 + np.exp(-outputs))
  elif kind == 'classes':
    outputs = np.exp(outputs - outputs.max(-1, keepdims=True))
    outputs /= outputs.sum(-1, keepdims=True)
  outputs = outputs * batch.answers[0][:, None]
  figure = canvas.new_figure(1000, 520)
  panels = figure.subplots(3, 1, sharex=True)
  rows = {
    'inputs': batch.inputs[0],
    'targets': batch.targets[0],
    'outputs at the answer': outputs,
  }
  for axes, (name, values) in zip(panels, rows.items(), strict=True):
    highest = max(1, *(rows[key].max() for key in list(rows)[1:]))
    picture = axes.imshow(
      values.T,
      aspect='auto',
      interpolation='nearest',
      cmap='viridis',
      vmax=1 if name == 'inputs' else highest,
    )
    canvas.clean(axes, name)
    axes.yaxis.set_major_locator(ticker.MaxNLocator(4, integer=True))
    figure.colorbar(picture, ax=axes, pad=0.01, aspect=8)
  panels[-1].set_xlabel('step', fontsize=11)
  figure.suptitle(title, fontsize=13)
  return figure
