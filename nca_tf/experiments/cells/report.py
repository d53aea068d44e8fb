"""What a person sees of compare_cells: tables, a figure, TensorBoard."""

import shutil

import numpy as np

from nca_tf.analysis import intervals
from nca_tf.analysis import score_figures
from nca_tf.analysis import table
from nca_tf.experiments.cells import comparison as comparison_lib
from nca_tf.runs import report as report_lib

_NOTES = """\
Scores are tics survived in the real game, {episodes} final episodes per seed \
and setting, the same episodes for all settings of a seed; the scripted \
policies play those of the first seed.
Brackets: 95 % bootstrap intervals. Of one seed: its episodes are drawn again. \
Over seeds: seeds are drawn again, then the episodes of each; with so \
few ({count}) it is rough. Differences are paired, episode by episode.
NLL: nats per latent dimension, one step ahead on held-out episodes.
"""


def publish(comparison):
  """Writes summary, scores.json and figures of a finished run.Comparison."""
  config = comparison.run.config
  tables = {
    'Score in the game': _score_table(comparison),
    'Differences': _difference_table(comparison),
    'Held-out measures of M': _measure_table(comparison),
    'Dream check: tics survived': _check_table(comparison),
  }
  notes = _NOTES.format(episodes=config.final_episodes, count=len(config.seeds))
  figure = score_figures.repeated_scores_over_generations(
    {each.name: comparison.evaluations(each) for each in comparison.settings},
    {name: np.mean(scores) for name, scores in comparison.policies().items()},
    find_controls(comparison),
  )
  comparison.run.publish(
    report_lib.Report(
      tables,
      _warnings(comparison) + notes,
      numbers=_numbers(comparison),
      figures=[('scores', figure)],
    )
  )
  _write_curves(comparison)


def find_controls(comparison):
  """The setting that each one with an untrained M is a control of."""
  return {
    control.name: setting.name
    for control in comparison.settings
    for setting in comparison.settings
    if control == setting._replace(name=control.name, untrained=True)
    and not setting.untrained
  }


def _seeds(comparison):
  return [f'seed {seed}' for seed in comparison.run.config.seeds]


def _score_table(comparison):
  seeds = _seeds(comparison)
  view = table.Table(['setting', *seeds, 'over seeds'], digits=0)
  for setting in comparison.settings:
    played = comparison.played(setting)
    each = [comparison_lib.score([scores]) for scores in played]
    view.add(setting.name, *each, comparison_lib.score(played))
  for name, scores in comparison.policies().items():
    nothing = [None] * len(seeds)
    view.add(name, *nothing, intervals.bootstrap_mean(scores, rng=0))
  return view


def _differences(comparison):
  """((name, other), [played, others]) of each pair that was run."""
  settings = {setting.name: setting for setting in comparison.settings}
  for pair in comparison_lib.DIFFERENCES:
    if all(name in settings for name in pair):
      yield pair, [comparison.played(settings[name]) for name in pair]


def _difference_table(comparison):
  columns = ['difference', *_seeds(comparison), 'over seeds']
  view = table.Table(columns, digits=0)
  for (name, other), (played, others) in _differences(comparison):
    pairs = zip(played, others, strict=True)
    each = [comparison_lib.difference([a], [b]) for a, b in pairs]
    whole = comparison_lib.difference(played, others)
    view.add(f'{name} less {other}', *each, whole)
  return view


def _models(comparison):
  return list(dict.fromkeys(setting.model for setting in comparison.settings))


def _measure_table(comparison):
  measures = {'nll': 'NLL', 'done_auc': 'done AUC'}
  columns = [f'{m}, {s}' for m in measures.values() for s in _seeds(comparison)]
  view = table.Table(['M', *columns])
  for model in _models(comparison):
    checks = comparison.checks(model)
    view.add(model, *(check[name] for name in measures for check in checks))
  return view


def _check_table(comparison):
  models = _models(comparison)
  columns = [f'dream of {model}' for model in models]
  view = table.Table(['policy', 'game', *columns], digits=0)
  for name, scores in comparison.policies().items():
    dreams = []
    for model in models:
      lives = [check['dream'][name] for check in comparison.checks(model)]
      dreams.append(intervals.bootstrap_nested(lives, rng=0))
    view.add(name, intervals.bootstrap_mean(scores, rng=0), *dreams)
  return view


def _warnings(comparison):
  return ''.join(
    f'Warning, {seed}, {model}: {check["complaint"]}.\n'
    for model in _models(comparison)
    for seed, check in zip(
      _seeds(comparison), comparison.checks(model), strict=True
    )
    if check['complaint']
  )


def _numbers(comparison):
  """The scores, for programs: [mean, low, high] of each."""
  return {
    'seeds': list(comparison.run.config.seeds),
    'scores': {
      setting.name: comparison_lib.score(comparison.played(setting))
      for setting in comparison.settings
    },
    'differences': {
      ' less '.join(pair): comparison_lib.difference(*both)
      for pair, both in _differences(comparison)
    },
    'policies': {
      name: intervals.bootstrap_mean(scores, rng=0)
      for name, scores in comparison.policies().items()
    },
  }


def _write_curves(comparison):
  """One TensorBoard curve per setting and per seed of it, in one chart."""
  run = comparison.run
  for setting in comparison.settings:
    # Of an earlier report, perhaps of fewer seeds.
    shutil.rmtree(run.tensorboard / setting.name, ignore_errors=True)
    generations, scores = comparison.evaluations(setting)
    means = np.array([[np.mean(each) for each in seeds] for seeds in scores])
    what = setting._asdict()
    whole = run.open_log(setting.name, **what)
    for generation, row in zip(generations, means, strict=True):
      best, worst = np.max(row), np.min(row)
      score = {'mean': np.mean(row), 'best_seed': best, 'worst_seed': worst}
      whole.show('score', generation, **score)
    whole.flush()
    for number, seed in enumerate(run.config.seeds):
      log = run.open_log(f'{setting.name}/seed-{seed}', **what, seed=seed)
      for generation, row in zip(generations, means, strict=True):
        log.show('score', generation, mean=row[number])
      played = list(comparison.played(setting)[number].values())
      log.show('score', max(generations), final=np.mean(played))
      log.flush()
