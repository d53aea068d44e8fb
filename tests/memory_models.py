"""Small Ms of every kind: each registered cell, and two over discrete codes."""

import keras

from nca_tf.memory import cells
from nca_tf.world_model import discrete_model
from nca_tf.world_model import model as model_lib
from nca_tf.world_model import state_space_model

CODES = 'codes'
STATE_SPACE = 'state space'
OVER_CODES = {
  CODES: discrete_model.DiscreteModel,
  STATE_SPACE: state_space_model.RecurrentStateSpaceModel,
}
KINDS = (*cells.names(), *OVER_CODES)


def make(kind, latent, actions, units=8, reward=False, seed=0):
  """A built M, with two Gaussians for a mixture, or 3 codes of 4 classes."""
  keras.utils.set_random_seed(seed)
  cell = cells.make(
    'lstm' if kind in OVER_CODES else kind,
    units,
    memory_slots=5,
    word_size=4,
    read_heads=2,
  )
  if kind in OVER_CODES:
    model = OVER_CODES[kind](cell, latent, actions, 3, 4, reward=reward)
  else:
    model = model_lib.MemoryModel(cell, latent, actions, 2, reward=reward)
  model.build()
  return model
