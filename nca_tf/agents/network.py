"""Actor and critic in one network, with or without a recurrent cell."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from nca_tf.agents import convolutions
from nca_tf.memory.unrolled import episodes


@keras.saving.register_keras_serializable('nca_tf')
class ActorCritic(keras.layers.Layer):
  """Observations to a policy's parameters and the values of S streams.

  Vectors go through dense layers, images (uint8, or floats from 0 to 1) through
  three convolutions first, and indices are one-hot. A cell follows, if there is
  one, and two heads.

  Letters: B lanes, T steps.
  """

  def __init__(
    self,
    parameters: int,
    streams: int,
    units: Sequence[int] = (64, 64),
    cell: keras.layers.Layer | None = None,
    categories: int = 0,
    activation: str = 'tanh',
    **kwargs,
  ):
    """Makes the layers.

    Args:
      parameters: Of the action's distribution.
      streams: S.
      units: Of the dense layers.
      cell: A cell of the registry, or None.
      categories: Number of observations where they are indices, else 0.
      activation: Of the dense layers.
      **kwargs: Of `keras.layers.Layer`.
    """
    super().__init__(**kwargs)
    self.parameters = parameters
    self.streams = streams
    self.categories = categories
    self.cell = cell
    gain = keras.initializers.Orthogonal
    self.convolutions = convolutions.make('relu')
    self.hidden = [
      keras.layers.Dense(size, activation, kernel_initializer=gain(2**0.5))
      for size in units
    ]
    # A first policy that prefers no action, and first values near zero.
    self.policy_head = keras.layers.Dense(
      parameters, kernel_initializer=gain(0.01)
    )
    self.value_head = keras.layers.Dense(streams, kernel_initializer=gain(0.01))

  def build(self, observation_shape):
    """Builds everything; the shape is that of one lane's observation."""
    shape = tuple(observation_shape)
    if self.categories:
      shape = (self.categories,)
    elif len(shape) == 3:
      convolutions.fit(self.convolutions, shape)
      for layer in self.convolutions:
        layer.build((None, *shape))
        shape = layer.compute_output_shape((None, *shape))[1:]
      shape = (int(np.prod(shape)),)
    size = shape[0]
    for layer in self.hidden:
      layer.build((None, size))
      size = layer.units
    if self.cell is not None:
      self.cell.build((None, size))
      size = self.cell.output_size
    self.policy_head.build((None, size))
    self.value_head.build((None, size))
    self.built = True

  def initial_state(self, lanes) -> list:
    """Returns the flat state before the first step; empty without a cell."""
    if self.cell is None:
      return []
    return keras.tree.flatten(self.cell.get_initial_state(batch_size=lanes))

  def step(self, observation, is_first, state):
    """One step: [B, ...], bool [B], flat state.

    Returns:
      Parameters [B, P], values [B, S], and the next state.
    """
    features = self._encode(observation)
    if self.cell is not None:
      features, state = episodes.advance(self.cell, features, is_first, state)
    return self.policy_head(features), self.value_head(features), state

  def call(self, observation, is_first, state):
    """T steps: [B, T, ...], bool [B, T], flat state before them.

    Returns:
      Parameters [B, T, P], values [B, T, S].
    """
    shape = tf.shape(observation)[:2]
    flat = tf.reshape(
      observation, tf.concat([[-1], tf.shape(observation)[2:]], 0)
    )
    flat.set_shape([None, *observation.shape[2:]])
    features = self._encode(flat)
    if self.cell is not None:
      features = tf.reshape(features, [shape[0], shape[1], features.shape[-1]])
      features, _ = episodes.unroll(self.cell, features, is_first, state)
      features = tf.reshape(features, [-1, features.shape[-1]])
    return tuple(
      tf.reshape(head(features), [shape[0], shape[1], head.units])
      for head in (self.policy_head, self.value_head)
    )

  def _encode(self, observation):
    dtype = self.compute_dtype
    if self.categories:
      features = tf.one_hot(observation, self.categories, dtype=dtype)
    else:
      features = tf.cast(observation, dtype)
      if len(observation.shape) == 4:
        largest = 255 if observation.dtype == tf.uint8 else 1
        features = convolutions.apply(self.convolutions, features, largest)
        features = tf.reshape(features, [-1, int(np.prod(features.shape[1:]))])
    for layer in self.hidden:
      features = layer(features)
    return features
