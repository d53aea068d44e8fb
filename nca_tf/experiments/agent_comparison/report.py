"""What a person sees of compare_agents: tables and figures."""

import numpy as np

from nca_tf.analysis import intervals
from nca_tf.analysis import table
from nca_tf.experiments.agent_comparison import comparison
from nca_tf.experiments.agent_comparison import pictures
from nca_tf.runs import report as report_lib

_NOTES = """\
Score: mean return of {score_episodes} whole episodes on fresh levels, with \
actions drawn and with the likeliest ones (CMA-ES draws none), over seeds with \
95 % t intervals; then the seeds one by one. All had {steps} steps; \
random play for the scale of observations is not counted. CMA-ES passes them \
by the rest of its last generation.
"""
_OPTIMUM = """\
Local optimum, {name}: a training is in it at an evaluation ({episodes} \
episodes) in which at least half of the episodes are of it, and has left it \
from the evaluation on after which less than a tenth is, to the end. Steps \
are thousands. "Mean between": share of the steps at whose evaluations the \
mean return was from {low:g} to {high:g}.
"""


def publish(run) -> None:
  """Writes summary, scores.json and figures of a finished run."""
  config = run.config
  optimum = comparison.OPTIMA.get(config.env)
  found = {
    setting.name: [run.info(setting.stage(seed)) for seed in config.seeds]
    for setting in config.compared
  }
  records = {
    setting.name: [
      run.log.records(setting.stage(seed)) for seed in config.seeds
    ]
    for setting in config.compared
  }
  policies = run.info('policies')
  tables = {'Score': score_table(found, policies, config.seeds)}
  notes = _NOTES.format(
    score_episodes=config.score_episodes, steps=config.steps
  )
  if optimum:
    low, high = optimum.RETURNS
    title = f'Local optimum: {optimum.NAME}'
    tables[title] = optimum_table(records, optimum)
    notes += _OPTIMUM.format(
      name=optimum.NAME, episodes=config.episodes, low=low, high=high
    )
  run.publish(
    report_lib.Report(
      tables,
      notes,
      numbers={'seeds': list(config.seeds), 'scores': found},
      figures=pictures.draw(records, policies, config.env, optimum),
    )
  )


def score_table(found, policies, seeds) -> table.Table:
  """Scores of all algorithms and of the scripted policies."""
  columns = ['algorithm', 'actions', 'over seeds']
  columns += [f'seed {seed}' for seed in seeds]
  view = table.Table([*columns, 'CPU seconds'], digits=1)
  for name, trainings in found.items():
    for policy in trainings[0]['returns']:
      means = [np.mean(each['returns'][policy]) for each in trainings]
      seconds = np.mean([each['cpu_seconds'] for each in trainings])
      view.add(name, policy, intervals.student_mean(means), *means, seconds)
  nothing = [None] * (len(seeds) + 1)
  for name, mean in sorted(policies.items(), key=lambda item: -item[1]):
    view.add(name, 'scripted', mean, *nothing)
  return view


def optimum_table(records, optimum) -> table.Table:
  """How long the trainings of each algorithm stayed in a local optimum."""
  columns = ['algorithm', 'in it', 'left it', 'largest share', 'at the end']
  columns += ['first in it', 'left from', 'mean between']
  view = table.Table(columns, digits=2)
  for name, trainings in records.items():
    stays = [stay_of(each, optimum) for each in trainings]
    count = len(stays)
    last = [each[-1] for each in trainings]
    view.add(
      name,
      f'{sum(stay.appeared is not None for stay in stays)} of {count}',
      f'{sum(stay.left is not None for stay in stays)} of {count}',
      ' '.join(f'{stay.largest:.2f}' for stay in stays),
      ' '.join(f'{each["optimum"]:.2f}' for each in last),
      ' '.join(_thousands(stay.appeared) for stay in stays),
      ' '.join(_thousands(stay.left) for stay in stays),
      np.mean(
        [
          stay.between / row['step']
          for stay, row in zip(stays, last, strict=True)
        ]
      ),
    )
  return view


def stay_of(records, optimum) -> comparison.Stay:
  """How long one training stayed in a local optimum."""
  columns = (
    [row[key] for row in records] for key in ('step', 'optimum', 'return')
  )
  return comparison.follow(*columns, optimum)


def _thousands(steps):
  return '-' if steps is None else f'{steps / 1000:.0f}'
