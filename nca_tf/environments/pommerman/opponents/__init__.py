"""Scripted players of Pommerman, for all games at once."""

from nca_tf.environments.pommerman.opponents.scripted import make
from nca_tf.environments.pommerman.opponents.scripted import names

__all__ = ['make', 'names']
