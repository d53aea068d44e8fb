"""What a person sees of compare_predictions: tables and pictures."""

import json

from nca_tf.analysis import canvas
from nca_tf.analysis import intervals
from nca_tf.analysis import table
from nca_tf.experiments.predictions import measures as prediction_measures
from nca_tf.experiments.predictions import pictures as prediction_pictures
from nca_tf.experiments.predictions import run as prediction_stages

_NOTES = """\
{games} held-out games of four random agents per seed, {count} seed(s); steps \
behind agent 0's death do not count, its death itself only for `alive`. \
Brackets: 95 % bootstrap intervals, seeds drawn again and then the games of \
each; with so few seeds they are rough. Differences are paired by game.
wrong: components of the 372 whose predicted value is not the true one. \
exact: states without any. NLL: nats of a whole state; a mixture's are of the \
probability that it gives to the interval of an integer. way: share of the way \
from copying the last state to the oracle, which knows the hidden state and \
the agent's own action and guesses the values that are most frequent when the \
others' actions are drawn {samples} times. An untrained model says \
"nothing changes" in the categorical coding, by its construction.
Further ahead, M is given a game up to its step {starts}, and then feeds on \
its own predictions and the actions that were taken.
"""


def write(stages):
  """Writes summary.txt, summary.md, scores.json and the figures."""
  read = Scores(stages)
  tables = {
    'One step ahead': _main_table(read),
    'Right, percent': _share_table(read, 'right', prediction_measures.GROUPS),
    'Right of what changed, percent': _share_table(
      read, 'changed', prediction_measures.CHANGED
    ),
    'Wrong of 372, steps ahead': _horizon_table(read),
    'Wrong of 372, DNC less LSTM': _difference_table(read),
  }
  config = stages.config
  notes = _NOTES.format(
    games=config.held_out,
    count=len(config.seeds),
    samples=config.oracle_samples,
    starts=', '.join(map(str, prediction_stages.STARTS)),
  )
  text = [f'{title}\n\n{view.text()}\n' for title, view in tables.items()]
  markdown = [
    f'## {title}\n\n{view.markdown()}' for title, view in tables.items()
  ]
  folder = stages.folder
  (folder.path / 'summary.txt').write_text('\n'.join([*text, notes]))
  (folder.path / 'summary.md').write_text('\n'.join([*markdown, notes]))
  (folder.path / 'scores.json').write_text(json.dumps(_numbers(read), indent=2))
  for name, figure in (
    ('epochs', prediction_pictures.draw_epochs(stages, read)),
    ('horizons', prediction_pictures.draw_horizons(stages, read)),
    *prediction_pictures.draw_boards(stages),
  ):
    canvas.save(figure, folder.figures / f'{name}.png')
    stages.log.image(f'figures/{name}', canvas.to_image(figure), 0)
  stages.log.text('summary', '\n'.join([*markdown, notes]))


class Scores:
  """Everything that was scored, read once.

  Attributes:
    names: Rows of the tables: baselines, untrained and trained models.
    models: (cell, coding) of the models.
  """

  def __init__(self, stages):
    """Reads the scores of all seeds."""
    self.models = stages.models
    self.names = [
      *prediction_stages.BASELINES,
      *(prediction_stages.name_of(*model, False) for model in self.models),
      *(prediction_stages.name_of(*model) for model in self.models),
    ]
    self._found = {
      name: [stages.scores(name, seed) for seed in stages.config.seeds]
      for name in self.names
    }

  def sums(self, name: str, measure: str, horizon: int = 1):
    """[G, 2] sums and counts of each seed, or None where there are none."""
    found = [each.get(horizon, {}).get(measure) for each in self._found[name]]
    if any(part is None or not part[:, 1].sum() for part in found):
      return None
    return found

  def ratio(self, name: str, measure: str, horizon: int = 1, percent=False):
    """The measure with its interval, or None."""
    sums = self.sums(name, measure, horizon)
    if sums is None:
      return None
    value = prediction_measures.ratio(sums)
    if not percent:
      return value
    return intervals.Interval(*(100 * part for part in value))


def _main_table(read):
  view = table.Table(
    ['', 'wrong of 372', 'exact, %', 'NLL', 'way, %'], digits=2
  )
  ends = [read.sums(name, 'wrong') for name in prediction_stages.BASELINES]
  for name in read.names:
    way = None
    if name not in prediction_stages.BASELINES:
      way = prediction_measures.share_of_way(read.sums(name, 'wrong'), *ends)
      way = intervals.Interval(*(100 * part for part in way))
    view.add(
      name,
      read.ratio(name, 'wrong'),
      read.ratio(name, 'exact', percent=True),
      read.ratio(name, 'nll'),
      way,
    )
  return view


def _share_table(read, kind, groups):
  view = table.Table(['', *groups], digits=2)
  for name in read.names:
    values = [
      read.ratio(name, f'{kind}/{group}', percent=True) for group in groups
    ]
    view.add(name, *(None if each is None else each.mean for each in values))
  return view


def _horizon_table(read):
  horizons = prediction_stages.HORIZONS
  view = table.Table(['', *map(str, horizons)], digits=2)
  for name in read.names:
    view.add(name, *(read.ratio(name, 'wrong', each) for each in horizons))
  return view


def _differences(read):
  """(coding, horizon): the interval of DNC less LSTM."""
  found = {}
  for coding in dict.fromkeys(coding for _, coding in read.models):
    if not {('dnc', coding), ('lstm', coding)} <= set(read.models):
      continue
    for horizon in prediction_stages.HORIZONS:
      both = [
        read.sums(prediction_stages.name_of(cell, coding), 'wrong', horizon)
        for cell in ('dnc', 'lstm')
      ]
      if None not in both:
        found[coding, horizon] = prediction_measures.difference(*both)
  return found


def _difference_table(read):
  found = _differences(read)
  horizons = prediction_stages.HORIZONS
  view = table.Table(['', *map(str, horizons)], digits=3)
  for coding in dict.fromkeys(coding for coding, _ in found):
    view.add(coding, *(found.get((coding, each)) for each in horizons))
  return view


def _numbers(read):
  """The tables' numbers, for programs: [mean, low, high] of each."""
  measures = ['wrong', 'exact', 'nll']
  measures += [f'right/{name}' for name in prediction_measures.GROUPS]
  measures += [f'changed/{name}' for name in prediction_measures.CHANGED]
  return {
    'scores': {
      name: {
        str(horizon): {
          measure: read.ratio(name, measure, horizon) for measure in measures
        }
        for horizon in prediction_stages.HORIZONS
      }
      for name in read.names
    },
    'dnc less lstm': {
      f'{coding}, {horizon}': value
      for (coding, horizon), value in _differences(read).items()
    },
  }
