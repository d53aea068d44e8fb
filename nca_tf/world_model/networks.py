"""The networks of V, by name, as numbers: TensorFlow is not imported.

Ha and Schmidhuber, World Models (2018), appendix A.1, and a lighter one.
"""

import typing

FRAME_SHAPE = (64, 64, 3)


class Network(typing.NamedTuple):
  """Layers of V; every one but the dense ones has stride 2."""

  padding: str
  encoder: tuple[int, ...]  # filters, of size 4
  shape: tuple[int, int, int]  # that the decoder's dense layer is cut into
  activation: str | None  # of the dense layer
  decoder: tuple[tuple[int, int], ...]  # filters and their size


NETWORKS = {
  'reference': Network(
    padding='valid',
    encoder=(32, 64, 128, 256),
    shape=(1, 1, 1024),
    activation=None,
    decoder=((128, 5), (64, 5), (32, 6), (3, 6)),
  ),
  'light': Network(
    padding='same',
    encoder=(16, 32, 64, 64),
    shape=(4, 4, 64),
    activation='relu',
    decoder=((64, 4), (32, 4), (16, 4), (3, 4)),
  ),
}
