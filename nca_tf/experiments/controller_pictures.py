"""What a person sees of train_controller."""

import numpy as np

from nca_tf.analysis import figures
from nca_tf.analysis import score_figures


def draw(stages):
  """The score in the game and in the dream over generations."""
  generations, dreamt, looked, scores = [], [], [], []
  before = 0
  for number in range(1, stages.config.iterations + 1):
    for record in stages.log.records(f'controller_{number}'):
      generations.append(before + record['step'])
      dreamt.append(record['mean'])
    for generation, played in stages.evolution(number).looks.items():
      looked.append(before + generation)
      scores.append(played)
    before += stages.config.generations
  game = {}
  if stages.folder.is_finished('check-1'):
    game = stages.folder.info('check-1')['game']
  figure = score_figures.scores_over_generations(
    {stages.config.in_: (generations, dreamt)},
    {'controller': (looked, scores)},
    {name: float(np.mean(values)) for name, values in game.items()},
  )
  figures.save(figure, stages.folder.figures / 'scores.png')
  stages.log.image('figures/scores', figures.to_image(figure), before)
