"""Ways in which a file is damaged, by name."""

import pathlib

import numpy as np


def _flip(path):
  data = bytearray(path.read_bytes())
  # One bit of every file would do; that of a checkpoint's data must be used.
  for place in (len(data) // 2, len(data) // 3):
    data[place] ^= 0x40
  path.write_bytes(data)


def _cut(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _garble(path):
  noise = np.random.default_rng(0).bytes(max(64, path.stat().st_size))
  path.write_bytes(noise)


DAMAGES = {
  'lost': pathlib.Path.unlink,
  'empty': lambda path: path.write_bytes(b''),
  'cut': _cut,
  'flipped': _flip,
  'zeroed': lambda path: path.write_bytes(bytes(path.stat().st_size)),
  'garbled': _garble,
}
