"""Trains an agent, scores it in whole episodes, exports it and reports."""

import time

from nca_tf.environments.workers import saved_agent
from nca_tf.experiments.agents import pictures
from nca_tf.experiments.agents import report
from nca_tf.experiments.agents import settings
from nca_tf.experiments.agents import training as training_lib
from nca_tf.runs import checkpoints as checkpoints_lib
from nca_tf.runs import run as run_lib
from nca_tf.saved_models import export
from nca_tf.training import loop


def run(config: settings.Config) -> None:
  """Makes what the run folder lacks, and reports."""
  about = f'{config.env}, {config.label}, {config.cell}'
  curve = f'{config.label}-{config.cell}-{config.seed}'
  name = config.run_name
  with run_lib.start(config, settings.NAME, name, about, curve=curve) as run:
    training = training_lib.Training(config)
    checkpoints = checkpoints_lib.Checkpoints(
      run.checkpoints / 'agent', training=training
    )
    run.stage('train', lambda: train(run, training, checkpoints))
    checkpoints.restore()
    run.stage('score', training.score)
    run.stage(
      'export', lambda: write_agent(run, training), lambda: is_playable(run)
    )
    run.stage('episode', lambda: pictures.draw(run, training))
    run.publish(report.make(run, training.novelty), numbers='score.json')
    run.goodbye(
      Agent=f'{run.export}/agent',
      Next=config.next_command(),
    )


def train(run: run_lib.Run, training, checkpoints) -> dict:
  """Trains; returns where the environment was solved, and the time."""
  config = run.config
  began = time.process_time()
  loop.fit(
    'train',
    training.step,
    config.updates,
    checkpoints=checkpoints,
    log=run.log,
  )
  return {
    'solved_at': int(training.solved_at.numpy()),
    'steps': config.updates * config.lanes * config.window,
    'cpu_seconds': round(time.process_time() - began, 1),
  }


def is_playable(run: run_lib.Run) -> bool:
  """Whether the SavedModel is one that `bin/evaluate` plays.

  The first version left one that was not.
  """
  try:
    return bool(saved_agent.read_info(run.export / 'agent'))
  except ValueError:
    return False


def write_agent(run: run_lib.Run, training) -> None:
  """Writes the SavedModel of the agent."""
  config = run.config
  info = {
    'env': config.env,
    'algorithm': config.label,
    'cell': config.cell,
    'seed': config.seed,
    'options': training.game_options,
  }
  export.export_policy(training.agent, run.export / 'agent', info)
