"""What training shows: learning curves and reconstructions."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from nca_tf.analysis import canvas


def reconstructions(frames, decoded) -> Figure:
  """Frames of the game above their reconstructions.

  Args:
    frames: [K, H, W, 3], uint8 or floats in [0, 1].
    decoded: the same for the reconstructions.

  Raises:
    ValueError: shapes that differ or no pictures.
  """
  frames, decoded = _floats('frames', frames), _floats('decoded', decoded)
  if frames.shape != decoded.shape:
    raise ValueError(
      f'decoded must be of shape {frames.shape}, got {decoded.shape}'
    )
  tall = frames.shape[1] / frames.shape[2]
  # Wide ones in several rows of pairs, so that something is to be seen.
  across = max(4, len(frames)) if tall > 0.5 else 2
  pairs = -(-len(frames) // across)
  height = 2 * 960 / across * tall + 30
  figure = canvas.new_figure(1000, int(pairs * height) + 50)
  # Room for the names at the left, which the layout counts too narrow.
  figure.get_layout_engine().set(rect=(0.015, 0, 0.985, 1))
  grid = figure.subplots(2 * pairs, across, squeeze=False)
  for axes in grid.flat:
    axes.set_axis_off()
  for i in range(len(frames)):
    first, column = 2 * (i // across), i % across
    error = np.square(frames[i] - decoded[i]).sum()
    grid[first, column].set_title(f'{error:.1f}', fontsize=10)
    for row, picture in enumerate((frames[i], decoded[i])):
      axes = grid[first + row, column]
      axes.imshow(picture, interpolation='nearest', vmin=0, vmax=1)
  for row in range(2 * pairs):
    canvas.label_row(grid[row, 0], ('game', 'reconstruction')[row % 2])
  figure.suptitle(
    'Reconstructions; above each, the squared error summed over the picture'
    ' (values 0..1)',
    fontsize=12,
  )
  return figure


def learning_curves(
  records: Sequence[Mapping],
  keys: Sequence[str] | Mapping[str, str],
  title: str = '',
) -> Figure:
  """One small panel per quantity over the updates.

  Training is a thin line; what was measured on held-out data a thick one.
  A panel has a logarithmic axis when its values are positive and span more
  than a factor of ten.

  Args:
    records: dicts with 'step' and any of the quantities, as in metrics.jsonl;
      a record that lacks a quantity, or holds NaN for it, is passed over.
    keys: names of quantities, one panel each, perhaps with their units; what
      was measured on held-out data has the prefix 'held_out_'.
    title: above all panels.

  Raises:
    ValueError: no keys, or a key that no record has.
  """
  if not keys:
    raise ValueError('keys must name at least one quantity, got none')
  units = dict(keys) if isinstance(keys, Mapping) else {}
  columns = min(3, len(keys))
  rows = math.ceil(len(keys) / columns)
  figure = canvas.new_figure(1000, 60 + 280 * rows)
  panels = list(figure.subplots(rows, columns, squeeze=False).flat)
  for axes in panels[len(keys) :]:
    axes.set_axis_off()
  for axes, key in zip(panels, keys, strict=False):
    training = _series(records, key)
    holding = _series(records, f'held_out_{key}')
    if not len(training[0]) and not len(holding[0]):
      raise ValueError(
        f'keys must be in the records, got {key!r}; there are'
        f' {sorted({name for record in records for name in record})}'
      )
    # The thin line above the thick one: either is seen where both agree.
    _curve(axes, *holding, color=canvas.ORANGE, lw=3.5, label='held out')
    _curve(axes, *training, color=canvas.BLUE, lw=1, label='training')
    values = np.concatenate([training[1], holding[1]])
    if values.min() > 0 and values.max() > 10 * values.min():
      axes.set_yscale('log')
    canvas.clean(axes, key.replace('_', ' '), 'updates', units.get(key, ''))
    canvas.count_along(axes, 5)
    axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=''))
    axes.legend(fontsize=9, frameon=False)
  figure.suptitle(title, fontsize=13)
  return figure


def _series(records, key):
  points = [
    (record['step'], record[key])
    for record in records
    if record.get(key) is not None and math.isfinite(record[key])
  ]
  steps, values = np.array(points, np.float64).reshape(-1, 2).T
  return steps, values


def _curve(axes, steps, values, **style):
  if len(steps):
    marker = 'o' if len(steps) == 1 else None
    axes.plot(steps, values, marker=marker, ms=5, **style)


def _floats(name, pictures):
  pictures = np.asarray(pictures)
  if pictures.ndim != 4 or pictures.shape[-1] != 3 or not len(pictures):
    raise ValueError(
      f'{name} must be of shape [K, H, W, 3], K > 0, got {pictures.shape}'
    )
  if pictures.dtype == np.uint8:
    return pictures / 255
  return np.clip(pictures.astype(np.float64), 0, 1)
