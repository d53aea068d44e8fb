"""Figures of compare_predictions: over epochs, over steps ahead, and boards."""

import numpy as np

from nca_tf.analysis import canvas
from nca_tf.environments.pommerman import drawing
from nca_tf.experiments.predictions import rollout as prediction_rollout
from nca_tf.experiments.predictions import run as prediction_stages

_STYLES = {'categorical': '-', 'mixture': '--'}
_COLOURS = {'dnc': canvas.VERMILION, 'lstm': canvas.BLUE}
_SHOWN = (1, 2, 3, 5, 8, 12)  # Steps ahead, of the pictures of boards.
_TILE = 128


def draw_epochs(stages, read):
  """Wrong components on held-out games over the epochs of training."""
  figure = canvas.new_figure(1000, 480)
  axes = figure.subplots()
  for cell, coding in stages.models:
    curves = []
    for seed in stages.config.seeds:
      records = stages.log.records(f'{coding}-{cell}-{seed}')
      curves.append(
        [
          (each['held_out_epoch'], each['held_out_wrong'])
          for each in records
          if 'held_out_wrong' in each
        ]
      )
    shortest = min(len(curve) for curve in curves)
    curves = np.array([curve[:shortest] for curve in curves])
    epochs, wrong = curves[0, :, 0], curves[..., 1]
    label = prediction_stages.name_of(cell, coding)
    style = {'color': _COLOURS[cell], 'ls': _STYLES[coding]}
    axes.plot(
      epochs, wrong.mean(0), lw=2, label=label, marker='o', ms=3, **style
    )
    axes.fill_between(
      epochs, wrong.min(0), wrong.max(0), color=_COLOURS[cell], alpha=0.12, lw=0
    )
  _draw_ends(axes, read)
  canvas.clean(
    axes,
    'Held-out games while it learns (bands: all seeds)',
    'epochs',
    'wrong components of 372',
  )
  axes.set_ylim(bottom=0)
  axes.legend(fontsize=10, frameon=False)
  return figure


def _draw_ends(axes, read):
  for name in prediction_stages.BASELINES:
    value = read.ratio(name, 'wrong').mean
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


def draw_horizons(stages, read):
  """Wrong components over the steps that M is left alone."""
  figure = canvas.new_figure(1000, 420)
  axes = figure.subplots()
  names = {prediction_stages.name_of(*model): model for model in stages.models}
  for name in ('copy', *names):
    cell, coding = names.get(name, (None, None))
    points = [
      (horizon, *read.ratio(name, 'wrong', horizon))
      for horizon in prediction_stages.HORIZONS
      if read.sums(name, 'wrong', horizon) is not None
    ]
    horizons, mean, low, high = np.array(points).T
    axes.errorbar(
      horizons,
      mean,
      [mean - low, high - mean],
      color=_COLOURS.get(cell, canvas.GREY),
      ls=_STYLES.get(coding, ':'),
      marker='o',
      ms=4,
      lw=2,
      capsize=3,
      label=name,
    )
  canvas.clean(axes, 'Left alone', 'steps ahead', 'wrong components of 372')
  axes.set_xticks(prediction_stages.HORIZONS)
  axes.set_ylim(bottom=0)
  axes.legend(fontsize=10, frameon=False)
  return figure


def draw_boards(stages):
  """Yields (name, figure) per coding: one game, and what each cell dreams."""
  seed = stages.config.seeds[0]
  games = stages.load('held_out', seed)
  now = prediction_rollout.starts(games)
  able = prediction_rollout.has_future(games, now, max(_SHOWN) + 1)
  if not able.any():
    return
  start = now[able][0]
  last = games.game[start]
  game = games._replace(
    **{
      key: values[games.game == last] for key, values in games._asdict().items()
    }
  )
  for coding in dict.fromkeys(coding for _, coding in stages.models):
    rows = {}
    for cell in stages.config.cells:
      predictor = prediction_rollout.Predictor(
        stages.load_model(seed, cell, coding)
      )
      rows[cell] = predictor.dream(game, max(_SHOWN))[1][0]
    yield f'boards-{coding}', _draw_game(stages, game, rows, coding)


def _draw_game(stages, game, rows, coding):
  figure = canvas.new_figure(1000, 190 * (len(rows) + 1) + 40)
  grid = figure.subplots(len(rows) + 1, len(_SHOWN), squeeze=False)
  truth = game.state[list(_SHOWN)]
  for row, (name, states) in enumerate({'game': None, **rows}.items()):
    shown = truth if states is None else states[np.array(_SHOWN) - 1]
    pictures = _draw_states(shown, stages.layout)
    wrong = (shown != truth)[:, : stages.layout.scored].sum(1)
    for column, axes in enumerate(grid[row]):
      axes.set_axis_off()
      axes.imshow(pictures[column], interpolation='nearest')
      title = f'{wrong[column]} wrong' if row else f'{_SHOWN[column]} ahead'
      axes.set_title(title, fontsize=10)
      _mark(axes, shown[column], truth[column], stages.layout)
    grid[row, 0].text(
      -0.06,
      0.5,
      name,
      rotation=90,
      fontsize=11,
      ha='right',
      va='center',
      transform=grid[row, 0].transAxes,
    )
  figure.suptitle(
    f'From the first state on, {coding} coding; red: a cell whose code, bomb '
    'strength or bomb life is wrong',
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
  """Frames the cells that differ."""
  size = layout.size
  wrong = np.zeros(size**2, bool)
  for group in layout.maps:
    wrong |= (state != truth)[group.places]
  side = drawing.cell_side(_TILE, size)
  left = (_TILE - side * size) // 2
  for cell in np.flatnonzero(wrong):
    row, column = divmod(int(cell), size)
    corner = np.array([left + column * side, row * side]) - 0.5
    x, y = (
      corner[0] + side * np.array([0, 1, 1, 0, 0]),
      corner[1] + side * (np.array([0, 0, 1, 1, 0])),
    )
    axes.plot(x, y, color='red', lw=1.5)
