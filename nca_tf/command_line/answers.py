"""What a command shows: a text, or what went wrong in one line.

Nothing of Python's own stands beside it, also where the reader of a pipe has
gone, a stream is closed, or the terminal lacks a letter.
"""

import contextlib
import errno
import os
import pathlib
import re
import sys
from collections.abc import Iterator

from nca_tf.command_line import faults


@contextlib.contextmanager
def answering(program: str) -> Iterator[None]:
  """Ends the process as `config_flags.main` says for what is raised."""
  if hasattr(sys.stdout, 'reconfigure'):  # Letters that the terminal lacks.
    sys.stdout.reconfigure(errors='backslashreplace')
  try:
    yield
    if sys.stdout is not None:  # None with >&-.
      sys.stdout.flush()
  except KeyboardInterrupt:
    _leave(program, 'interrupted; the same command resumes', 130)
  except faults.UsageError as error:
    _leave(program, error, 2)
  except (faults.Fault, OSError) as error:
    _leave(program, error, 1)
  except Exception as error:
    if not _is_storage_fault(error):
      raise
    _leave(program, error, 1)


def show(text: str) -> None:
  """Prints a text, also into a pipe whose reader has seen enough."""
  try:
    print(text, flush=True)
  except BrokenPipeError:
    _drop_output()


def _drop_output():
  """Lets Python not complain once more when it flushes at the end."""
  try:
    sys.stdout.flush()
  except OSError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_storage_fault(error):
  """Tells a failed read or write of TensorFlow from a bug."""
  tf = sys.modules.get('tensorflow')
  if tf is None or not isinstance(error, tf.errors.OpError):
    return False
  bugs = (
    tf.errors.InternalError,
    tf.errors.InvalidArgumentError,
    tf.errors.OutOfRangeError,
    tf.errors.UnimplementedError,
  )
  return os.strerror(errno.EFBIG) in str(error) or not isinstance(error, bugs)


def _leave(program, message, status):
  if isinstance(message, OSError) and message.strerror:
    where = f': {message.filename}' if message.filename else ''
    message = f'{message.strerror}{where}'
  message = re.sub(r'{{.*?}}|\[Op:.*', '', str(message))  # TensorFlow's nodes.
  if sys.stdout is not None:
    _drop_output()
  if sys.stderr is not None:  # None with 2>&-.
    name = pathlib.Path(program).name
    print(f'{name}: {one_line(message)}', file=sys.stderr)
  sys.exit(status)


def one_line(text) -> str:
  """Returns a text with single spaces for all white space."""
  return ' '.join(str(text).split())
