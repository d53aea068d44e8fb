"""Figures of compare_predictions: over epochs, over steps ahead, and boards."""

import numpy as np
from matplotlib import patches
from matplotlib.figure import Figure

from nca_tf.analysis import canvas
from nca_tf.environments.pommerman import drawing
from nca_tf.experiments.predictions import rollout
from nca_tf.experiments.predictions import settings

_SHOWN = (1, 2, 3, 5, 8, 12)  # Steps ahead, of the pictures of boards.
_TILE = 128


def draw(comparison, scores):
  """Yields names and figures of a finished comparison."""
  config = comparison.config
  unit = f'wrong components of {comparison.layout.scored}'
  baselines = {
    name: scores.ratio(name, 'wrong').mean for name in settings.BASELINES
  }
  curves, points = {}, {}
  for coding in config.codings:
    curves[coding], points[coding] = (
      {},
      {'copy': _over_horizons(scores, 'copy')},
    )
    for cell in config.cells:
      curves[coding][cell] = _over_epochs(comparison, cell, coding)
      name = settings.label(cell, coding)
      points[coding][cell] = _over_horizons(scores, name)
  yield 'epochs', draw_epochs(curves, baselines, unit)
  yield 'horizons', draw_horizons(points, unit)
  yield from _draw_boards(comparison)


def _over_epochs(comparison, cell, coding):
  """Epochs [E], and what is wrong on held-out games after each, [seeds, E]."""
  keys = 'held_out_epoch', 'held_out_wrong'
  curves = []
  for seed in comparison.config.seeds:
    records = comparison.run.log.records(f'{coding}-{cell}-{seed}')
    tested = [
      [each[key] for key in keys] for each in records if keys[1] in each
    ]
    curves.append(np.reshape(tested, (-1, 2)))
  shortest = min(len(curve) for curve in curves)
  curves = np.array([curve[:shortest] for curve in curves])
  return curves[0, :, 0], curves[..., 1]


def _over_horizons(scores, name):
  """[horizons that were scored, 4]: steps ahead; mean, low and high."""
  return np.reshape(
    [
      (horizon, *scores.ratio(name, 'wrong', horizon))
      for horizon in settings.HORIZONS
      if scores.sums(name, 'wrong', horizon) is not None
    ],
    (-1, 4),
  )


def draw_epochs(curves, baselines, unit: str) -> Figure:
  """Wrong components on held-out games over the epochs of training.

  Args:
    curves: By coding, which has a panel, and by cell: epochs [E] and what is
      wrong after each, [seeds, E].
    baselines: Values of horizontal lines by name.
    unit: Of what is wrong.
  """
  figure, panels = _make_panels(curves, unit, 'epochs')
  for axes, found in zip(panels, curves.values(), strict=True):
    ends = []
    for number, (cell, (epochs, wrong)) in enumerate(found.items()):
      style = canvas.line_style(number)
      axes.plot(epochs, wrong.mean(0), **style)
      band = {'color': style['color'], 'alpha': 0.12, 'lw': 0}
      axes.fill_between(epochs, wrong.min(0), wrong.max(0), **band)
      if len(epochs):
        ends.append((wrong.mean(0)[-1], cell, style['color']))
    for name, value in baselines.items():
      axes.axhline(value, color=canvas.GREY, ls=':', lw=1.5)
      ends.append((value, f'{name} {value:.2f}', canvas.GREY))
    _finish(axes, ends)
  figure.suptitle('Held-out games during training (bands: all seeds)')
  return figure


def draw_horizons(points, unit: str) -> Figure:
  """Wrong components over the steps ahead, open loop.

  Args:
    points: By coding, which has a panel, and by name of a cell or `copy`:
      [P, 4], the steps ahead, what is wrong, and its interval.
    unit: Of what is wrong.
  """
  figure, panels = _make_panels(points, unit, 'steps ahead')
  bars = {'capsize': 3, 'elinewidth': 1.2}
  for axes, found in zip(panels, points.values(), strict=True):
    ends, number = [], 0
    for name, rows in found.items():
      style = {'color': canvas.GREY, 'ls': ':', 'lw': 1.5, 'zorder': 3}
      if name != 'copy':
        style, number = canvas.line_style(number), number + 1
      horizons, mean, low, high = rows.T
      # Bars of equal models stand side by side.
      shift = 0.25 * (number - len(found) / 2)
      errors = [(mean - low).tolist(), (high - mean).tolist()]
      axes.errorbar(horizons + shift, mean, errors, **bars, **style)
      if len(rows):
        ends.append((mean[-1], name, style['color']))
    axes.set_xticks(settings.HORIZONS)
    _finish(axes, ends)
  figure.suptitle('Open loop (bars: 95 % intervals)')
  return figure


def _make_panels(codings, unit, x):
  """A figure with axes for each coding; their scales differ by too much."""
  figure = canvas.new_figure(1000, 440)
  panels = figure.subplots(1, len(codings), squeeze=False)[0]
  for axes, coding in zip(panels, codings, strict=True):
    canvas.clean(axes, f'{coding} coding', x, unit)
  return figure, panels


def _finish(axes, ends):
  axes.set_ylim(bottom=0)
  canvas.label_ends(axes, ends, gap=0.06)


def _draw_boards(comparison):
  """Yields a figure per coding: one game, and what each cell predicts of it."""
  seed = comparison.config.seeds[0]
  games = comparison.load('held_out', seed)
  now = rollout.starts(games)
  able = rollout.has_future(games, now, max(_SHOWN) + 1)
  if not able.any():
    return
  game = games.select(games.game == games.game[now[able][0]])
  for coding in comparison.config.codings:
    rows = {}
    for cell in comparison.config.cells:
      predictor = rollout.Predictor(comparison.load_model(seed, cell, coding))
      rows[cell] = predictor.dream(game, max(_SHOWN))[1][0]
    figure = draw_game(comparison.layout, game, rows, coding)
    yield f'boards-{coding}', figure


def draw_game(layout, game, rows, coding: str) -> Figure:
  """One game, and below it the states [H, N] that each of `rows` predicts."""
  figure = canvas.new_figure(1000, 190 * (len(rows) + 1) + 40)
  grid = figure.subplots(len(rows) + 1, len(_SHOWN), squeeze=False)
  truth = game.state[list(_SHOWN)]
  for row, (name, states) in enumerate({'game': None, **rows}.items()):
    shown = truth if states is None else states[np.array(_SHOWN) - 1]
    pictures = _draw_states(shown, layout)
    wrong = (shown != truth)[:, : layout.scored].sum(1)
    for column, axes in enumerate(grid[row]):
      axes.set_axis_off()
      axes.imshow(pictures[column], interpolation='nearest')
      title = f'{wrong[column]} wrong' if row else f'{_SHOWN[column]} ahead'
      axes.set_title(title, fontsize=10)
      _mark(axes, shown[column], truth[column], layout)
    canvas.label_row(grid[row, 0], name)
  figure.suptitle(
    f'Open loop from the first state, {coding} coding; red: a square whose '
    'code, bomb strength or bomb life is wrong',
    fontsize=12,
  )
  return figure


def _draw_states(states, layout):
  """Pictures [M, _TILE, _TILE, 3] of states [M, N]."""
  board = {}
  for name in ('board', 'bomb life', 'ammo', 'blast strength', 'can kick'):
    group = layout.find(name)
    shape = (-1, 1, layout.size, layout.size) if group.is_map else (-1, 1)
    values = states[:, group.places].reshape(shape)
    board[name.replace(' ', '_')] = values
  return drawing.to_rgb(board, 0, _TILE)


def _mark(axes, state, truth, layout):
  """Frames the board's squares that differ."""
  size = layout.size
  wrong = np.zeros(size**2, bool)
  for group in layout.maps:
    wrong |= (state != truth)[group.places]
  side = drawing.cell_side(_TILE, size)
  left = (_TILE - side * size) // 2
  for square in np.flatnonzero(wrong):
    row, column = divmod(int(square), size)
    corner = left + column * side - 0.5, row * side - 0.5
    frame = patches.Rectangle(corner, side, side, fill=False, ec='red', lw=1.5)
    axes.add_patch(frame)
