"""Which convolutions images of a size go through, in every network here."""

from collections.abc import Callable, Sequence

import keras

# Filters, side of the kernel, stride.
_LAYERS = (16, 8, 4), (32, 4, 2), (32, 3, 1)
_LEAST = 36  # Sides for which they leave anything.
_SMALL = (16, 3, 1), (32, 3, 2), (32, 3, 1)
COUNT = len(_LAYERS)


def make(
  shape: Sequence[int],
  activation: str,
  initializers: Sequence[Callable],
) -> list[keras.layers.Layer]:
  """Returns convolutions for images [N, H, W, C].

  Args:
    shape: (H, W, C). Small images keep their borders.
    activation: Of each layer.
    initializers: `COUNT` of them, of the kernels.
  """
  is_small = min(shape[:2]) < _LEAST
  return [
    keras.layers.Conv2D(
      filters,
      size,
      stride,
      padding='same' if is_small else 'valid',
      activation=activation,
      kernel_initializer=initializer,
    )
    for (filters, size, stride), initializer in zip(
      _SMALL if is_small else _LAYERS, initializers, strict=True
    )
  ]
