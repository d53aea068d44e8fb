"""Runs a game engine so that it never outlives the process that plays it.

Started in the engine's place, with the bare standard library:

    python -I -S engine_guard.py OWNER FOLDER ENGINE [ENGINE ARGUMENTS]

The guard moves to its own session, works in FOLDER (so that the engine's
files land there) and starts ENGINE as its child. The kernel tells the guard
when the owner is gone, also by `kill -9` of its whole process group; the
guard then kills the engine. However the engine ended, the guard removes FOLDER
and the engine's shared memory, which a killed one does not remove.
If the guard itself is killed, the kernel kills the engine. No process id is
looked up, so none can be mistaken. Linux only (prctl).
"""

import ctypes
import os
import pathlib
import shutil
import signal
import sys

_PR_SET_PDEATHSIG = 1
_INSTANCE_FLAG = '+viz_instance_id'
_SHARED_MEMORY = pathlib.Path('/dev/shm')


class _OwnerGone(Exception):
  """Raised by the signal that the kernel sends when the owner ends."""


def _on_signal(number, frame):
  del number, frame
  raise _OwnerGone


def _signal_when_parent_ends(number: int):
  ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def _start(engine: str, arguments: list[str]) -> int:
  """Starts the engine as a child that dies with this process."""
  guard = os.getpid()
  child = os.fork()
  if child:
    return child
  try:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _signal_when_parent_ends(signal.SIGKILL)
    if os.getppid() == guard:
      # What an engine has to say reaches its owner in other ways.
      silence = os.open(os.devnull, os.O_RDWR)
      for stream in range(3):
        os.dup2(silence, stream)
      os.execv(engine, [engine, *arguments])
  finally:
    os._exit(127)


def _remove_shared_memory(arguments: list[str]):
  """Removes what the library leaves of an engine that did not end in order.

  Whoever still uses it keeps it: only the names go.
  """
  if _INSTANCE_FLAG not in arguments[:-1]:
    return
  instance = arguments[arguments.index(_INSTANCE_FLAG) + 1]
  for kind in ('MQCtr', 'MQDoom', 'SM'):
    (_SHARED_MEMORY / f'ViZDoom{kind}{instance}').unlink(missing_ok=True)


def main(owner: int, folder: str, engine: str, *arguments: str) -> int:
  """Runs the engine to its end and returns its exit status."""
  os.setsid()
  signal.signal(signal.SIGTERM, _on_signal)
  child = 0
  try:
    os.chdir(folder)
    _signal_when_parent_ends(signal.SIGTERM)
    if os.getppid() != owner:
      raise _OwnerGone
    child = _start(engine, list(arguments))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) & 0xFF
  except (_OwnerGone, FileNotFoundError):  # No folder: no owner either.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if child:
      os.kill(child, signal.SIGKILL)
      os.waitpid(child, 0)
    return 1
  finally:
    shutil.rmtree(folder, ignore_errors=True)
    _remove_shared_memory(list(arguments))


if __name__ == '__main__':
  os._exit(main(int(sys.argv[1]), *sys.argv[2:]))
