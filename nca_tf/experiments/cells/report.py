"""What a person sees of compare_cells: tables, a figure, TensorBoard."""

import json
import shutil

import numpy as np
import tensorflow as tf

from nca_tf.analysis import canvas
from nca_tf.analysis import intervals
from nca_tf.analysis import score_figures
from nca_tf.analysis import table
from nca_tf.experiments.cells import comparison as cell_settings

_NOTES = """\
Scores are tics survived in the real game, {episodes} final episodes per seed \
and setting, the same episodes for all settings of a seed; the scripted \
policies play those of the first seed.
Brackets: 95 % bootstrap intervals. Of one seed: its episodes are drawn again. \
Over seeds: seeds are drawn again, then the episodes of each; with so \
few ({count}) it is rough. Differences are paired, episode by episode.
NLL: nats per latent dimension, one step ahead on held-out episodes.
"""


def write(stages):
  """Writes summary.txt, summary.md, scores.json, the figure, TensorBoard."""
  parts = {
    'Score in the game': _score_table(stages),
    'Differences': _difference_table(stages),
    'Held-out measures of M': _measure_table(stages),
    'Dream check: tics survived': _check_table(stages),
  }
  config = stages.config
  notes = _complaints(stages) + _NOTES.format(
    episodes=config.final_episodes, count=len(config.seeds)
  )
  text = [f'{title}\n\n{view.text()}\n' for title, view in parts.items()]
  markdown = [
    f'## {title}\n\n{view.markdown()}' for title, view in parts.items()
  ]
  markdown = '\n'.join([*markdown, notes])
  folder = stages.folder
  (folder.path / 'summary.txt').write_text('\n'.join([*text, notes]))
  (folder.path / 'summary.md').write_text(markdown)
  (folder.path / 'scores.json').write_text(
    json.dumps(_numbers(stages), indent=2)
  )
  _draw(stages)
  _write_curves(stages)
  stages.log.text('summary', markdown)


def _seeds(stages):
  return [f'seed {seed}' for seed in stages.config.seeds]


def _score_table(stages):
  view = table.Table(['setting', *_seeds(stages), 'over seeds'], digits=0)
  for setting in stages.settings:
    played = stages.played(setting)
    each = [cell_settings.score([scores]) for scores in played]
    view.add(setting.name, *each, cell_settings.score(played))
  for name, scores in _policies(stages).items():
    nothing = [None] * len(stages.config.seeds)
    view.add(name, *nothing, intervals.bootstrap_mean(scores, rng=0))
  return view


def _policies(stages):
  """Scores of the scripted policies, the best first."""
  found = stages.folder.info('policies')
  return dict(sorted(found.items(), key=lambda item: -np.mean(item[1])))


def _differences(stages):
  """((name, other), [played, others]) of each pair that was run."""
  settings = {setting.name: setting for setting in stages.settings}
  for pair in cell_settings.DIFFERENCES:
    if all(name in settings for name in pair):
      yield pair, [stages.played(settings[name]) for name in pair]


def _difference_table(stages):
  view = table.Table(['difference', *_seeds(stages), 'over seeds'], digits=0)
  for (name, other), (played, others) in _differences(stages):
    each = [
      cell_settings.difference([ours], [theirs])
      for ours, theirs in zip(played, others, strict=True)
    ]
    whole = cell_settings.difference(played, others)
    view.add(f'{name} less {other}', *each, whole)
  return view


def _models(stages):
  return list(dict.fromkeys(setting.model for setting in stages.settings))


def _measure_table(stages):
  seeds = _seeds(stages)
  columns = [f'NLL, {seed}' for seed in seeds]
  columns += [f'done AUC, {seed}' for seed in seeds]
  view = table.Table(['M', *columns])
  for model in _models(stages):
    checks = stages.checks(model)
    view.add(
      model,
      *(check['nll'] for check in checks),
      *(check['done_auc'] for check in checks),
    )
  return view


def _check_table(stages):
  models = _models(stages)
  columns = [f'dream of {model}' for model in models]
  view = table.Table(['policy', 'game', *columns], digits=0)
  for name, scores in _policies(stages).items():
    dreams = [
      intervals.bootstrap_nested(
        [check['dream'][name] for check in stages.checks(model)], rng=0
      )
      for model in models
    ]
    view.add(name, intervals.bootstrap_mean(scores, rng=0), *dreams)
  return view


def _complaints(stages):
  return ''.join(
    f'Warning, seed {seed}, {model}: {check["complaint"]}.\n'
    for model in _models(stages)
    for seed, check in zip(
      stages.config.seeds, stages.checks(model), strict=True
    )
    if check['complaint']
  )


def _numbers(stages):
  """The scores, for programs: [mean, low, high] of each."""
  return {
    'seeds': list(stages.config.seeds),
    'scores': {
      setting.name: cell_settings.score(stages.played(setting))
      for setting in stages.settings
    },
    'differences': {
      ' less '.join(pair): cell_settings.difference(*both)
      for pair, both in _differences(stages)
    },
    'policies': {
      name: intervals.bootstrap_mean(scores, rng=0)
      for name, scores in _policies(stages).items()
    },
  }


def _draw(stages):
  figure = score_figures.repeated_scores_over_generations(
    {setting.name: stages.looks(setting) for setting in stages.settings},
    {name: np.mean(scores) for name, scores in _policies(stages).items()},
  )
  canvas.save(figure, stages.folder.figures / 'scores.png')
  stages.log.image('figures/scores', canvas.to_image(figure), 0)


def _write_curves(stages):
  """One TensorBoard run per setting, so that one chart holds them all."""
  for setting in stages.settings:
    folder = stages.folder.tensorboard / setting.name
    shutil.rmtree(folder, ignore_errors=True)  # Of fewer seeds.
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
      for generation, scores in zip(*stages.looks(setting), strict=True):
        means = [np.mean(each) for each in scores]
        tf.summary.scalar('score/mean', np.mean(means), generation)
        tf.summary.scalar('score/best_seed', np.max(means), generation)
        tf.summary.scalar('score/worst_seed', np.min(means), generation)
    writer.close()
