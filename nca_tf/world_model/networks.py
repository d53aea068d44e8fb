"""The networks of V, by name, as numbers: TensorFlow is not imported.

Ha and Schmidhuber, World Models (2018), appendix A.1, a lighter one, and one
that keeps the columns of a wide frame apart.
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

  # Not fields, as every one of these networks has the same.
  frame_shape = FRAME_SHAPE
  columns = 1  # That share the dimensions of z equally.
  free_nats = 0.5  # Per dimension of z, see `vision.vision_loss`.
  weighs_colours = False  # In the loss, see `vision.weigh_colours`.


class Columns(typing.NamedTuple):
  """Layers of a V whose z is a few numbers for each column of the frame.

  Every column sees the frame's whole height and its neighbours. Layers have
  stride 2, but for the last, which has the height that is left.
  """

  margin: int  # Columns of pixels that are reflected at either side.
  encoder: tuple[int, ...]  # filters, of size 4
  last: tuple[int, int, int]  # height, width and filters
  frame_shape: tuple[int, int, int]
  columns: int
  free_nats: float
  weighs_colours: bool


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
  'columns': Columns(
    margin=8,
    encoder=(12, 24, 48),
    last=(4, 3, 64),
    frame_shape=(32, 128, 3),
    columns=16,
    free_nats=0.25,
    weighs_colours=True,
  ),
}
