"""A reader of TFRecord files that survives damaged records.

A record is: uint64 length, masked CRC-32C of the length, the data, masked
CRC-32C of the data (little-endian; tensorflow/core/lib/io/record_writer.h).
TensorFlow's own reader stops at the first damaged record. This one goes on, as
the length of a record is checked apart from its data. The caller must check the
data: CRC-32C is slow in Python.
"""

import os
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

_HEADER = struct.Struct('<QI')
_FOOTER_SIZE = 4
_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected


class Record(NamedTuple):
  """Offset and size of a record's data, and the offset of the record's end."""

  start: int
  size: int
  end: int


def _make_table() -> tuple[int, ...]:
  table = []
  for byte in range(256):
    for _ in range(8):
      byte = (byte >> 1) ^ (_POLYNOMIAL if byte & 1 else 0)
    table.append(byte)
  return tuple(table)


_TABLE = _make_table()


def masked_crc32c(data: bytes) -> int:
  """Returns the checksum as TFRecord files store it."""
  crc = 0xFFFFFFFF
  for byte in data:
    crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
  crc ^= 0xFFFFFFFF
  return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def scan(
  path: str | os.PathLike, on_damage: Callable[[str], None] | None = None
) -> Iterator[Record]:
  """Finds the complete records without reading their data.

  Args:
    path: A TFRecord file, which may still be growing.
    on_damage: Called with a message when bytes after them are no record.

  Yields:
    A `Record` each.
  """
  with open(path, 'rb') as file:
    size = os.fstat(file.fileno()).st_size
    position = 0
    while position < size:
      file.seek(position)
      header = file.read(_HEADER.size)
      end = size + 1
      if len(header) == _HEADER.size:
        length, checksum = _HEADER.unpack(header)
        if checksum == masked_crc32c(header[:8]):
          start = position + _HEADER.size
          end = start + length + _FOOTER_SIZE
      if end > size:
        if on_damage is not None:
          on_damage(
            f'{path}: damaged from byte {position} of {size}; the rest of '
            'this file is left out'
          )
        return
      yield Record(start, length, end)
      position = end


def read(
  path: str | os.PathLike, on_damage: Callable[[str], None] | None = None
) -> Iterator[bytes]:
  """Reads the data of the complete records; see `scan`."""
  with open(path, 'rb') as file:
    for record in scan(path, on_damage):
      file.seek(record.start)
      yield file.read(record.size)
