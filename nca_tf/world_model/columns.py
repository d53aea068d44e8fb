"""Layers of the V that keeps the columns of a wide frame apart.

A dense layer from the whole frame to z has to spend nats on where a small thing
is, and leaves it out where that costs more than the error. Here z is [columns,
numbers per column], and convolutions alone lead to it and back.
"""

import keras
from keras import ops

from nca_tf.world_model import networks

_KERNEL = 4


def encoder(network: networks.Columns) -> keras.Sequential:
  """Frames [B, H, W, 3] -> features [B, columns, F]."""
  height, width, filters = network.last
  return keras.Sequential(
    [
      Reflect(network.margin),
      *(
        keras.layers.Conv2D(
          size, _KERNEL, strides=2, padding='same', activation='relu'
        )
        for size in network.encoder
      ),
      keras.layers.Conv2D(filters, (height, width), activation='relu'),
      keras.layers.Reshape((network.columns, filters)),
    ],
    name='encoder',
  )


def decoder(network: networks.Columns) -> keras.Sequential:
  """Latents [B, Z] -> frames [B, H, W, 3] in 0..1: the encoder's mirror."""
  height, width, filters = network.last
  *hidden, first = network.encoder
  layers = [
    keras.layers.Reshape((1, network.columns, -1)),
    keras.layers.Dense(filters, activation='relu'),
    keras.layers.Conv2DTranspose(first, (height, width), activation='relu'),
  ]
  for size in [*reversed(hidden), network.frame_shape[-1]]:
    last = len(layers) == 2 + len(network.encoder)
    layers.append(
      keras.layers.Conv2DTranspose(
        size,
        _KERNEL,
        strides=2,
        padding='same',
        activation='sigmoid' if last else 'relu',
      )
    )
  layers.append(keras.layers.Cropping2D((0, network.margin)))
  return keras.Sequential(layers, name='decoder')


@keras.saving.register_keras_serializable('nca_tf')
class Reflect(keras.layers.Layer):
  """Widens images by their mirror image: [B, H, W, C] -> [B, H, W + 2 M, C]."""

  def __init__(self, margin: int, **kwargs):
    """Adds `margin` columns at either side."""
    super().__init__(**kwargs)
    self.margin = margin

  def call(self, images):
    """Widens the images."""
    sides = (self.margin, self.margin)
    return ops.pad(images, ((0, 0), (0, 0), sides, (0, 0)), mode='reflect')

  def compute_output_shape(self, input_shape):
    """The shape of the widened images."""
    batch, height, width, channels = input_shape
    return batch, height, width + 2 * self.margin, channels

  def get_config(self):
    """Constructor arguments, for `.keras` files."""
    return {**super().get_config(), 'margin': self.margin}
