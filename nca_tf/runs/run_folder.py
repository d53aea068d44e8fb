"""The folder of one run: what it was made with and what is finished.

    config.json   the resolved configuration, versions, git revision
    stages.json   finished stages and what each of them left
    checkpoints/ tensorboard/ export/ figures/

The same command on the same folder goes on where it stopped. A folder made
with another configuration is refused before anything is written.
"""

import contextlib
import fcntl
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import subprocess
from typing import Any

import nca_tf
from nca_tf import files
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults

_LOCK = 'run.lock'
_PACKAGES = (
  'keras',
  'numpy',
  'tensorflow',
  'tensorflow-probability',
  'tf-agents',
  'vizdoom',
)


class RunFolder(contextlib.AbstractContextManager):
  """One run's folder, locked against a second process.

      with run_folder.RunFolder.open(config, 'train', 'vizdoom-dnc-0') as run:
        if not run.is_finished('vision'):
          run.finish('vision', {'loss': train(run.checkpoints)})

  Its attributes `path`, `checkpoints`, `tensorboard` (event files), `export`
  (SavedModels) and `figures` are folders.
  """

  def __init__(self, path: pathlib.Path, lock: Any):
    """Takes a folder that `open` has checked and locked."""
    self.path, self._lock = path, lock
    names = ('checkpoints', 'tensorboard', 'export', 'figures')
    folders = [path / name for name in names]
    self.checkpoints, self.tensorboard, self.export, self.figures = folders
    for folder in folders:
      folder.mkdir(exist_ok=True)

  @classmethod
  def open(
    cls, config: config_flags.Common, binary: str, name: str
  ) -> 'RunFolder':
    """Makes the folder, or resumes it when its configuration is the same.

    Args:
      config: The resolved configuration; `config.run_dir` names the folder
        unless it is empty.
      binary: Name of the binary, the parent folder below `runs/`.
      name: Name of the run, e.g. `vizdoom-dnc-0`.

    Returns:
      The locked folder. Close it, or use it in a `with` statement.

    Raises:
      faults.UsageError: The folder belongs to another configuration or holds
        other files. Nothing was written.
      faults.Fault: Another process uses the folder, or its files are damaged.
    """
    path = _find(config, binary, name)
    _check(path, config, binary)
    path.mkdir(parents=True, exist_ok=True)
    lock = _acquire(path)
    try:
      # Again, now that no other process can have made the folder meanwhile.
      if not _check(path, config, binary):
        files.write_json(path / 'config.json', _describe(config, binary))
      run = cls(path, lock)
      run._stages()  # Damage is reported before hours of work, not after.
    except BaseException:
      lock.close()
      raise
    return run

  def close(self) -> None:
    """Gives the folder free for another process."""
    self._lock.close()

  def __exit__(self, *unused) -> None:
    self.close()

  def is_finished(self, stage: str) -> bool:
    """Tells whether `finish` was called for the stage, in any process."""
    return stage in self._stages()

  def finish(self, stage: str, info: dict[str, Any] | None = None) -> None:
    """Marks a stage as finished, for good: also after a power cut.

    `info` is what it left, for JSON; NumPy values become Python's.
    """
    stages = {**self._stages(), stage: info or {}}
    files.write_json(self.path / 'stages.json', stages)

  def info(self, stage: str) -> dict[str, Any]:
    """Returns what a finished stage left; `ValueError` for any other."""
    stages = self._stages()
    if stage not in stages:
      raise ValueError(
        f'stage must be one of {sorted(stages)} (finished), got {stage!r}'
      )
    return stages[stage]

  def _stages(self):
    return _read_stages(self.path)


def check(config: config_flags.Common, binary: str, name: str) -> None:
  """Refuses a folder as `RunFolder.open` does, and opens nothing.

  Arguments and errors are those of `open`. A folder may be refused later all
  the same, as other processes may write it meanwhile.
  """
  path = _find(config, binary, name)
  if _check(path, config, binary):
    _read_stages(path)
    if (path / _LOCK).exists():
      _acquire(path).close()


def _find(config, binary, name):
  name = re.sub(r'[^\w.+-]+', '-', name)  # A game's name may have a colon.
  folder = config.run_dir or pathlib.Path('runs', binary, name)
  return faults.check_path('run_dir', folder)


def _check(path, config, binary):
  """Returns whether the folder was begun, and refuses one of another run."""
  if not path.exists():
    return False
  if not path.is_dir():
    raise faults.UsageError(f'--run_dir must be a folder, got the file {path}')
  file = path / 'config.json'
  if not file.exists():
    others = sorted(
      entry.name
      for entry in path.iterdir()
      if entry.name not in (_LOCK, f'config.json{files.PARTIAL}')
    )
    if others:
      raise faults.UsageError(
        f'--run_dir must be a new folder or one of an earlier run, got {path} '
        f'with {others[0]!r} but no config.json in it'
      )
    return False
  found = _read_json(file)
  settings = found.get('config')
  if not isinstance(settings, dict):
    raise _damaged(file, 'no configuration in it')
  wanted = config_flags.identity(config)
  free = config_flags.as_dict(config).keys() - wanted.keys()
  settings = {k: v for k, v in settings.items() if k not in free}
  lines = _differences(
    {'binary': found.get('binary'), **settings}, {'binary': binary, **wanted}
  )
  if lines:
    raise faults.UsageError(
      f'{path} was made with another configuration; choose another --run_dir. '
      + '; '.join(lines)
    )
  return True


def _differences(folder, command):
  missing = 'nothing'
  pairs = {
    name: (folder.get(name, missing), command.get(name, missing))
    for name in {**command, **folder}
  }
  return [
    f'{name}: folder has {one}, command has {other}'
    for name, (one, other) in pairs.items()
    if one != other
  ]


def _acquire(path):
  """Returns the open lock file; the kernel frees it when the process ends."""
  lock = open(path / _LOCK, 'a+', encoding='utf-8')
  try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    lock.seek(0)
    owner = lock.read().strip() or 'unknown'
    lock.close()
    raise faults.Fault(
      f'{path} is in use by another process (pid {owner})'
    ) from None
  lock.truncate(0)
  lock.write(str(os.getpid()))
  lock.flush()
  return lock


def _read_stages(path):
  file = path / 'stages.json'
  return _read_json(file) if file.exists() else {}


def _describe(config, binary):
  versions = {'nca_tf': nca_tf.__version__, 'python': platform.python_version()}
  for package in _PACKAGES:
    try:
      versions[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      versions[package] = None
  return {
    'binary': binary,
    'config': config_flags.as_dict(config),
    'versions': versions,
    'git_revision': _git_revision(),
  }


def _git_revision():
  """Returns the checkout's commit, perhaps with `-dirty`; None outside one."""
  root = pathlib.Path(nca_tf.__file__).parent.parent
  if not (root / '.git').exists():
    return None
  git = ['git', 'describe', '--always', '--dirty', '--abbrev=40', '--exclude=*']
  try:
    return subprocess.check_output(
      git, cwd=root, stderr=subprocess.DEVNULL, text=True, timeout=20
    ).strip()
  except (OSError, subprocess.SubprocessError):
    return None


def _read_json(file):
  try:
    value = json.loads(file.read_text(encoding='utf-8'))
  except ValueError as error:  # Also wrong UTF-8.
    raise _damaged(file, error) from error
  if not isinstance(value, dict):
    raise _damaged(file, f'not an object but {type(value).__name__}')
  return value


def _damaged(file, why):
  return faults.Fault(
    f'{file} is damaged ({why}); delete the folder or choose another --run_dir'
  )
