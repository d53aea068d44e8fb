"""What a person sees of train_controller."""

import numpy as np

from nca_tf.analysis import figures
from nca_tf.analysis import score_figures


def draw(stages):
  """The score in the game and in the dream over generations."""
  config = stages.config
  curves, looks = {}, {}
  for index in stages.indices:
    name = f' {index}' if config.evolutions > 1 else ''
    dreamt = curves[config.in_ + name] = ([], [])
    played = looks['controller' + name] = ([], [])
    for number in range(1, config.iterations + 1):
      before = (number - 1) * config.generations
      evolution = stages.evolution(number, index)
      for record in stages.log.records(evolution.stage):
        dreamt[0].append(before + record['step'])
        dreamt[1].append(record['mean'])
      for generation, scores in evolution.looks.items():
        played[0].append(before + generation)
        played[1].append(scores)
  game = {}
  if stages.folder.is_finished('check-1'):
    game = stages.folder.info('check-1')['game']
  figure = score_figures.scores_over_generations(
    curves,
    looks,
    {name: float(np.mean(values)) for name, values in game.items()},
  )
  figures.save(figure, stages.folder.figures / 'scores.png')
  total = config.iterations * config.generations
  stages.log.image('figures/scores', figures.to_image(figure), total)
