"""Keeps TensorFlow's notices about itself from the screen.

While it is imported TensorFlow writes to stderr what instructions it was built
for and which GPU libraries it did not find, whatever `TF_CPP_MIN_LOG_LEVEL`
says. `silence` lets a child process, this file run as a script, read those
lines and pass on all others. It passes them on as well when TensorFlow ends
the process, as it does on a processor that it was not built for.
"""

import contextlib
import importlib.abc
import importlib.machinery
import os
import re
import sys
from typing import BinaryIO

_NOTICE = re.compile(
  r'WARNING: All log messages before absl::InitializeLog'
  r'|To enable the following instructions: '
  # Information and warnings, as absl and the older logger write them.
  r'|[IW]\d{4} |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] '
  # Two copies of a factory or a kernel, and a machine without a usable GPU.
  r'|(E\d{4} |\d{4}-\d\d-\d\d \S+ E ).*\b'
  r'(computation_placer|cuda_dnn|cuda_fft|cuda_blas|cuda_driver|cuda_platform)'
  r'\.cc:\d+\]'
)
_QUIET = '3'  # The level of the log that `nca_tf` sets.


def silence() -> None:
  """Leaves out TensorFlow's notices when something imports it later.

  Does nothing where it is imported already, or where the user has asked for
  its log with TF_CPP_MIN_LOG_LEVEL.
  """
  asked = os.environ.get('TF_CPP_MIN_LOG_LEVEL', _QUIET) != _QUIET
  if not asked and 'tensorflow' not in sys.modules:
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
  """Finds TensorFlow once, and filters stderr while it is executed."""

  def find_spec(self, name, path, target=None):
    """Returns TensorFlow's spec, with another loader; None of any other."""
    if name != 'tensorflow':
      return None
    spec = importlib.machinery.PathFinder.find_spec(name, path, target)
    if spec is not None and spec.loader is not None:
      execute = spec.loader.exec_module

      def execute_quietly(module):
        sys.meta_path.remove(self)
        with _filtered():
          execute(module)

      spec.loader.exec_module = execute_quietly
    return spec


@contextlib.contextmanager
def _filtered():
  """Sends what this process writes to stderr through a filter."""
  import subprocess  # Most commands end before they need it.

  command = [sys.executable, '-ISE', __file__]
  try:
    kept = os.dup(2)
    # Ctrl-C is for this process, which then closes the pipe.
    child = subprocess.Popen(
      command, stdin=subprocess.PIPE, start_new_session=True
    )
  except OSError:  # No stderr, or no more processes: the notices are shown.
    yield
    return
  os.dup2(child.stdin.fileno(), 2)
  child.stdin.close()
  try:
    yield
  finally:
    os.dup2(kept, 2)
    os.close(kept)
    child.wait()


def main(source: BinaryIO, target: BinaryIO) -> None:
  """Copies the lines that are no notices, bytes, as soon as they are there."""
  for line in source:
    if not _NOTICE.match(line.decode(errors='replace')):
      target.write(line)
      target.flush()


if __name__ == '__main__':
  with contextlib.suppress(BrokenPipeError):
    main(sys.stdin.buffer, sys.stderr.buffer)
