"""Files that are written whole or not at all."""

import os
import pathlib
import tempfile


def write_whole(path, data: bytes) -> None:
  """Writes bytes to a file whole or not at all, making its folder."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  handle, name = tempfile.mkstemp(
    prefix=f'.{path.name}.', suffix='.partial', dir=path.parent
  )
  try:
    with os.fdopen(handle, 'wb') as file:
      file.write(data)
    os.chmod(name, 0o644)  # mkstemp gives a file to its owner alone.
    os.replace(name, path)
  except BaseException:
    pathlib.Path(name).unlink(missing_ok=True)
    raise
