"""Scripted players of Pommerman, for all games at once."""

from nca_tf.environments.pommerman.opponents.scripted import check_name
from nca_tf.environments.pommerman.opponents.scripted import make
from nca_tf.environments.pommerman.opponents.scripted import names

__all__ = ['check_name', 'make', 'names']
