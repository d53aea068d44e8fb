"""Pommerman's speed: steps of games per CPU-second, beside the original.

A step of a game moves all its agents. The time includes new boards for games
that are over, and the drawing of random actions. Everything runs in one
process, on one core.
"""

import dataclasses
import random
import sys
import time
from typing import ClassVar

import numpy as np

from nca_tf.analysis import table
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments.pommerman import original
from nca_tf.environments.pommerman.engine import engine
from nca_tf.environments.pommerman.engine import observation
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.opponents import simple_agent
from nca_tf.experiments.benchmarks import measurement
from nca_tf.runs import one_core
from nca_tf.runs import report as report_lib

_option = config_flags.option

ORIGINAL = 'original'
# Name: what it is, target of steps per CPU-second at 1024 games.
WORK = {
  'step': ('random agents, no observations', 150_000),
  'observe': ('random agents, observations', 100_000),
  'featurize': ('random agents, observations and vectors', None),
  'simple': ('SimpleAgents, observations', 20_000),
}
_WARM_UP = 40  # Steps before the clock starts: games have then spread out.


@dataclasses.dataclass(frozen=True)
class Config(one_core.Config):
  """What to measure; RESULTS.md has the results of the defaults."""

  variants: tuple[str, ...] = _option(
    ('PommeFFACompetition-v0', 'PommeTeamCompetition-v0', 'OneVsOne-v0'),
    'Rules.',
    choices=tuple(variants.VARIANTS),
  )
  work: tuple[str, ...] = _option(
    tuple(WORK), 'What is done.', choices=tuple(WORK)
  )
  games: tuple[int, ...] = _option((1024,), 'Games side by side.', minimum=1)
  steps: int = _option(
    102_400, 'Steps of all games together in a measurement.', minimum=1
  )
  package: str = _option(
    '',
    'Folder with the package `pommerman` of the original, such as a checkout; '
    'empty means the one that is installed, if any.',
  )

  NAMED: ClassVar = ('variants', 'work', 'games')
  PRESETS: ClassVar = {
    'smoke': {
      'variants': ('OneVsOne-v0',),
      'games': (8,),
      'steps': 64,
      'rounds': 1,
    },
  }

  def validate(self):
    """Refuses a folder without the package as well, and imports it."""
    super().validate()
    if not self.package:
      return
    sys.path.insert(0, self.package)
    try:
      original.load()
    except ImportError as error:
      raise faults.UsageError(
        '--package must be a folder with the package pommerman, got '
        f'{self.package!r} ({error})'
      ) from error
    finally:
      sys.path.remove(self.package)


def run(config: Config):
  """Measures everything in turn, writes and prints the report."""
  with one_core.start(config, 'pommerman', computes=False) as run:
    results = run.stages({'speed': lambda: _measure(config)})
    note = ''
    if not any(key.startswith(ORIGINAL) for key in results['speed']):
      note = 'The original is not installed: --package names a folder with it.'
    tables = {'': _tabulate(results['speed'])}
    report = report_lib.Report(tables, note, numbers=results)
    run.publish(report, 'results', 'results.json')


def _measure(config):
  """Returns steps per CPU-second: {'work/variant/games': [rounds]}."""
  players = {}
  for rules in map(variants.get_variant, config.variants):
    for work in config.work:
      for games in config.games:
        key = f'{work}/{rules.name}/{games}'
        players[key] = _play(rules, work, games, config)
    if original.is_installed() or config.package:
      players[f'{ORIGINAL}/{rules.name}/1'] = _play_original(rules, config)
  return measurement.alternate('pommerman', players, config.rounds)


def _play(rules, work, games, config):
  """Yields steps per CPU-second, a measurement each time."""
  rng = np.random.default_rng(config.seed)
  state = engine.reset(rules, games, rng)
  agents = simple_agent.SimpleAgents(rules) if work == 'simple' else None
  seen = observation.observe(state)

  def step(seen):
    if agents is None:
      actions = rng.integers(variants.ACTIONS, size=state.cell.shape)
    else:
      actions = agents.act(seen, rng)
    outcome = engine.step(state, actions, observe=work != 'step')
    if work == 'featurize':
      observation.featurize(outcome.observations, rules)
    engine.restart(state, outcome.done, rng)
    if agents is None or not outcome.done.any():
      return outcome.observations
    agents.reset(outcome.done)
    return observation.observe(state)  # The new boards are seen as well.

  for _ in range(_WARM_UP):
    seen = step(seen)
  steps = -(-config.steps // games)
  while True:
    start = time.process_time()
    for _ in range(steps):
      seen = step(seen)
    yield steps * games / (time.process_time() - start)


def _play_original(rules, config):
  """Yields steps per CPU-second of the original; it always observes."""
  rng = np.random.default_rng(config.seed)
  random.seed(config.seed)
  game = original.make_game(rules)
  game.reset()
  steps = min(config.steps, 2000)  # Of one game: it is slow.
  shape = (steps, rules.agents)
  while True:
    start = time.process_time()
    for actions in rng.integers(variants.ACTIONS, size=shape).tolist():
      _, _, done, _ = game.step(actions)
      if done:
        game.reset()
    yield steps / (time.process_time() - start)


def _tabulate(rates):
  columns = ['variant', 'games', 'work', 'steps per CPU-s']
  view = table.Table([*columns, 'to the original', 'target'], digits=0)
  medians = {key: float(np.median(values)) for key, values in rates.items()}
  for key, rate in medians.items():
    work, name, games = key.split('/')
    text, wanted = WORK.get(work, ('random agents, observations', None))
    text = f'{text} ({ORIGINAL})' if work == ORIGINAL else text
    target = ''
    if wanted and games == '1024':
      target = f'{wanted}: {"pass" if rate >= wanted else "miss"}'
    original = medians.get(f'{ORIGINAL}/{name}/1')
    # The original plays random agents only, so that SimpleAgents have no ratio.
    ratio = rate / original if original and work != 'simple' else None
    view.add(name, int(games), text, rate, ratio, target)
  return view
