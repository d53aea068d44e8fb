"""The convolutions of images of any size, in every network here."""

from collections.abc import Sequence

import keras
import tensorflow as tf

# Filters, side of the kernel, stride.
_LAYERS = (16, 8, 4), (32, 4, 2), (32, 3, 1)
_LEAST = 36  # Sides of which they leave anything.
_SMALL = (16, 3, 1), (32, 3, 2), (32, 3, 1)  # With the borders.


def make(activation: str) -> list[keras.layers.Layer]:
  """Returns the layers, which `fit` adapts before they are built."""
  return [
    keras.layers.Conv2D(
      filters,
      size,
      stride,
      activation=activation,
      kernel_initializer=keras.initializers.Orthogonal(2**0.5),
    )
    for filters, size, stride in _LAYERS
  ]


def fit(layers: Sequence[keras.layers.Layer], shape: Sequence[int]) -> None:
  """Makes layers that are not built yet leave something of images (H, W, C)."""
  if min(shape[:2]) >= _LEAST:
    return
  for layer, (_, size, stride) in zip(layers, _SMALL, strict=True):
    layer.kernel_size = size, size
    layer.strides = stride, stride
    layer.padding = 'same'


def apply(
  layers: Sequence[keras.layers.Layer], images: tf.Tensor, largest: float
) -> tf.Tensor:
  """Returns what layers make of images whose numbers go from 0 to `largest`.

  The scale is the first kernel's: images have many times its numbers.
  """
  first, *others = layers
  features = tf.nn.conv2d(
    images,
    tf.cast(first.kernel, images.dtype) / largest,
    first.strides,
    first.padding.upper(),
  )
  features = tf.nn.bias_add(features, tf.cast(first.bias, images.dtype))
  features = first.activation(features)
  for layer in others:
    features = layer(features)
  return features
