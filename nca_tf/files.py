"""Files that are written whole or not at all, also when power is cut."""

import io
import json
import os
import pathlib
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
