"""What a person sees of compare_cells: tables, a figure, TensorBoard."""

import shutil

import numpy as np

from nca_tf.analysis import intervals
from nca_tf.analysis import score_figures
from nca_tf.analysis import table
from nca_tf.experiments.cells import comparison as comparison_lib
from nca_tf.experiments.controller import dream_check
from nca_tf.runs import report as report_lib

_NOTES = """\
Scores are tics survived in the real game: of a seed, the mean over {runs} \
searches of {episodes} final episodes each, the same for all settings; the \
scripted policies play those of one search.
Brackets: 95 % intervals, Student's over the {count} seeds; of the scripted \
policies, their episodes drawn again. Differences are paired by seed.
NLL: nats per latent dimension, one step ahead on held-out episodes. Rank \
correlation: of the scripted policies' scores in the dream and in the game.
"""


def publish(comparison):
  """Writes summary, scores.json and figures of a finished run.Comparison."""
  config = comparison.run.config
  tables = {
    'Score in the game': _score_table(comparison),
    'Differences': _difference_table(comparison),
    'M: weights and held-out measures': _measure_table(comparison),
    'Dream check: tics survived': _check_table(comparison),
  }
  notes = _NOTES.format(
    episodes=config.final_episodes,
    runs=config.runs,
    count=len(config.seeds),
  )
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
  columns = ['setting', *seeds, 'over seeds', 'best search']
  view = table.Table(columns, digits=0)
  for setting in comparison.settings:
    played = comparison.played(setting)
    each = [np.mean(comparison_lib.means(runs)) for runs in played]
    found = comparison_lib.score(played), comparison_lib.best(played)
    view.add(setting.name, *each, *found)
  for name, scores in comparison.policies().items():
    nothing = [None] * len(seeds)
    mean = intervals.bootstrap_mean(scores, rng=0)
    view.add(name, *nothing, mean, None)
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
    each = [comparison_lib.difference([a], [b]).mean for a, b in pairs]
    whole = comparison_lib.difference(played, others)
    view.add(f'{name} less {other}', *each, whole)
  return view


def _models(comparison):
  return list(dict.fromkeys(setting.model for setting in comparison.settings))


def _measure_table(comparison):
  columns = ['weights', 'NLL', 'done AUC', 'rank correlation']
  view = table.Table(['M', *columns])
  game = comparison.policies()
  for model in _models(comparison):
    checks = comparison.checks(model)
    orders = [dream_check.order(each['dream'], game).mean for each in checks]
    rows = (
      *([check[name] for check in checks] for name in ('nll', 'done_auc')),
      orders,
    )
    view.add(model, checks[0]['weights'], *map(_over_seeds, rows))
  return view


def _over_seeds(values):
  """Mean of one value per seed, or None where one of them is unknown."""
  if not np.isfinite(np.array(values, float)).all():
    return None
  return intervals.student_mean(values)


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
  weights = {
    model: comparison.checks(model)[0]['weights']
    for model in _models(comparison)
  }
  least, most = min(weights.values()), max(weights.values())
  unequal = ''
  if most > 1.1 * least:
    unequal = f'Warning: weights differ by {most / least - 1:.0%}.\n'
  return unequal + ''.join(
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
    'best': {
      setting.name: comparison_lib.best(comparison.played(setting))
      for setting in comparison.settings
    },
    'searches': {
      setting.name: [
        comparison_lib.means(runs) for runs in comparison.played(setting)
      ]
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
      found = comparison_lib.means(comparison.played(setting)[number])
      log.show('score', max(generations), final=np.mean(found))
      log.flush()
