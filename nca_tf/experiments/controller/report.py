"""What a person sees of train_controller."""

import numpy as np

from nca_tf.analysis import score_figures
from nca_tf.analysis import table
from nca_tf.play import score
from nca_tf.runs import report as report_lib


def summary(chosen, evaluations, figures) -> report_lib.Report:
  """The score `figures`, and how its controller was `chosen`."""
  view = table.Table(
    ['iteration', 'evolution', 'generation', 'selection'], digits=1
  )
  for mean, *which in evaluations:
    view.add(*which, mean)
  return report_lib.Report(
    {'': view},
    head=f'{score.describe("agent", figures)}\n\n'
    f'chosen: iteration {chosen["iteration"]}, evolution '
    f'{chosen["evolution"]}, generation {chosen["generation"]}, by '
    f'{chosen["mean"]:.1f} in selection\n',
    numbers=figures,
  )


def draw(training):
  """The score in the game and in the dream of a run.ControllerTraining."""
  run, config = training.run, training.run.config
  curves, evaluations = {}, {}
  for index in training.indices:
    name = f' {index}' if config.evolutions > 1 else ''
    dreamt = curves[config.in_ + name] = ([], [])
    played = evaluations['controller' + name] = ([], [])
    for number in training.iterations:
      before = (number - 1) * config.generations
      evolution = training.evolution(number, index)
      for record in run.log.records(evolution.stage):
        dreamt[0].append(before + record['step'])
        dreamt[1].append(record['mean'])
      for generation, scores in evolution.evaluations.items():
        played[0].append(before + generation)
        played[1].append(scores)
  game = run.info('check-1')['game'] if run.is_finished('check-1') else {}
  means = {name: float(np.mean(values)) for name, values in game.items()}
  figure = score_figures.scores_over_generations(curves, evaluations, means)
  run.show('scores', figure, config.iterations * config.generations)
