"""Trains every cell with every seed in every game, and compares the scores.

Each training is a stage, which resumes and is done once.
"""

import functools
import shutil
import time

import numpy as np
import tensorflow as tf

from nca_tf.agents import actions
from nca_tf.agents import network
from nca_tf.agents import vector_bridge
from nca_tf.experiments.agents import arenas
from nca_tf.experiments.agents import settings as agent_settings
from nca_tf.experiments.agents import training as training_lib
from nca_tf.experiments.memory_games import report
from nca_tf.experiments.memory_games import settings
from nca_tf.runs import checkpoints as checkpoints_lib
from nca_tf.runs import run as run_lib
from nca_tf.training import loop


def run(config: settings.Config) -> None:
  """Makes what the run folder lacks, and reports."""
  about = f'{len(config.compared)} games, {", ".join(config.cells)}'
  with run_lib.start(config, settings.NAME, config.run_name, about) as folder:
    comparison = Comparison(folder)
    for task in config.compared:
      for seed in config.seeds:
        for cell in config.cells:
          comparison.make(task, cell, seed)
    report.publish(comparison)
    folder.goodbye(Next=config.next_command())


class Comparison:
  """Trainings of every cell with every seed in every game, and their results.

  Attributes:
    run: The open run, whose config is a settings.Config.
  """

  def __init__(self, run: run_lib.Run):
    self.run = run
    self._config = run.config
    self._sizes = functools.cache(self._find_sizes)

  def make(self, task: str, cell: str, seed: int) -> dict:
    """Trains and scores one agent, unless it is done; returns what it left."""
    name = f'{task}-{cell}-{seed}'
    return self.run.stage(name, lambda: self._train(name, task, cell, seed))

  def found(self, task: str, cell: str) -> list[dict]:
    """What the trainings of a cell in a game left, one dict per seed."""
    return [
      self.run.info(f'{task}-{cell}-{seed}') for seed in self._config.seeds
    ]

  def _train(self, name, task, cell, seed):
    config = self._config.training(task, cell, seed, **self._sizes(task, cell))
    training = training_lib.Training(config)
    folder = self.run.checkpoints / name
    checkpoints = checkpoints_lib.Checkpoints(folder, training=training)
    log = self.run.open_log(f'{task}/{cell}-{seed}', task, cell=cell, seed=seed)
    began = time.process_time()
    loop.fit(
      name,
      lambda index: _step(training, index),
      config.updates,
      checkpoints=checkpoints,
      log=log,
    )
    seconds = time.process_time() - began
    scores = training.score()
    curve, total = _read_curve(log.records(name), config)
    # What it learned is not needed any more, but for its numbers.
    shutil.rmtree(folder, ignore_errors=True)
    return {
      'weights': training.agent.network.count_params(),
      'steps': config.updates * config.lanes * config.window,
      'cpu_seconds': round(seconds, 1),
      'solved_at': int(training.solved_at.numpy()),
      'curve': curve,
      'total': total,
      **{way: float(np.mean(each['returns'])) for way, each in scores.items()},
    }

  def _find_sizes(self, task, cell):
    """Sizes with which a cell's agent has as many weights as the DNC's."""
    if cell == settings.REFERENCE:
      return {}
    config = self._config.training(task, settings.REFERENCE, 0)
    weights = _count_weights(config)

    def make(size):
      if cell == agent_settings.NO_CELL:
        return {'layers': (*config.layers, size)}
      return {'units': size}

    def count(size):
      return _count_weights(self._config.training(task, cell, 0, **make(size)))

    return make(nearest(count, weights))


def nearest(count, wanted: int) -> int:
  """Returns the size from 1 whose count, which grows, is nearest to wanted."""
  low, high = 1, 2
  while count(high) <= wanted:
    low, high = high, 2 * high
  while high - low > 1:  # count(low) <= wanted < count(high), or low is 1.
    middle = (low + high) // 2
    low, high = (middle, high) if count(middle) <= wanted else (low, middle)
  return min(low, high, key=lambda size: abs(count(size) - wanted))


@functools.cache
def _spaces(env):
  config = agent_settings.Config(env=env)
  environment = arenas.get(env).make(config, 1)
  return environment.observation_space, environment.action_space


def _count_weights(config):
  """Returns the number of weights of an agent's network."""
  observations, moves = _spaces(config.env)
  actor = network.ActorCritic(
    actions.make(moves).size,
    len(config.streams),
    config.layers,
    config.make_cell(config.cell) if config.cell_names else None,
    categories=int(getattr(observations, 'n', 0)),
  )
  actor.build(vector_bridge.get_observation_spec(observations).shape)
  return actor.count_params()


def _step(training, index):
  """Trains once; also returns the returns that ended in this very window."""
  scalars = training.step(index)
  total, episodes = tf.unstack(training.recent[-1])
  return {**scalars, 'ended_returns': total, 'ended_episodes': episodes}


def _read_curve(records, config):
  """Returns the curve of a training's records, and all that ended in it.

  The curve has the steps and the mean return of the episodes that ended since
  the last record, where any did.
  """
  curve, total, before = [], np.zeros(2), 0
  for record in records:
    windows, before = record['step'] - before, record['step']
    ended = record['ended_returns'], record['ended_episodes']
    ended = windows * np.array(ended)
    if ended[1]:
      steps = record['step'] * config.lanes * config.window
      curve.append([steps, float(ended[0] / ended[1])])
    total += ended
  return curve, {'returns': float(total[0]), 'episodes': float(total[1])}
