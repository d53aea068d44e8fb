"""The process that plays episodes for `workers.play`: one game, one thread."""

import contextlib
import faulthandler
import multiprocessing.connection
import os
import pickle
import select
import shutil
import threading
import time
from typing import Any, NamedTuple

from nca_tf import environments
from nca_tf.command_line import faults
from nca_tf.environments.workers import episode
from nca_tf.environments.workers import player as player_lib

ATTEMPTS = 5  # Per episode, before its failure is taken to be no accident.
SILENT = 1  # Exit status of a worker whose engine did not answer in time.
GRACE = 3.0  # Seconds to close the engine and end.
_STEPS_PER_REARM = 100


class Job(NamedTuple):
  """What a worker gets once: see `workers.play`."""

  name: str  # Of the game
  # Its line in `environments.GAMES`, to which the owner may have added
  entry: tuple[str, str, str]
  player: player_lib.Player  # Who plays
  record: bool  # Whether results hold actions, rewards and frames
  options: dict[str, Any]  # Of `environments.make`
  patience: float  # Seconds that the engine may take to answer


class _Stopped(Exception):
  """The process that owns this worker is gone."""


class _Watch:
  """Ends a worker whose owner is gone, or whose engine does not answer."""

  def __init__(self, handle: int, patience: float):
    self._handle = handle
    self._patience = patience
    self._stop = threading.Event()
    self._steps = 0
    self._nowhere = open(os.devnull, 'w')
    threading.Thread(target=self._wait_for_end, daemon=True).start()

  def _wait_for_end(self):
    poll = select.poll()
    poll.register(self._handle, 0)  # Hang-ups are always reported.
    poll.poll()
    self._stop.set()
    time.sleep(GRACE)
    os._exit(1)

  def __enter__(self):
    self._steps = 0
    self._rearm()

  def __exit__(self, *unused):
    faulthandler.cancel_dump_traceback_later()

  def on_step(self):
    """Says that the engine answered; raises `_Stopped` at the end."""
    if self._stop.is_set():
      raise _Stopped
    self._steps += 1
    if self._steps % _STEPS_PER_REARM == 0:
      self._rearm()

  def _rearm(self):
    # A thread of Python's could not end a process whose engine hangs in C.
    faulthandler.dump_traceback_later(
      self._patience, exit=True, file=self._nowhere
    )


def _replay(env, policy, task, record: bool, watch: _Watch) -> episode.Result:
  """Plays an episode, again when its engine dies."""
  index, seed, parameters = task
  for attempt in range(1, ATTEMPTS + 1):
    try:
      with watch:
        return episode.play(
          env,
          policy,
          index,
          seed,
          parameters=parameters,
          record=record,
          on_step=watch.on_step,
        )
    except environments.GameCrashed:
      if attempt == ATTEMPTS:
        raise


@contextlib.contextmanager
def _silence():
  """Hides TensorFlow's greeting, which no setting of it does."""
  kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, 2)
  try:
    yield
  finally:
    os.dup2(kept, 2)
    os.close(kept)
    os.close(nowhere)


def _make_policy(job: Job):
  """Returns who plays; Fault where its files have been damaged meanwhile."""
  spec = environments.get_spec(job.name, **job.options)
  try:
    with _silence():
      return job.player.make(spec)
  except ValueError as error:
    raise faults.Fault(str(error)) from error


def _make_portable(error: Exception) -> Exception:
  """Returns an exception that reaches the owner: its text, if not itself."""
  try:
    pickle.loads(pickle.dumps(error))
    return error
  except Exception:
    return RuntimeError(f'{type(error).__name__}: {error}')


def _is_killed(connection, owner: int) -> bool:
  """Tells an owner that was killed from one that dismissed this worker."""
  with contextlib.suppress(EOFError, OSError):
    while (message := connection.recv()) is not None:
      del message  # Tasks that were sent before.
    return False
  # The connection goes first, the process a moment later.
  end = time.monotonic() + GRACE / 2
  while os.getppid() == owner and time.monotonic() < end:
    time.sleep(0.02)
  return os.getppid() != owner


def serve(handle: int):
  """Plays the episodes that it receives: the process's main function.

  Receives `(Job, folder)`, then tasks `(index, seed, parameters)`, each
  answered by a `Result`, and None at the end, by the file descriptor of a
  socket to the owner. An exception is sent as the last answer. What an owner
  that was killed left in `folder` is removed.
  """
  connection = multiprocessing.connection.Connection(handle)
  owner = os.getppid()
  env = folder = None
  try:
    job, folder = connection.recv()
    watch = _Watch(handle, job.patience)
    environments.GAMES[job.name] = job.entry
    env = environments.make(job.name, **job.options)
    policy = _make_policy(job)
    while (task := connection.recv()) is not None:
      connection.send(_replay(env, policy, task, job.record, watch))
    folder = None  # Dismissed: the owner cleans up.
  except (EOFError, ConnectionError, _Stopped):
    pass
  except Exception as error:
    with contextlib.suppress(OSError):
      connection.send(_make_portable(error))
  finally:
    if env is not None:
      env.close()
    if folder is not None and _is_killed(connection, owner):
      shutil.rmtree(folder, ignore_errors=True)
    connection.close()
