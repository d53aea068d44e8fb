"""Algorithms compared: equal steps of one environment, several seeds.

Each training is a stage that goes on where it was stopped, at the border of two
evaluations. What is learnt is train_agent's, and the linear controller of
train_controller.
"""

import functools

import numpy as np

from nca_tf import random_numbers
from nca_tf.experiments.agent_comparison import comparison
from nca_tf.experiments.agent_comparison import learners
from nca_tf.experiments.agent_comparison import report
from nca_tf.experiments.agent_comparison import settings
from nca_tf.experiments.controller import scripted
from nca_tf.runs import checkpoints as checkpoints_lib
from nca_tf.runs import progress
from nca_tf.runs import run as run_lib


def run(config: settings.Config) -> None:
  """Makes what the run folder lacks, and reports."""
  name = config.run_name
  with run_lib.start(config, settings.NAME, name, config.env) as run:
    run.stage('policies', lambda: play_policies(config))
    for seed in config.seeds:
      for setting in config.compared:
        work = functools.partial(train, run, setting, seed)
        run.stage(setting.stage(seed), work)
    report.publish(run)
    run.goodbye(Next=config.next_command())


def play_policies(config: settings.Config) -> dict:
  """Mean score of every scripted policy of the game, by its name."""
  played = scripted.play(
    config.env, config.policy_episodes, config.seed, config.processes
  )
  return {name: float(np.mean(scores)) for name, scores in played.items()}


def train(run: run_lib.Run, setting: comparison.Setting, seed: int) -> dict:
  """Trains with regular evaluations; returns the final scores."""
  config, stage = run.config, setting.stage(seed)
  learner = learners.make(config, setting, seed)
  checkpoints = checkpoints_lib.Checkpoints(
    run.checkpoints / stage, **learner.state
  )
  number, total = checkpoints.restore(), config.evaluations
  log = run.open_log(
    f'{setting.name}/seed-{seed}', 'agent', algorithm=setting.name, seed=seed
  )
  log.rewind(stage, learner.steps)
  with progress.Progress(stage, total, 'evaluations', number) as bar:
    while number < total:
      number += 1
      until = config.evaluated_at(number)
      if until <= learner.steps:
        continue  # The last update has passed it already.
      scalars = learner.learn(until)
      found = _evaluate(config, learner, f'{stage}, {number}')
      log.write(stage, learner.steps, **{**scalars, **found})
      checkpoints.save(number)
      bar.update(number, **found)
  log.flush()
  return _score(config, learner, stage)


def _evaluate(config, learner, purpose):
  """Scalars of whole episodes of the policy as it learns."""
  seed = random_numbers.derive(config.seed, f'evaluation of {purpose}')
  played = learner.play(learner.policies[0], config.episodes, seed)
  found = {
    'return': np.mean(played.returns),
    'length': np.mean(played.lengths),
  }
  optimum = comparison.OPTIMA.get(config.env)
  if optimum:
    held = optimum.holds(played.actions, played.lengths)
    found['optimum'] = np.mean(held)
  return found


def _score(config, learner, stage):
  """Final scores on levels that nothing was chosen by."""
  returns = {}
  for policy in learner.policies:
    seed = random_numbers.derive(config.seed, f'score of {stage}')
    played = learner.play(policy, config.score_episodes, seed)
    returns[policy] = played.returns.tolist()
  return {
    'returns': returns,
    'steps': learner.steps,
    'cpu_seconds': round(float(learner.cpu_seconds.numpy()), 1),
  }
