"""Files that are written whole or not at all, and read with suspicion."""

import io
import json
import math
import os
import pathlib
import zipfile
from collections.abc import Collection
from typing import Any

import numpy as np

# How the name of an unfinished file ends; a killed writer may leave one.
PARTIAL = '.partial'


def write_whole(path: str | os.PathLike, data: bytes | str) -> None:
  """Writes bytes, or text as UTF-8, making the file's folder.

  Args:
    path: The file; another one of this name is replaced in one step.
    data: What it shall hold.

  Raises:
    OSError: The file cannot be written; an earlier one is left as it was.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  # Always the same name, so that kill after kill leaves one file at most.
  partial = path.with_name(path.name + PARTIAL)
  try:
    with open(partial, 'wb') as file:
      file.write(data.encode() if isinstance(data, str) else data)
      file.flush()
      os.fsync(file.fileno())
    os.replace(partial, path)
  except BaseException:
    partial.unlink(missing_ok=True)
    raise


def write_json(path: str | os.PathLike, value: Any) -> None:
  """Writes JSON that people can read; NumPy values become Python's."""
  text = json.dumps(value, indent=2, default=lambda array: array.tolist())
  write_whole(path, text + '\n')


def write_arrays(
  path: str | os.PathLike, arrays: dict[str, Any], compress: bool = False
) -> None:
  """Writes NumPy arrays by name, as an `.npz` file."""
  stream = io.BytesIO()
  (np.savez_compressed if compress else np.savez)(stream, **arrays)
  write_whole(path, stream.getvalue())


def read_arrays(
  path: str | os.PathLike,
  names: Collection[str] | None = None,
  limit: int = 1 << 28,
) -> dict[str, np.ndarray]:
  """Reads arrays of an `.npz` file, unpacking nothing that it cannot trust.

  The sizes that the file states are compared with each other and with `limit`
  before any memory is taken, so that no damaged file costs more than an intact
  one. Arrays of Python objects are refused: to read them is to run them.

  Args:
    path: The file.
    names: The arrays to read, each of which must be there; others are ignored,
      damaged or not. All of the file without it.
    limit: The most bytes that all of them may have unpacked.

  Returns:
    {name: array}, in the order of `names`.

  Raises:
    OSError: The file cannot be opened.
    ValueError: It is damaged, or one of `names` is missing; the message begins
      with the path.
  """
  path = pathlib.Path(path)
  with path.open('rb') as stream:
    try:
      with zipfile.ZipFile(stream) as archive:
        members = {
          entry.filename.removesuffix('.npy'): entry
          for entry in archive.infolist()
        }
        arrays, left = {}, limit
        for name in members if names is None else names:
          if name not in members:
            raise ValueError(f'{name} is missing')
          arrays[name] = _read_member(archive, members[name], name, left)
          left -= arrays[name].nbytes
        return arrays
    # A reader of damaged bytes may raise anything; MemoryError is one of them.
    except Exception as error:
      reason = ' '.join(str(error).split()) or type(error).__name__
      raise ValueError(f'{path} is damaged ({reason[:200]})') from error


def _read_member(archive, entry, name, limit):
  """Returns one array of an archive, of at most `limit` bytes."""
  if entry.file_size > limit + 4096:  # A header of NumPy's is shorter.
    raise ValueError(f'{name} states {entry.file_size} bytes')
  with archive.open(entry) as member:
    version = np.lib.format.read_magic(member)
    if version not in ((1, 0), (2, 0)):
      raise ValueError(f'{name} has a header of version {version}')
    header = (
      np.lib.format.read_array_header_1_0
      if version == (1, 0)
      else np.lib.format.read_array_header_2_0
    )
    shape, is_fortran, dtype = header(member)
    size = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0:
      raise ValueError(f'{name} is no array of numbers')
    if size > limit or member.tell() + size != entry.file_size:
      raise ValueError(f'{name} states {size} bytes in {entry.file_size}')
    data = member.read(size + 1)  # One more: the checksum is read at the end.
    if len(data) != size:
      raise ValueError(f'{name} is cut off')
  array = np.frombuffer(bytearray(data), dtype)
  return array.reshape(shape, order='F' if is_fortran else 'C')
