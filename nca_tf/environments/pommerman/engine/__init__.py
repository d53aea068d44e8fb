"""The rules of Pommerman, for many games at once in NumPy."""

from nca_tf.environments.pommerman.engine.engine import get_result
from nca_tf.environments.pommerman.engine.engine import reset
from nca_tf.environments.pommerman.engine.engine import restart
from nca_tf.environments.pommerman.engine.engine import step

__all__ = ['get_result', 'reset', 'restart', 'step']
