"""The report of compare_predictions: tables, figures, numbers."""

from nca_tf.analysis import intervals
from nca_tf.analysis import table
from nca_tf.experiments.predictions import measures
from nca_tf.experiments.predictions import pictures
from nca_tf.experiments.predictions import rollout
from nca_tf.experiments.predictions import settings
from nca_tf.memory import cells
from nca_tf.runs import report as report_lib

_NOTES = """\
{games} held-out games of four random agents per seed, {count} seed(s); steps \
after agent 0's death do not count, its death itself only for `alive`. \
Brackets: 95 % bootstrap intervals, resampled over seeds and then over the \
games of each; with so few seeds they are rough. Differences are paired by game.
wrong: components of the {components} whose predicted value is not the true \
one. exact: states without any. NLL: nats of a whole state; a mixture's are of \
the probability that it gives to the interval of an integer. gap closed: share \
of the gap between copying the last state and the oracle, which knows the \
hidden state and the agent's own action and predicts the values that are most \
frequent when the others' actions are sampled {samples} times. An untrained \
model in the categorical coding predicts, by construction, that nothing changes.
More than one step ahead is open loop: M is given a game up to its step \
{starts}, and from then on its own predictions and the actions that were taken.
"""


def make(comparison) -> report_lib.Report:
  """The report of a finished `run.Comparison`."""
  scores = Scores(comparison)
  config, count = comparison.config, comparison.layout.scored
  tables = {
    'One step ahead': _table(
      [f'wrong of {count}', 'exact, %', 'NLL', 'gap closed, %'],
      {name: _one_step_ahead(scores, name) for name in scores.names},
    ),
    'Right, percent': _share_table(scores, 'right', measures.GROUPS),
    'Right of what changed, percent': _share_table(
      scores, 'changed', measures.CHANGED
    ),
    f'Wrong of {count}, steps ahead': _table(
      settings.HORIZONS,
      {name: _over_horizons(scores.ratio, name) for name in scores.names},
    ),
  }
  numbers = {'scores': _numbers(scores)}
  first, *others = config.cells
  for other in others:
    found = {
      coding: _over_horizons(
        scores.difference,
        settings.label(first, coding),
        settings.label(other, coding),
      )
      for coding in config.codings
    }
    title = f'{cells.get(first).title} less {cells.get(other).title}'
    tables[f'Wrong of {count}, {title}'] = _table(settings.HORIZONS, found, 3)
    numbers[f'{first} less {other}'] = {
      f'{coding}, {horizon}': value
      for coding, row in found.items()
      for horizon, value in zip(settings.HORIZONS, row, strict=True)
      if value is not None
    }
  notes = _NOTES.format(
    games=config.held_out,
    count=len(config.seeds),
    components=count,
    samples=config.oracle_samples,
    starts=', '.join(map(str, rollout.STARTS)),
  )
  return report_lib.Report(
    tables, notes, numbers=numbers, figures=pictures.draw(comparison, scores)
  )


class Scores:
  """Everything that was scored, loaded once.

  Attributes:
    names: Rows of the tables: baselines, untrained and trained models.
  """

  def __init__(self, comparison):
    """Loads the scores of all seeds."""
    config = comparison.config
    self.names = [
      *settings.BASELINES,
      *(settings.label(*model, trained=False) for model in config.models),
      *(settings.label(*model) for model in config.models),
    ]
    self._found = {
      name: [comparison.scores(name, seed) for seed in config.seeds]
      for name in self.names
    }

  def sums(self, name: str, measure: str, horizon: int = 1):
    """[G, 2] sums and counts of each seed, or None where there are none."""
    found = [each.get(horizon, {}).get(measure) for each in self._found[name]]
    if any(part is None or not part[:, 1].sum() for part in found):
      return None
    return found

  def ratio(
    self, name: str, measure: str, horizon: int = 1, percent: bool = False
  ) -> intervals.Interval | None:
    """The measure with its interval, or None."""
    sums = self.sums(name, measure, horizon)
    if sums is None:
      return None
    value = measures.ratio(sums)
    return _percent(value) if percent else value

  def difference(self, name: str, other: str, measure: str, horizon: int):
    """The first one's measure less the other's, with its interval, or None."""
    both = [self.sums(each, measure, horizon) for each in (name, other)]
    return None if None in both else measures.difference(*both)


def _percent(value):
  return intervals.Interval(*(100 * part for part in value))


def _over_horizons(statistic, *names):
  return [statistic(*names, 'wrong', horizon) for horizon in settings.HORIZONS]


def _table(headings, rows, digits=2):
  view = table.Table(['', *headings], digits=digits)
  for name, values in rows.items():
    view.add(name, *values)
  return view


def _one_step_ahead(scores, name):
  closed = None
  if name not in settings.BASELINES:
    sums = [scores.sums(each, 'wrong') for each in (name, *settings.BASELINES)]
    closed = _percent(measures.share_of_oracle_gap(*sums))
  return (
    scores.ratio(name, 'wrong'),
    scores.ratio(name, 'exact', percent=True),
    scores.ratio(name, 'nll'),
    closed,
  )


def _share_table(scores, kind, groups):
  rows = {}
  for name in scores.names:
    found = [
      scores.ratio(name, f'{kind}/{each}', percent=True) for each in groups
    ]
    rows[name] = [value and value.mean for value in found]
  return _table(groups, rows)


def _numbers(scores):
  """The tables' numbers, for programs: [mean, low, high] of each."""
  names = ['wrong', 'exact', 'nll']
  names += [f'right/{name}' for name in measures.GROUPS]
  names += [f'changed/{name}' for name in measures.CHANGED]
  return {
    name: {
      str(horizon): {
        measure: scores.ratio(name, measure, horizon) for measure in names
      }
      for horizon in settings.HORIZONS
    }
    for name in scores.names
  }
