"""Pictures of what a Differentiable Neural Computer does over one sequence.

In the manner of Graves et al. (2016), "Hybrid computing using a neural network
with dynamic external memory", figures 2 and 3.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colors
from matplotlib import ticker
from matplotlib.figure import Figure

from nca_tf import checks
from nca_tf.analysis import canvas

# Pixels of one row of values, and the least of one panel.
ROW, PANEL = 5, 70
_MODES = ('backward', 'content', 'forward')  # Of a head, in their order.


def memory_trace(
  trace: Mapping[str, np.ndarray],
  *,
  marks: Sequence[int] = (),
  title: str = '',
) -> Figure:
  """Everything that happens in and around the memory, over time.

  One panel per quantity, rows being slots, heads or gates, on one time axis.
  Weightings and gates are coloured from 0 to 1 by their square root, so that a
  diffuse weighting stays visible next to a sharp one.

  Args:
    trace: arrays of one sequence; any of memory [T, N, W], usage [T, N],
      write_weights [T, N], read_weights [T, R, N], read_modes [T, R, 3], and
      any whose name ends in _gate or _gates, [T] or [T, R]. Other names are
      ignored, so that a whole state can be given.
    marks: steps at which something happened, drawn as vertical lines.
    title: above all panels.

  Raises:
    ValueError: nothing to draw, or arrays of different lengths.
  """
  panels = _panels({k: np.asarray(v) for k, v in trace.items()})
  if not panels:
    raise ValueError(
      'trace must have memory, usage, write_weights, read_weights, read_modes'
      f' or gates, got {sorted(trace)}'
    )
  lengths = {name: rows.shape[1] for name, rows, _, _ in panels}
  if len(set(lengths.values())) > 1:
    raise ValueError(f'trace must have arrays of one length, got {lengths}')
  heights = [
    min(220, max(PANEL, (ROW if labels is None else 18) * len(rows)))
    for _, rows, labels, _ in panels
  ]
  figure = canvas.new_figure(1000, sum(heights) + 46 * len(panels) + 60)
  stack = figure.subplots(
    len(panels), 1, sharex=True, squeeze=False, height_ratios=heights
  )[:, 0]
  for axes, panel in zip(stack, panels, strict=True):
    _draw(figure, axes, *panel)
    for mark in marks:
      axes.axvline(mark, color='white', lw=3)
      axes.axvline(mark, color=canvas.VERMILION, lw=1.2)
  stack[-1].set_xlabel('step', fontsize=11)
  stack[-1].xaxis.set_major_locator(_whole(10))
  figure.suptitle(title, fontsize=13)
  return figure


def memory_matrices(memory, steps: Sequence[int], title: str = '') -> Figure:
  """The memory itself at chosen steps, side by side on one colour scale.

  Args:
    memory: [T, N, W].
    steps: which of the T steps, at most 8 of them.
    title: above all panels.

  Raises:
    ValueError: a wrong shape, no steps, too many, or one out of range.
  """
  memory = np.asarray(memory)
  if memory.ndim != 3:
    raise ValueError(f'memory must be of shape [T, N, W], got {memory.shape}')
  steps = [checks.integer('steps', step) for step in steps]
  inside = all(0 <= step < len(memory) for step in steps)
  if not 1 <= len(steps) <= 8 or not inside:
    raise ValueError(
      f'steps must be 1 to 8 numbers in 0..{len(memory) - 1}, got {steps}'
    )
  figure = canvas.new_figure(1000, 400)
  row = figure.subplots(1, len(steps), sharey=True, squeeze=False)[0]
  limit = max(float(np.abs(memory[steps]).max()), 1e-6)
  for axes, step in zip(row, steps, strict=True):
    picture = axes.imshow(
      memory[step],
      cmap='RdBu_r',
      vmin=-limit,
      vmax=limit,
      aspect='auto',
      interpolation='nearest',
    )
    axes.set_title(f'step {step}', fontsize=11)
    axes.set_xlabel('word', fontsize=11)
    axes.xaxis.set_major_locator(_whole(4))
  row[0].set_ylabel('slot', fontsize=11)
  row[0].yaxis.set_major_locator(_whole(8))
  figure.colorbar(picture, ax=list(row), pad=0.01, label='content')
  figure.suptitle(title, fontsize=13)
  return figure


def _whole(most):
  """Marks at most so many whole numbers, and at least one."""
  return ticker.MaxNLocator(most, integer=True, min_n_ticks=1)


def _panels(trace):
  """(name, [rows, T], row labels or None, largest value or None)."""
  panels = []
  if 'memory' in trace:
    norms = np.linalg.norm(trace['memory'], axis=-1).T
    panels.append(('length of the memory words', norms, None, None))
  for name in ('usage', 'write_weights'):
    if name in trace:
      panels.append((name.replace('_', ' '), trace[name].T, None, 1))
  if 'read_weights' in trace:
    weights = trace['read_weights']
    for head in range(weights.shape[1]):
      name = f'read weights, head {head}'
      panels.append((name, weights[:, head].T, None, 1))
  if 'read_modes' in trace:
    modes = trace['read_modes']
    labels = [f'{m} {r}' for r in range(modes.shape[1]) for m in _MODES]
    rows = modes.reshape(len(modes), -1).T
    panels.append(('read modes per head', rows, labels, 1))
  rows, labels = [], []
  for name, values in sorted(trace.items()):
    if name.endswith(('_gate', '_gates')):
      values = values.reshape(len(values), -1).T
      word = name.rsplit('_', 1)[0].replace('_', ' ')
      rows.extend(values)
      labels += [
        word if len(values) == 1 else f'{word} {r}' for r in range(len(values))
      ]
  if rows:
    panels.append(('gates', np.array(rows), labels, 1))
  return panels


def _draw(figure, axes, name, rows, labels, largest):
  norm = colors.Normalize(0, max(float(rows.max()), 1e-6))
  if largest is not None:
    norm = colors.PowerNorm(0.5, vmin=0, vmax=largest)
  picture = axes.imshow(
    rows, aspect='auto', interpolation='nearest', cmap='viridis', norm=norm
  )
  axes.set_title(name, fontsize=11, loc='left')
  axes.tick_params(labelsize=9)
  if labels is None:
    axes.set_ylabel('slot', fontsize=10)
    axes.yaxis.set_major_locator(_whole(4))
  else:
    axes.set_yticks(range(len(labels)), labels)
  bar = figure.colorbar(picture, ax=axes, pad=0.01, aspect=8)
  bar.ax.tick_params(labelsize=9)
  if largest is not None:
    bar.set_ticks([0, 0.1, 0.5, 1], labels=['0', '0.1', '0.5', '1'])
    bar.minorticks_off()
