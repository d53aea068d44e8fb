"""Processes that play: the same episodes whatever dies meanwhile.

No TensorFlow before an agent is loaded.
"""

from nca_tf.environments.workers.players import Players
from nca_tf.environments.workers.players import play

__all__ = ['Players', 'play']
