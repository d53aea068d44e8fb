"""Sets of cells as bits, so that one operation floods many boards at once.

A set is [..., P] uint16: a number per row of the bordered board, in which bit c
is column c. P is S + 2, the border included; B boards, L sets.
"""

import functools

import numpy as np

LARGEST = 16  # P: the bits of a row.


def pack(flags: np.ndarray) -> np.ndarray:
  """Packs [B, P, 16] numbers, where not 0 is inside, into sets [B, P]."""
  packed = np.packbits(flags, axis=-1, bitorder='little')
  return packed.reshape(*flags.shape[:-1], 2).view('<u2')[..., 0]


def dilate(cells: np.ndarray) -> np.ndarray:
  """Adds the neighbours of each cell; cells [L, P] must leave the border out.

  The border may become part of the set: intersect it with what is open.
  """
  grown = cells | cells << 1 | cells >> 1
  grown[:, 1:] |= cells[:, :-1]
  grown[:, :-1] |= cells[:, 1:]
  return grown


def contains(cells: np.ndarray, index, row, column) -> np.ndarray:
  """Whether cells[index] has (row, column), bordered; all broadcast."""
  return (cells[index, row] >> column.astype(np.uint16) & 1).astype(bool)


def flood(start: np.ndarray, passable: np.ndarray, extent: np.ndarray):
  """Breadth-first search of all sets at once.

  Args:
    start: [L, P] where each search begins.
    passable: [L, P] cells that a path may go through.
    extent: [L, P] cells that a path may reach.

  Returns:
    [D, L, P]: what is reached within 0, 1, ... D - 1 steps; the last is all
    that can be reached.
  """
  layers = [start]
  while True:
    cells = layers[-1]
    grown = cells | (dilate(cells & passable) & extent)
    if np.array_equal(grown, cells):
      return np.stack(layers)
    layers.append(grown)


def leads_out(start: np.ndarray, passable: np.ndarray, outside: np.ndarray):
  """Whether a path from a start reaches `outside`, all [L, P]: [L] bool.

  No start is in `outside`; the path is in `passable` up to its end.
  """
  found = np.zeros(len(start), bool)
  lanes, cells = np.arange(len(start)), start
  while len(lanes):
    grown = cells | (dilate(cells) & passable[lanes])
    there = (grown & outside[lanes]).any(1)
    found[lanes[there]] = True
    going = ~there & (grown != cells).any(1)
    lanes, cells = lanes[going], grown[going]
  return found


def from_flags(flags: np.ndarray) -> np.ndarray:
  """Sets [..., P] of [..., S, S] flags without a border."""
  size = flags.shape[-1]
  bits = np.uint16(2) << np.arange(size, dtype=np.uint16)
  rows = (flags * bits).sum(-1, dtype=np.uint16)
  return np.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(1, 1)])


def whole(size: int) -> np.ndarray:
  """[P]: the board without its border."""
  return from_flags(np.ones((size, size), bool))


@functools.cache
def single(size: int) -> np.ndarray:
  """[S * S, P]: each cell alone."""
  return from_flags(np.eye(size**2, dtype=bool).reshape(-1, size, size))


@functools.cache
def off_axes(size: int) -> np.ndarray:
  """[S * S, P]: cells in another row and in another column than a cell."""
  row, column = _places(size)
  return from_flags(
    (row != row.reshape(-1, 1, 1)) & (column != column.reshape(-1, 1, 1))
  )


@functools.cache
def beyond(size: int) -> np.ndarray:
  """[2 * S, S * S, P]: cells off the axes, or farther than the first index."""
  reach = np.arange(2 * size).reshape(-1, 1, 1, 1)
  return from_flags(distances(size) > reach) | off_axes(size)


@functools.cache
def cross(size: int) -> np.ndarray:
  """[2 * S, S * S, P]: cells on the axes, up to as far as the first index."""
  return whole(size) & ~beyond(size)


@functools.cache
def distances(size: int) -> np.ndarray:
  """[S * S, S, S]: rows plus columns between two cells."""
  row, column = _places(size)
  return abs(row - row.reshape(-1, 1, 1)) + abs(
    column - column.reshape(-1, 1, 1)
  )


def _places(size):
  return np.divmod(np.arange(size**2).reshape(size, size), size)
