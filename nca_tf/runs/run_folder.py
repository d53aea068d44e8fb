"""The folder of one run: what it was made with and what is finished.

    config.json   the resolved configuration, versions, git revision
    config.copy.json   the same, should the first be damaged
    stages.json   finished stages and what each of them left
    checkpoints/ tensorboard/ export/ figures/

The same command on the same folder goes on where it stopped. A folder made
with another configuration is refused before anything is written. What is
damaged is made again where it can be.
"""

import contextlib
import errno
import fcntl
import importlib.metadata
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
_CONFIG = 'config.json'
_COPY = 'config.copy.json'
_STAGES = 'stages.json'
# What file systems without locks answer, such as some over a network.
_WITHOUT_LOCKS = (
  errno.ENOLCK,
  errno.ENOSYS,
  errno.EOPNOTSUPP,
  errno.EINVAL,
)
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
        other files, or nothing can have its name. Nothing was written.
      faults.Fault: Another process uses the folder, or its configuration is
        damaged, and so is the copy of it.
    """
    path = _find(config, binary, name)
    _check_place(path)
    _check(path, config, binary)
    path.mkdir(parents=True, exist_ok=True)
    lock = _acquire(path)
    try:
      # Again, now that no other process can have made the folder meanwhile.
      found = _check(path, config, binary) or _describe(config, binary)
      for name in (_CONFIG, _COPY):
        if not _is_config(path / name) or _read_config(path / name) != found:
          files.write_json(path / name, found)
      _set_aside_damage(path / _STAGES)
      run = cls(path, lock)
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
    files.write_json(self.path / _STAGES, stages)

  def info(self, stage: str) -> dict[str, Any]:
    """Returns what a finished stage left; `ValueError` for any other."""
    stages = self._stages()
    if stage not in stages:
      raise ValueError(
        f'stage must be one of {sorted(stages)} (finished), got {stage!r}'
      )
    return stages[stage]

  def _stages(self):
    return read_stages(self.path)


def check(config: config_flags.Common, binary: str, name: str) -> None:
  """Refuses a folder as `RunFolder.open` does, and opens nothing.

  Arguments and errors are those of `open`. A folder may be refused later all
  the same, as other processes may write it meanwhile.
  """
  path = _find(config, binary, name)
  _check_place(path)
  _check(path, config, binary)
  if (path / _LOCK).exists():
    _acquire(path).close()


def _find(config, binary, name):
  name = re.sub(r'[^\w.+-]+', '-', name)  # A game's name may have a colon.
  folder = config.run_dir or pathlib.Path('runs', binary, name)
  return faults.check_path('run_dir', folder)


def read_config(folder: str | os.PathLike) -> dict[str, Any]:
  """Returns what a run folder says of itself, `binary`, `config` and more.

  Raises:
    FileNotFoundError: The folder is none of a run.
    ValueError: Its config.json is damaged, and so is the copy.
  """
  file = pathlib.Path(folder, _CONFIG)
  try:
    return _read_config(file)
  except (FileNotFoundError, ValueError) as error:
    try:
      found = _read_config(file.with_name(_COPY))
    except (OSError, ValueError):
      raise error from None
    faults.warn(f'{error}; its copy, {_COPY}, counts')
    return found


def read_stages(folder: str | os.PathLike) -> dict[str, dict[str, Any]]:
  """Returns what the finished stages of a run folder left, by their names.

  Raises:
    ValueError: The file is damaged.
  """
  file = pathlib.Path(folder, _STAGES)
  if not file.exists():
    return {}
  stages = files.read_json(file)
  return {k: info for k, info in stages.items() if isinstance(info, dict)}


def _read_config(file):
  found = files.read_json(file)
  if not isinstance(found.get('config'), dict):
    raise ValueError(f'{file} is damaged (no configuration in it)')
  return found


def _is_config(file):
  try:
    return bool(_read_config(file))
  except (FileNotFoundError, ValueError):
    return False


def _set_aside_damage(file):
  """Renames a file that says which stages are finished, but is damaged."""
  try:
    read_stages(file.parent)
  except ValueError as error:
    damaged = file.with_name(f'{file.name}.damaged')
    os.replace(file, damaged)
    faults.warn(
      f'{error}; it is {damaged.name} now, and what is finished is found out '
      'from the other files'
    )


def _check_place(path):
  """Refuses a path where no folder can be, in words."""
  if path.is_symlink() and not path.exists():
    raise faults.UsageError(
      f'--run_dir must be a folder, got the symbolic link {path}, which leads '
      'nowhere'
    )
  for parent in (path, *path.parents):
    if parent.exists():
      if not parent.is_dir():
        raise faults.UsageError(
          f'--run_dir must be a folder, got the file {parent}'
          if parent == path
          else f'--run_dir must be below a folder, got {path}, but {parent} is '
          'a file'
        )
      return


def _check(path, config, binary):
  """Returns what the folder says of itself, and refuses another run's.

  None is returned where nothing was begun.
  """
  if not path.exists():
    return None
  if not any((path / name).exists() for name in (_CONFIG, _COPY)):
    begun = (_LOCK, f'{_CONFIG}{files.PARTIAL}')
    others = sorted(
      entry.name for entry in path.iterdir() if entry.name not in begun
    )
    if others:
      raise faults.UsageError(
        f'--run_dir must be a new folder or one of an earlier run, got {path} '
        f'with {others[0]!r} but no config.json in it'
      )
    return None
  try:
    found = read_config(path)
  except ValueError as error:
    raise faults.Fault(
      f'{error}; put it back as it was, or choose another --run_dir'
    ) from error
  lines = _compare(found, config, binary)
  if lines and _is_config(path / _COPY):  # A flipped byte may leave it JSON.
    copy = _read_config(path / _COPY)
    if not _compare(copy, config, binary):
      faults.warn(
        f'{path / _CONFIG} is damaged ({lines[0]}); its copy, {_COPY}, counts'
      )
      return copy
  if lines:
    raise faults.UsageError(
      f'{path} was made with another configuration; choose another --run_dir. '
      + '; '.join(lines)
    )
  return found


def _compare(found, config, binary):
  """What differs between a folder's configuration and that of a command.

  An option that the folder's version did not have stood at its default.
  """
  wanted = config_flags.identity(config)
  free = config_flags.as_dict(config).keys() - wanted.keys()
  defaults = {
    name: value
    for name, value in config_flags.identity(type(config)()).items()
    if value == wanted[name]
  }
  settings = {k: v for k, v in found['config'].items() if k not in free}
  return _differences(
    {'binary': found.get('binary'), **defaults, **settings},
    {'binary': binary, **wanted},
  )


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
    owner = ' '.join(lock.read(20).split()) or 'unknown'
    lock.close()
    raise faults.Fault(
      f'{path} is in use by another process (pid {owner})'
    ) from None
  except OSError as error:
    if error.errno not in _WITHOUT_LOCKS:
      lock.close()
      error.filename = error.filename or str(path / _LOCK)
      raise
    faults.warn(
      f'{path} is on a file system without locks ({error.strerror}); see to it '
      'that no second process uses it'
    )
  try:
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
  except OSError as error:
    with contextlib.suppress(OSError):  # It tries to write once more.
      lock.close()
    error.filename = error.filename or str(path / _LOCK)
    raise
  return lock


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
