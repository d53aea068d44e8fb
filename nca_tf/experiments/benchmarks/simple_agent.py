"""Our SimpleAgent against the original's, where that package is installed.

One against one, on our engine. If both decide alike, then ours does as well
against theirs as theirs does against itself.
"""

import dataclasses
import functools
from typing import ClassVar

import numpy as np

from nca_tf.analysis import intervals
from nca_tf.analysis import table
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments.pommerman import original
from nca_tf.environments.pommerman.engine import engine
from nca_tf.environments.pommerman.engine import observation
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.opponents import simple_agent
from nca_tf.runs import progress
from nca_tf.runs import report as report_lib
from nca_tf.runs import run as run_lib

PAIRS = {
  'theirs, theirs': (original.SimpleAgents, original.SimpleAgents),
  'ours, theirs': (simple_agent.SimpleAgents, original.SimpleAgents),
  'ours, ours': (simple_agent.SimpleAgents, simple_agent.SimpleAgents),
}
_NOTE = """\
Shares of the games in percent. Brackets: 95 % intervals of the binomial \
distribution (Wilson 1927). The first of a pair starts in each of the two \
corners equally often.
"""


@dataclasses.dataclass(frozen=True)
class Config(config_flags.Common):
  """How many games to play."""

  variant: str = config_flags.option(
    'OneVsOne-v0', 'Rules.', choices=('OneVsOne-v0',)
  )
  games: int = config_flags.option(500, 'Games of each pair.', minimum=2)
  max_steps: int = config_flags.option(
    800, 'Steps after which a game is a tie.', minimum=1
  )

  PRESETS: ClassVar = {
    'smoke': {'games': 4, 'max_steps': 40},
  }


def play(pair, config: Config, seed: int, report=lambda done: None) -> dict:
  """Plays all games of a pair side by side.

  Args:
    pair: Two classes of players.
    config: The resolved configuration.
    seed: Determines boards and choices.
    report: Called with the number of games that are over.

  Returns:
    Games that the first and the second won, ties, and the mean number of steps.
  """
  rng = np.random.default_rng(seed)
  original.seed(seed)
  variant = variants.get_variant(config.variant, max_steps=config.max_steps)
  state = engine.reset(variant, config.games, rng)
  seat = np.arange(config.games) % 2  # Of the first of the pair.
  is_first = np.arange(2) == seat[:, None]  # [G, A]
  players = [make(variant) for make in pair]
  over = np.zeros(config.games, bool)
  steps = np.zeros(config.games, np.int64)
  won = np.zeros((config.games, 2), bool)
  seen = observation.observe(state)
  while not over.all():
    going = state.alive & ~over[:, None]
    actions = sum(
      player.act(seen, rng, going & chosen)
      for player, chosen in zip(players, (is_first, ~is_first), strict=True)
    )
    outcome = engine.step(state, actions, observe=True)
    seen = outcome.observations
    _, winners = engine.get_result(state, outcome)
    ended = outcome.done & ~over
    won[ended] = winners[ended]
    steps[ended] = state.step_count[ended]
    over |= ended
    report(int(over.sum()))
  return {
    'first': int(won[is_first].sum()),
    'second': int(won[~is_first].sum()),
    'tie': int((~won.any(1)).sum()),
    'steps': float(steps.mean()),
  }


def run(config: Config):
  """Plays each pair in turn, writes and prints the results."""
  try:
    original.load()
  except ImportError as error:
    raise faults.UsageError(str(error)) from error

  def play_pair(pair, seed):
    with progress.Progress(pair, config.games, 'games') as bar:
      return play(PAIRS[pair], config, seed, bar.update)

  stages = {
    pair: functools.partial(play_pair, pair, config.seed + number)
    for number, pair in enumerate(PAIRS)
  }
  name = f'simple_agent-{config.seed}'
  with run_lib.start(
    config, 'benchmark', name, 'simple_agent', computes=False
  ) as run:
    results = run.stages(stages)
    tables = {'': _tabulate(results, config.games)}
    report = report_lib.Report(tables, _NOTE, numbers=results)
    run.publish(report, 'results', 'results.json')


def _tabulate(found, games):
  view = table.Table(
    ['pair', 'games', 'first wins', 'second wins', 'ties', 'steps'], digits=1
  )
  for pair, counts in found.items():
    percents = [
      intervals.Interval(*(100 * np.array(intervals.share(counts[key], games))))
      for key in ('first', 'second', 'tie')
    ]
    view.add(pair, games, *percents, counts['steps'])
  return view
