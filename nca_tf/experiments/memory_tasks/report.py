"""What a person sees of train_memory_task: tables, figures, TensorBoard."""

import json

import numpy as np
from matplotlib import ticker

from nca_tf.analysis import canvas
from nca_tf.analysis import figures
from nca_tf.analysis import intervals
from nca_tf.analysis import length_figures
from nca_tf.analysis import memory_trace
from nca_tf.analysis import table

_NOTES = """\
Error: {unit}, mean of {count} held-out sequences per length and seed; trained \
on up to {longest} {length}.
Brackets: 95 % bootstrap intervals; seeds are drawn again, then the sequences \
of each. Differences are of the seeds' means, drawn again for either cell.
"""


def write(stages):
  """Writes summary.txt, summary.md, errors.json and the figures."""
  parts = {'Error by length': _error_table(stages)}
  if len(stages.config.cells) > 1:
    parts['DNC less LSTM'] = _difference_table(stages)
  notes = _NOTES.format(
    unit=stages.task.UNIT,
    count=stages.config.test_sequences,
    longest=stages.config.own('longest'),
    length=stages.task.LENGTH,
  )
  text = [f'{title}\n\n{view.text()}\n' for title, view in parts.items()]
  markdown = [
    f'## {title}\n\n{view.markdown()}' for title, view in parts.items()
  ]
  folder = stages.folder.path
  (folder / 'summary.txt').write_text('\n'.join([*text, notes]))
  (folder / 'summary.md').write_text('\n'.join([*markdown, notes]))
  (folder / 'errors.json').write_text(json.dumps(_numbers(stages), indent=2))
  stages.log.text('summary', '\n'.join([*markdown, notes]))
  _draw_lengths(stages)
  _draw_curves(stages)
  _draw_trace(stages)


def _error_table(stages):
  cells = stages.config.cells
  headings = [f'{cell}, {stages.parameters[cell]} weights' for cell in cells]
  worst = [f'{cell}, worst seed' for cell in cells]
  view = table.Table([stages.task.LENGTH, *headings, *worst], digits=4)
  errors = {cell: stages.errors(cell) for cell in cells}
  for i, length in enumerate(stages.config.lengths):
    means = [
      intervals.bootstrap_nested(errors[cell][:, i], rng=0, resamples=2000)
      for cell in cells
    ]
    view.add(
      length, *means, *(errors[cell][:, i].mean(1).max() for cell in cells)
    )
  return view


def _difference_table(stages):
  view = table.Table([stages.task.LENGTH, 'difference of errors'], digits=4)
  ours, theirs = (stages.errors(cell).mean(2) for cell in ('dnc', 'lstm'))
  for i, length in enumerate(stages.config.lengths):
    view.add(
      length, intervals.bootstrap_difference(ours[:, i], theirs[:, i], rng=0)
    )
  return view


def _numbers(stages):
  """For programs: each seed's mean error by length."""
  return {
    'task': stages.config.task,
    'unit': stages.task.UNIT,
    'longest': stages.config.own('longest'),
    'lengths': list(stages.config.lengths),
    'seeds': list(stages.seeds),
    'parameters': {
      cell: stages.parameters[cell] for cell in stages.config.cells
    },
    'errors': {
      cell: stages.errors(cell).mean(2).tolist() for cell in stages.config.cells
    },
  }


def _draw_lengths(stages):
  figure = length_figures.error_over_length(
    stages.config.lengths,
    {cell: stages.errors(cell).mean(2) for cell in stages.config.cells},
    stages.config.own('longest'),
    title=stages.config.task.replace('_', ' '),
    x=stages.task.LENGTH,
    y=stages.task.UNIT,
    bar=0.5 if stages.task.KIND == 'number' else 0.01,
  )
  _keep(stages, figure, 'error_over_length')


def _draw_curves(stages):
  for cell in stages.config.cells:
    for seed in stages.seeds:
      records = stages.log.records(f'{cell}-{seed}')
      figure = figures.learning_curves(
        records, ['loss', 'error', 'gradient_norm'], f'{cell}, seed {seed}'
      )
      _keep(stages, figure, f'curves-{cell}-{seed}')


def _draw_trace(stages):
  """Memory, usage, weightings and gates of the first seed's DNC."""
  if 'dnc' not in stages.config.cells:
    return
  batch, outputs, trace = stages.trace('dnc', stages.seeds[0])
  steps = np.flatnonzero(batch.answers[0])
  title = stages.config.task.replace('_', ' ')
  figure = memory_trace.memory_trace(
    trace, marks=[steps[0] - 0.5], title=f'{title}: the line is the answer'
  )
  _keep(stages, figure, 'trace')
  chosen = sorted({0, int(steps[0]) // 2, int(steps[0]), len(outputs) - 1})
  figure = memory_trace.memory_matrices(
    trace['memory'], chosen, f'{title}: memory'
  )
  _keep(stages, figure, 'memory')
  _keep(stages, _answer(stages, batch, outputs, title), 'answer')


def _answer(stages, batch, outputs, title):
  """Inputs, targets and outputs of one sequence, one above the other."""
  if stages.task.KIND == 'bits':
    outputs = 1 / (1 + np.exp(-outputs))
  elif stages.task.KIND == 'classes':
    outputs = np.exp(outputs - outputs.max(-1, keepdims=True))
    outputs /= outputs.sum(-1, keepdims=True)
  outputs = outputs * batch.answers[0][:, None]
  figure = canvas.new_figure(1000, 520)
  panels = figure.subplots(3, 1, sharex=True)
  rows = {
    'inputs': batch.inputs[0],
    'targets': batch.targets[0],
    'outputs where asked for': outputs,
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


def _keep(stages, figure, name):
  canvas.save(figure, stages.folder.figures / f'{name}.png')
  stages.log.image(f'figures/{name}', canvas.to_image(figure), 0)
