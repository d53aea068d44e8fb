"""PixelCopter's speed: steps of games per CPU-second.

The time includes the levels of new games and the drawing of random actions.
Everything runs in one process, on one core.
"""

import dataclasses
import time
from typing import ClassVar

import numpy as np

from nca_tf.analysis import table
from nca_tf.command_line import config_flags
from nca_tf.environments.pixel_copter import vector
from nca_tf.experiments.benchmarks import measurement
from nca_tf.runs import one_core
from nca_tf.runs import report as report_lib

# Observation: steps per CPU-second that are wanted at 1024 games.
WANTED = {'features': 250_000, 'frames': 30_000}
_UPS = 0.09  # Probability of a climb that keeps a copter about level.
_WARM_UP = 40  # Steps before the clock starts: games have then spread out.


@dataclasses.dataclass(frozen=True)
class Config(one_core.Config):
  """What to measure."""

  games: tuple[int, ...] = config_flags.option(
    (1024,), 'Games side by side.', minimum=1
  )
  steps: int = config_flags.option(
    204_800, 'Steps of all games together in a measurement.', minimum=1
  )

  NAMED: ClassVar = ('games',)
  PRESETS: ClassVar = {'smoke': {'games': (8,), 'steps': 64, 'rounds': 1}}


def run(config: Config):
  """Measures everything in turn, writes and prints the report."""
  with one_core.start(config, 'pixel_copter', computes=False) as run:
    results = run.stages({'speed': lambda: _measure(config)})
    tables = {'': _tabulate(results['speed'])}
    report = report_lib.Report(tables, '', numbers=results)
    run.publish(report, 'results', 'results.json')


def _measure(config):
  """Returns steps per CPU-second: {'observation/games': [rounds]}."""
  players = {
    f'{observation}/{games}': _play(observation, games, config)
    for observation in WANTED
    for games in config.games
  }
  return measurement.alternate('pixel_copter', players, config.rounds)


def _play(observation, games, config):
  """Yields steps per CPU-second, a measurement each time."""
  env = vector.PixelCopterVector(games, observation=observation)
  env.reset(seed=config.seed)
  rng = np.random.default_rng(config.seed)
  steps = -(-config.steps // games)
  for _ in range(_WARM_UP):
    env.step((rng.random(games) > _UPS).astype(int))
  while True:
    start = time.process_time()
    for _ in range(steps):
      env.step((rng.random(games) > _UPS).astype(int))
    yield steps * games / (time.process_time() - start)


def _tabulate(rates):
  view = table.Table(
    ['games', 'observation', 'steps per CPU-s', 'target'], digits=0
  )
  for key, values in rates.items():
    observation, games = key.split('/')
    rate, wanted = float(np.median(values)), WANTED[observation]
    target = ''
    if games == '1024':
      target = f'{wanted}: {"pass" if rate >= wanted else "miss"}'
    view.add(int(games), observation, rate, target)
  return view
