"""Recurrent memory cells; this package knows nothing of games.

Letters in shape comments, here and in the modules:
  B  batch
  T  time steps
  F  features of one input vector
  H  units of the controller
  N  memory slots (rows of the memory)
  W  word size (width of a row)
  R  read heads
"""

from nca_tf.memory import access
from nca_tf.memory import addressing
from nca_tf.memory import cells
from nca_tf.memory.access import AccessState
from nca_tf.memory.access import Interface
from nca_tf.memory.dnc import DNCCell
from nca_tf.memory.dnc import DNCState
from nca_tf.memory.dnc_layer import DNC
from nca_tf.memory.dnc_layer import Trace

__all__ = [
  'DNC',
  'AccessState',
  'DNCCell',
  'DNCState',
  'Interface',
  'Trace',
  'access',
  'addressing',
  'cells',
]
