"""Files that are written whole or not at all, and read with suspicion."""

import contextlib
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
_LONGEST_HEADER = 4096  # Bytes; NumPy's own are shorter.


def write_whole(path: str | os.PathLike, data: bytes | str) -> None:
  """Writes bytes, or text as UTF-8, making the file's folder.

  Args:
    path: The file; another one of this name is replaced in one step.
    data: What it shall hold.

  Raises:
    OSError: The file cannot be written; an earlier one is left as it was. It
      names the file also where the system names none, as for a full disk.
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
  except BaseException as error:
    with contextlib.suppress(OSError):
      partial.unlink(missing_ok=True)
    if isinstance(error, OSError) and error.errno and not error.filename:
      error.filename = str(path)
    raise


def append(path: str | os.PathLike, text: str) -> None:
  """Adds a text, as UTF-8, to the end of a file.

  Raises:
    OSError: It cannot be written, of which a part may then be in the file; it
      names the file also where the system names none.
  """
  try:
    with open(path, 'a', encoding='utf-8') as file:
      file.write(text)
  except OSError as error:
    error.filename = error.filename or str(path)
    raise


def write_json(path: str | os.PathLike, value: Any) -> None:
  """Writes JSON that people can read.

  NumPy values become Python's, and numbers that are not finite null: JSON has
  neither NaN nor infinity.

  Raises:
    OSError: The file cannot be written.
    TypeError: JSON cannot hold the value; nothing was written.
  """
  try:
    text = json.dumps(_plain(value), indent=2, allow_nan=False)
  except TypeError as error:
    raise TypeError(f'{path} must hold JSON: {error}') from error
  write_whole(path, text + '\n')


def _plain(value):
  """Returns a value with nothing in it but what JSON has."""
  if isinstance(value, dict):
    return {_plain(key): _plain(each) for key, each in value.items()}
  if isinstance(value, list | tuple):
    return [_plain(each) for each in value]
  if isinstance(value, np.ndarray | np.generic):
    return _plain(value.tolist())
  if isinstance(value, float) and not math.isfinite(value):
    return None
  if value is None or isinstance(value, str | bool | int | float):
    return value
  raise TypeError(f'got {type(value).__name__}')


def read_json(path: str | os.PathLike, limit: int = 1 << 25) -> dict[str, Any]:
  """Reads a JSON object.

  Args:
    path: The file.
    limit: The most bytes that it may have.

  Raises:
    OSError: The file cannot be opened.
    ValueError: It holds no object, or is damaged; the message begins with the
      path.
  """
  with open(path, 'rb') as stream, _damage(path):
    data = stream.read(limit + 1)
    if len(data) > limit:
      raise ValueError(f'it has more than {limit} bytes')
    if not data.strip():
      raise ValueError('it is empty')
    value = json.loads(data.decode('utf-8'))
    if not isinstance(value, dict):
      raise ValueError(f'not an object but {type(value).__name__}')
    return value


@contextlib.contextmanager
def _damage(path):
  """Turns whatever a reader of damaged bytes raises into one ValueError."""
  try:
    yield
  # MemoryError and RecursionError are among them.
  except Exception as error:
    reason = ' '.join(str(error).split()) or type(error).__name__
    raise ValueError(f'{path} is damaged ({reason[:200]})') from error


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
  with path.open('rb') as stream, _damage(path):
    with zipfile.ZipFile(stream) as archive:
      members = {
        entry.filename.removesuffix('.npy'): entry
        for entry in archive.infolist()
      }
      arrays, left = {}, limit
      for name in members if names is None else names:
        if name not in members:
          raise ValueError(f'{name} is missing')
        entry = members[name]
        if entry.file_size > left + _LONGEST_HEADER:
          raise ValueError(f'{name} states {entry.file_size} bytes')
        with archive.open(entry) as member:
          arrays[name] = _read_array(member, entry.file_size, name, left)
        left -= arrays[name].nbytes
      return arrays


def read_array(path: str | os.PathLike, limit: int = 1 << 28) -> np.ndarray:
  """Reads the array of an `.npy` file, as suspiciously as `read_arrays`."""
  with open(path, 'rb') as stream, _damage(path):
    size = os.fstat(stream.fileno()).st_size
    return _read_array(stream, size, 'the array', limit)


def _read_array(stream, file_size, name, limit):
  """Returns the array of an open `.npy` file, of at most `limit` bytes."""
  version = np.lib.format.read_magic(stream)
  if version not in ((1, 0), (2, 0)):
    raise ValueError(f'{name} has a header of version {version}')
  header = (
    np.lib.format.read_array_header_1_0
    if version == (1, 0)
    else np.lib.format.read_array_header_2_0
  )
  shape, is_fortran, dtype = header(stream)
  size = math.prod(shape) * dtype.itemsize
  if dtype.hasobject or min(shape, default=0) < 0:
    raise ValueError(f'{name} is no array of numbers')
  if size > limit or stream.tell() + size != file_size:
    raise ValueError(f'{name} states {size} bytes in {file_size}')
  data, filled = bytearray(size), 0
  # To the end of the stream: there a checksum is compared.
  while piece := stream.read(1 << 20):
    data[filled : filled + len(piece)] = piece
    filled += len(piece)
  if filled != size or len(data) != size:
    raise ValueError(f'{name} is cut off')
  array = np.frombuffer(data, dtype)
  return array.reshape(shape, order='F' if is_fortran else 'C')
