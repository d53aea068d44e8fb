"""The two kinds of error that a binary answers in one line.

Library code raises `ValueError` and `RuntimeError` as any Python library does.
Experiments raise `UsageError` for what the user caused and `Fault` for what the
machine caused; `config_flags.main` prints both in one line, and what `explain`
knows. Any other exception is a bug and keeps its traceback.
"""

import contextlib
import errno
import os
import pathlib
import re
import signal
import sys
import threading
from collections.abc import Iterator

_NO_SPACE = 'free some space; the same command resumes'
_CURES = {
  errno.ENOSPC: _NO_SPACE,
  errno.EDQUOT: _NO_SPACE,
  errno.EROFS: 'choose a folder that can be written, such as another --run_dir',
  errno.EACCES: 'choose a folder that you may use, such as another --run_dir',
  errno.EPERM: 'choose a folder that you may use, such as another --run_dir',
  errno.ENAMETOOLONG: 'choose a shorter name',
  errno.ELOOP: 'its symbolic links lead in a circle',
  errno.EFBIG: 'allow larger files (ulimit -f); the same command resumes',
  errno.EMFILE: 'allow more open files (ulimit -n); the same command resumes',
  errno.ENFILE: 'the machine has too many files open; the same command resumes',
  errno.EIO: 'the disk fails; the same command resumes when it is mended',
  errno.EEXIST: 'a folder belongs there; move the file away',
  errno.ENOTDIR: 'a folder belongs there; move the file away',
  errno.ENOMEM: 'free some memory; the same command resumes',
}


class UsageError(ValueError):
  """Wrong input by the user: one line on stderr, exit status 2.

  Raise it before anything is written, and name the flag, what is allowed and
  what was given: `--episodes must be at least 1, got 0`.
  """


class Fault(RuntimeError):
  """A fault at run time, such as a damaged file: one line, exit status 1."""


class Stopped(BaseException):
  """A signal asked the process to end; `args[0]` is its number."""


def warn(line: str) -> None:
  """Says on stderr, in one line, what was mended or is left out."""
  try:
    print(f'warning: {" ".join(line.split())}', file=sys.stderr, flush=True)
  except (OSError, ValueError):  # Nobody reads it.
    pass


def check_text(name: str, text: str) -> None:
  """Raises `UsageError` unless a flag's text can be written to a file.

  TensorFlow and JSON know names in UTF-8 alone, and no file has a zero byte in
  its name.
  """
  try:
    text.encode()
  except UnicodeEncodeError:
    raise UsageError(f'--{name} must be in UTF-8, got {text!r}') from None
  if '\0' in text:
    raise UsageError(f'--{name} must have no zero byte, got {text!r}')


def check_path(name: str, path: str | os.PathLike) -> pathlib.Path:
  """Returns a flag's path with `~` resolved.

  Raises:
    UsageError: No file can have this name, or `~` is nobody's.
  """
  check_text(name, os.fspath(path))
  try:
    return pathlib.Path(path).expanduser()
  except RuntimeError:
    raise UsageError(
      f'--{name} must begin with the home of a user of this machine, or '
      f'without ~, got {os.fspath(path)!r}'
    ) from None


def explain(error: BaseException) -> str | None:
  """Returns one line on a fault of the machine, with its cure; None for a bug.

  Args:
    error: `OSError` and what Python and TensorFlow raise in place of it.
  """
  tf = sys.modules.get('tensorflow')
  if isinstance(error, MemoryError):
    return f'the memory is full; {_CURES[errno.ENOMEM]}'
  if isinstance(error, OSError):
    where = f': {error.filename}' if error.filename else ''
    reason, number = error.strerror or str(error), error.errno
    text = f'{reason}{where}'
  elif tf is not None and isinstance(error, tf.errors.OpError):
    text = re.sub(r'{{.*?}}|\[Op:.*', '', str(error))  # TensorFlow's nodes.
    texts = {os.strerror(each): each for each in _CURES}
    number = next((n for text_, n in texts.items() if text_ in text), None)
    bugs = (
      tf.errors.InternalError,
      tf.errors.InvalidArgumentError,
      tf.errors.OutOfRangeError,
      tf.errors.UnimplementedError,
    )
    if number is None and isinstance(error, bugs):
      return None
  else:
    return None
  cure = _CURES.get(number)
  return f'{text}; {cure}' if cure else text


def open_standard_streams() -> None:
  """Opens the streams that the caller has closed, on nothing.

  The next file that is opened would get the number of a closed one, and with
  it whatever C++ prints.
  """
  for number, name in enumerate(('stdin', 'stdout', 'stderr')):
    try:
      os.fstat(number)
    except OSError:
      os.open(os.devnull, os.O_RDWR)  # Gets the lowest number that is free.
    if getattr(sys, name) is None:
      mode = 'w' if number else 'r'
      setattr(sys, name, open(os.devnull, mode, encoding='utf-8'))


def drop_output() -> None:
  """Sends what is still to be printed nowhere: its reader is gone."""
  for stream in (sys.stdout, sys.stderr):
    try:
      stream.flush()
    except (OSError, ValueError):
      # Python would complain once more when it flushes at the end.
      nothing = os.open(os.devnull, os.O_WRONLY)
      os.dup2(nothing, stream.fileno())
      os.close(nothing)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
  """Makes SIGTERM and SIGHUP raise `Stopped`, so that all is cleaned up.

  One that the caller ignores, as nohup does, stays ignored.
  """

  def stop(number, frame):
    del frame
    signal.signal(number, signal.SIG_IGN)  # Once is enough.
    raise Stopped(number)

  numbers = [
    number
    for number in (signal.SIGTERM, signal.SIGHUP)
    if signal.getsignal(number) is signal.SIG_DFL
    and threading.current_thread() is threading.main_thread()
  ]
  for number in numbers:
    signal.signal(number, stop)
  try:
    yield
  finally:
    for number in numbers:
      signal.signal(number, signal.SIG_DFL)
