"""What a command shows: a text, or what went wrong in one line.

Nothing of Python's own stands beside it, also where the reader of a pipe has
gone, a stream is closed, or the terminal lacks a letter.
"""

import contextlib
import pathlib
import signal
import sys
from collections.abc import Iterator

from nca_tf.command_line import faults


@contextlib.contextmanager
def answering(program: str) -> Iterator[None]:
  """Ends the process as `config_flags.main` says for what is raised."""
  faults.open_standard_streams()
  if hasattr(sys.stdout, 'reconfigure'):  # Letters that the terminal lacks.
    sys.stdout.reconfigure(errors='backslashreplace')
  try:
    with faults.stop_on_signals():
      yield
      sys.stdout.flush()
  except KeyboardInterrupt:
    _leave(program, 'interrupted; the same command resumes', 130)
  except faults.Stopped as error:
    name = signal.Signals(error.args[0]).name
    _leave(program, f'{name}; the same command resumes', 128 + error.args[0])
  except faults.UsageError as error:
    _leave(program, error, 2)
  except faults.Fault as error:
    _leave(program, error, 1)
  except BrokenPipeError:
    line = 'nobody reads the output any more; the same command resumes'
    _leave(program, line, 1)
  except Exception as error:
    line = faults.explain(error)
    if line is None:
      raise
    _leave(program, line, 1)


def show(text: str) -> None:
  """Prints a text, also into a pipe whose reader has seen enough."""
  try:
    print(text, flush=True)
  except BrokenPipeError:
    faults.drop_output()


def _leave(program, message, status):
  program = pathlib.Path(program).name
  with contextlib.suppress(OSError):
    print(f'{program}: {one_line(message)}', file=sys.stderr, flush=True)
  faults.drop_output()
  sys.exit(status)


def one_line(text) -> str:
  """Returns a text with single spaces for all white space."""
  return ' '.join(str(text).split())
