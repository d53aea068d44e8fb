"""The report of compare_predictions: tables, figures, numbers."""

from nca_tf.analysis import intervals
from nca_tf.analysis import table
from nca_tf.experiments.predictions import measures
from nca_tf.experiments.predictions import pictures
from nca_tf.experiments.predictions import rollout
from nca_tf.experiments.predictions import settings
from nca_tf.memory import cells as cells_lib
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
    'One step ahead': _main_table(scores, count),
    'Right, percent': _share_table(scores, 'right', measures.GROUPS),
    'Right of what changed, percent': _share_table(
      scores, 'changed', measures.CHANGED
    ),
    f'Wrong of {count}, steps ahead': _horizon_table(scores),
  }
  first, *others = config.cells
  differences = {other: _differences(scores, first, other) for other in others}
  for other, found in differences.items():
    titles = f'{_title(first)} less {_title(other)}'
    tables[f'Wrong of {count}, {titles}'] = _difference_table(found)
  notes = _NOTES.format(
    games=config.held_out,
    count=len(config.seeds),
    components=count,
    samples=config.oracle_samples,
    starts=', '.join(map(str, rollout.STARTS)),
  )
  numbers = {'scores': _numbers(scores)}
  for other, found in differences.items():
    numbers[f'{first} less {other}'] = {
      f'{coding}, {horizon}': value
      for (coding, horizon), value in found.items()
    }
  return report_lib.Report(
    tables, notes, numbers=numbers, figures=pictures.draw(comparison, scores)
  )


def _title(cell):
  return cells_lib.get(cell).title


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
    self.codings = config.codings
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


def _percent(value):
  return intervals.Interval(*(100 * part for part in value))


def _main_table(scores, count):
  view = table.Table(
    ['', f'wrong of {count}', 'exact, %', 'NLL', 'gap closed, %'], digits=2
  )
  ends = [scores.sums(name, 'wrong') for name in settings.BASELINES]
  for name in scores.names:
    closed = None
    if name not in settings.BASELINES:
      wrong = scores.sums(name, 'wrong')
      closed = _percent(measures.share_of_oracle_gap(wrong, *ends))
    view.add(
      name,
      scores.ratio(name, 'wrong'),
      scores.ratio(name, 'exact', percent=True),
      scores.ratio(name, 'nll'),
      closed,
    )
  return view


def _share_table(scores, kind, groups):
  view = table.Table(['', *groups], digits=2)
  for name in scores.names:
    values = [
      scores.ratio(name, f'{kind}/{group}', percent=True) for group in groups
    ]
    view.add(name, *(None if each is None else each.mean for each in values))
  return view


def _horizon_table(scores):
  view = table.Table(['', *map(str, settings.HORIZONS)], digits=2)
  for name in scores.names:
    view.add(
      name, *(scores.ratio(name, 'wrong', each) for each in settings.HORIZONS)
    )
  return view


def _differences(scores, first, other):
  """{(coding, horizon): interval of the first cell less the other}."""
  found = {}
  for coding in scores.codings:
    for horizon in settings.HORIZONS:
      both = [
        scores.sums(settings.label(cell, coding), 'wrong', horizon)
        for cell in (first, other)
      ]
      if None not in both:
        found[coding, horizon] = measures.difference(*both)
  return found


def _difference_table(found):
  view = table.Table(['', *map(str, settings.HORIZONS)], digits=3)
  for coding in dict.fromkeys(coding for coding, _ in found):
    view.add(coding, *(found.get((coding, each)) for each in settings.HORIZONS))
  return view


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
