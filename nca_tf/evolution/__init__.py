"""Evolution strategies on tensors, for any objective.

Letters in shape comments, here and in the modules:
  n  dimension of the search space
  P  candidates per generation (popsize)
  K  columns of a covariance update: the candidates and the path
"""

from nca_tf.evolution import bounds
from nca_tf.evolution import cma_es
from nca_tf.evolution import optimizer
from nca_tf.evolution import restarts
from nca_tf.evolution import stopping
from nca_tf.evolution.optimizer import CMAES
from nca_tf.evolution.restarts import fmin
from nca_tf.evolution.settings import Settings

__all__ = [
  'CMAES',
  'Settings',
  'bounds',
  'cma_es',
  'fmin',
  'optimizer',
  'restarts',
  'stopping',
]
