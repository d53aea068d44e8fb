"""Figures of compare_predictions: over epochs, over steps ahead, and boards."""

import numpy as np

from nca_tf.analysis import canvas
from nca_tf.environments.pommerman import drawing
from nca_tf.experiments.predictions import rollout
from nca_tf.experiments.predictions import settings

_STYLES = {'categorical': '-', 'mixture': '--'}
_COLOURS = (canvas.VERMILION, canvas.BLUE, *canvas.COLOURS[2:])  # Of the cells.
_SHOWN = (1, 2, 3, 5, 8, 12)  # Steps ahead, of the pictures of boards.
_TILE = 128


def draw(comparison, scores):
  """Yields names and figures of a finished comparison."""
  yield 'epochs', _draw_epochs(comparison, scores)
  yield 'horizons', _draw_horizons(comparison, scores)
  yield from _draw_boards(comparison)


def _colour(config, cell):
  return _COLOURS[config.cells.index(cell) % len(_COLOURS)]


def _draw_epochs(comparison, scores):
  """Wrong components on held-out games over the epochs of training."""
  figure = canvas.new_figure(1000, 480)
  axes = figure.subplots()
  config = comparison.config
  for cell, coding in config.models:
    curves = [
      _curve(comparison.run.log.records(f'{coding}-{cell}-{seed}'))
      for seed in config.seeds
    ]
    shortest = min(len(curve) for curve in curves)
    curves = np.array([curve[:shortest] for curve in curves])
    epochs, wrong = curves[0, :, 0], curves[..., 1]
    label, colour = settings.label(cell, coding), _colour(config, cell)
    style = {'color': colour, 'ls': _STYLES[coding]}
    axes.plot(
      epochs, wrong.mean(0), lw=2, label=label, marker='o', ms=3, **style
    )
    axes.fill_between(
      epochs, wrong.min(0), wrong.max(0), color=colour, alpha=0.12, lw=0
    )
  _draw_baselines(axes, scores)
  canvas.clean(
    axes,
    'Held-out games during training (bands: all seeds)',
    'epochs',
    _wrong_of(comparison),
  )
  axes.set_ylim(bottom=0)
  axes.legend(fontsize=10, frameon=False)
  return figure


def _curve(records):
  """(epoch, wrong components) of the records that have them."""
  return [
    (each['held_out_epoch'], each['held_out_wrong'])
    for each in records
    if 'held_out_wrong' in each
  ]


def _wrong_of(comparison):
  return f'wrong components of {comparison.layout.scored}'


def _draw_baselines(axes, scores):
  for name in settings.BASELINES:
    value = scores.ratio(name, 'wrong').mean
    axes.axhline(value, color=canvas.GREY, ls=':', lw=1.5)
    axes.annotate(
      f'{name}: {value:.2f}',
      (0.99, value),
      xycoords=('axes fraction', 'data'),
      ha='right',
      va='bottom',
      color=canvas.GREY,
      fontsize=10,
    )


def _draw_horizons(comparison, scores):
  """Wrong components over the steps ahead, open loop."""
  figure = canvas.new_figure(1000, 420)
  axes = figure.subplots()
  config = comparison.config
  styles = {'copy': {'color': canvas.GREY, 'ls': ':'}}
  for cell, coding in config.models:
    style = {'color': _colour(config, cell), 'ls': _STYLES[coding]}
    styles[settings.label(cell, coding)] = style
  for name, style in styles.items():
    points = [
      (horizon, *scores.ratio(name, 'wrong', horizon))
      for horizon in settings.HORIZONS
      if scores.sums(name, 'wrong', horizon) is not None
    ]
    horizons, mean, low, high = np.array(points).T
    axes.errorbar(
      horizons,
      mean,
      [mean - low, high - mean],
      marker='o',
      ms=4,
      lw=2,
      capsize=3,
      label=name,
      **style,
    )
  canvas.clean(axes, 'Open loop', 'steps ahead', _wrong_of(comparison))
  axes.set_xticks(settings.HORIZONS)
  axes.set_ylim(bottom=0)
  axes.legend(fontsize=10, frameon=False)
  return figure


def _draw_boards(comparison):
  """Yields a figure per coding: one game, and what each cell predicts of it."""
  seed = comparison.config.seeds[0]
  games = comparison.load('held_out', seed)
  now = rollout.starts(games)
  able = rollout.has_future(games, now, max(_SHOWN) + 1)
  if not able.any():
    return
  start = now[able][0]
  last = games.game[start]
  game = games._replace(
    **{
      key: values[games.game == last] for key, values in games._asdict().items()
    }
  )
  for coding in comparison.config.codings:
    rows = {}
    for cell in comparison.config.cells:
      predictor = rollout.Predictor(comparison.load_model(seed, cell, coding))
      rows[cell] = predictor.dream(game, max(_SHOWN))[1][0]
    yield f'boards-{coding}', _draw_game(comparison, game, rows, coding)


def _draw_game(comparison, game, rows, coding):
  figure = canvas.new_figure(1000, 190 * (len(rows) + 1) + 40)
  grid = figure.subplots(len(rows) + 1, len(_SHOWN), squeeze=False)
  truth = game.state[list(_SHOWN)]
  for row, (name, states) in enumerate({'game': None, **rows}.items()):
    shown = truth if states is None else states[np.array(_SHOWN) - 1]
    pictures = _draw_states(shown, comparison.layout)
    wrong = (shown != truth)[:, : comparison.layout.scored].sum(1)
    for column, axes in enumerate(grid[row]):
      axes.set_axis_off()
      axes.imshow(pictures[column], interpolation='nearest')
      title = f'{wrong[column]} wrong' if row else f'{_SHOWN[column]} ahead'
      axes.set_title(title, fontsize=10)
      _mark(axes, shown[column], truth[column], comparison.layout)
    canvas.label_row(grid[row, 0], name)
  figure.suptitle(
    f'Open loop from the first state, {coding} coding; red: a square whose '
    'code, bomb strength or bomb life is wrong',
    fontsize=12,
  )
  return figure


def _draw_states(states, layout):
  """Pictures [M, _TILE, _TILE, 3] of states [M, N]."""
  size = layout.size
  maps = {
    name: states[:, layout.find(group).places].reshape(-1, 1, size, size)
    for name, group in (('board', 'board'), ('bomb_life', 'bomb life'))
  }
  singles = {
    name: states[:, [layout.find(group).start]]
    for name, group in (
      ('ammo', 'ammo'),
      ('blast_strength', 'blast strength'),
      ('can_kick', 'can kick'),
    )
  }
  return drawing.to_rgb({**maps, **singles}, 0, _TILE)


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
    corner = np.array([left + column * side, row * side]) - 0.5
    x, y = (
      corner[0] + side * np.array([0, 1, 1, 0, 0]),
      corner[1] + side * (np.array([0, 0, 1, 1, 0])),
    )
    axes.plot(x, y, color='red', lw=1.5)
