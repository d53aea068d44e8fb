"""Processes that play the same episodes even when some of them die.

They import TensorFlow only to load an agent.
"""

from nca_tf.environments.workers.players import Players
from nca_tf.environments.workers.players import play

__all__ = ['Players', 'play']
