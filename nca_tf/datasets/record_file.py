"""TFRecord files read from the outside in, so that damage stays local.

A record is: uint64 length, masked CRC-32C of the length, the data, masked
CRC-32C of the data (little-endian; tensorflow/core/lib/io/record_writer.h).
TensorFlow's own reader gives up at the first damaged record. Here a record
with damaged data is skipped, because its length is still known to be right.
The data's own checksum is left to the caller: CRC-32C is slow in Python.
"""

import os
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

_HEADER = struct.Struct('<QI')
_FOOTER_SIZE = 4
_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected


class Record(NamedTuple):
  """Where a record's data start, their size, and where the record ends."""

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
  """Returns the checksum that TFRecord files carry."""
  crc = 0xFFFFFFFF
  for byte in data:
    crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
  crc ^= 0xFFFFFFFF
  return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def scan(
  path: str | os.PathLike, on_damage: Callable[[str], None] | None = None
) -> Iterator[Record]:
  """Finds the whole records without reading their data.

  Args:
    path: A TFRecord file; one that grows meanwhile is fine.
    on_damage: Called with a line when something behind them is no record.

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
  """Reads the data of the whole records; see `scan`."""
  with open(path, 'rb') as file:
    for record in scan(path, on_damage):
      file.seek(record.start)
      yield file.read(record.size)
