"""Worker processes, their tasks, and the replacement of those that die."""

import collections
import contextlib
import multiprocessing.connection
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile

import numpy as np

from nca_tf import environments
from nca_tf.command_line import faults
from nca_tf.environments.workers import episode
from nca_tf.environments.workers import worker as worker_lib

_ROOT = str(pathlib.Path(__file__).absolute().parents[3])
_COMMAND = (
  'import sys; sys.path[0] = sys.argv[1]; '
  'from nca_tf.environments.workers import worker; '
  'worker.serve(int(sys.argv[2]))'
)
_ONE_THREAD = (
  'OMP_NUM_THREADS',
  'OPENBLAS_NUM_THREADS',
  'MKL_NUM_THREADS',
  'TF_NUM_INTEROP_THREADS',
  'TF_NUM_INTRAOP_THREADS',
)
# What ends a worker from outside, where no word of it reaches us.
_SUSPICIONS = {
  signal.SIGBUS: ': is /dev/shm full?',
  signal.SIGKILL: ': is memory short?',
  signal.SIGSEGV: ': does the engine start at all?',
}
_REAP = 0.5  # Seconds until a process that hung up has ended.
_AHEAD = 4  # Episodes per worker that may be finished before their turn.


class _Worker:
  """A worker process and the tasks it has not answered yet."""

  def __init__(self, job: worker_lib.Job, folder: str):
    ours, theirs = socket.socketpair()
    with theirs:
      # Games that the owner has added may lie wherever it imports from.
      path = [_ROOT, os.environ.get('PYTHONPATH'), *sys.path]
      self.process = subprocess.Popen(
        [sys.executable, '-c', _COMMAND, _ROOT, str(theirs.fileno())],
        stdin=subprocess.DEVNULL,
        pass_fds=(theirs.fileno(),),
        env={
          **os.environ,
          **dict.fromkeys(_ONE_THREAD, '1'),
          # One frame at a time is no work for a GPU, which others need.
          'CUDA_VISIBLE_DEVICES': '-1',
          'TF_CPP_MIN_LOG_LEVEL': os.environ.get('TF_CPP_MIN_LOG_LEVEL', '3'),
          'PYTHONPATH': os.pathsep.join(dict.fromkeys(filter(None, path))),
          'TMPDIR': folder,
        },
        # Ctrl-C is for the caller, which then ends its workers in order.
        start_new_session=True,
      )
    self.connection = multiprocessing.connection.Connection(ours.detach())
    self.tasks = collections.deque()
    with contextlib.suppress(OSError):  # Then `receive` reports it.
      self.connection.send((job, folder))

  def send(self, task: tuple[int, int, np.ndarray | None]):
    self.tasks.append(task)
    with contextlib.suppress(OSError):
      self.connection.send(task)

  def receive(self) -> episode.Result | environments.GameCrashed | None:
    """Returns the next result; GameCrashed if it gave up, None if it died."""
    try:
      answer = self.connection.recv()
    except (EOFError, OSError):
      return None
    if isinstance(answer, environments.GameCrashed):
      return answer
    if isinstance(answer, Exception):
      raise answer
    self.tasks.popleft()
    return answer

  def dismiss(self):
    """Asks the process to end, whatever it is doing."""
    with contextlib.suppress(OSError):  # Dead, or dismissed before.
      self.connection.send(None)
    self.connection.close()

  def close(self, grace: float = worker_lib.GRACE):
    """Ends the process: politely first, then with a signal."""
    self.dismiss()
    try:
      self.process.wait(grace)
    except subprocess.TimeoutExpired:
      self.process.kill()
      self.process.wait()


def _describe_end(status: int, patience: float) -> str:
  """Says how a process ended, by its return code."""
  if status == worker_lib.SILENT:
    return f'exit status {status}: are {patience:g} s of patience too few?'
  if status >= 0:
    return f'exit status {status}'
  number = signal.Signals(-status)
  return f'{number.name}{_SUSPICIONS.get(number, "")}'


class Pool:
  """Workers, the tasks that wait, and the results that wait for their turn."""

  def __init__(self, job: worker_lib.Job, count: int, keep_going: bool):
    """Starts nothing yet; `keep_going` as in `players.Players`."""
    self._job = job
    self._waiting = collections.deque()
    self._attempts = collections.Counter()
    self._folder = None
    self._workers = []
    self._count = count
    self._keep_going = keep_going
    self._results = {}  # By index, until it is their turn.
    self._call = None  # Whose turn it is: another for each `play`.

  def __getstate__(self):
    """Returns what another process or a copy needs before the start."""
    if self._workers:
      raise TypeError(
        'workers cannot be pickled or copied while they run: make others with '
        'the same arguments, or call close() first'
      )
    return {**self.__dict__, '_call': None}

  def play(self, tasks):
    """Yields the results of tasks `(index, seed, parameters)` in their order.

    What was left of earlier tasks is dropped.

    Raises:
      RuntimeError: Another call, or `close`, has dropped the tasks.
    """
    call = self._call = object()
    for worker in [worker for worker in self._workers if worker.tasks]:
      self._workers.remove(worker)
      worker.close(grace=0)
    self._waiting = collections.deque(tasks)
    self._attempts.clear()
    self._results = {}
    for turn in range(len(tasks)):
      while self._call is call and turn not in self._results:
        self._work(turn)
      if self._call is not call:
        raise RuntimeError(
          'these episodes were dropped by another play() or by close(): call '
          'play() again'
        )
      yield self._results.pop(turn)

  def _work(self, turn: int):
    """Hands out tasks and takes in results until `turn` may have changed."""
    if self._folder is None:
      self._folder = tempfile.TemporaryDirectory(
        prefix='nca_tf_', ignore_cleanup_errors=True
      )
    while len(self._workers) < self._count:
      self._workers.append(_Worker(self._job, self._folder.name))
    self._assign(turn)
    by_connection = {worker.connection: worker for worker in self._workers}
    for connection in multiprocessing.connection.wait(by_connection):
      worker = by_connection[connection]
      result = worker.receive()
      if isinstance(result, episode.Result):
        self._results[result.index] = result
      else:
        self._replace(worker, result)
    self._assign(turn)

  def _assign(self, turn: int):
    """Gives each worker one task to play and one to go on with at once."""
    limit = turn + _AHEAD * self._count
    for depth in (1, 2):
      for worker in self._workers:
        if not self._waiting or self._waiting[0][0] >= limit:
          return
        if len(worker.tasks) < depth:
          worker.send(self._waiting.popleft())

  def _replace(self, worker: _Worker, error: Exception | None):
    """Drops a worker that gave its first task up for an error, or that died.

    Its tasks go back in front.
    """
    self._workers.remove(worker)
    tasks = list(worker.tasks)
    worker.close(_REAP if error is None else worker_lib.GRACE)
    if not tasks:
      tasks = [self._waiting.popleft()] if self._waiting else []
    status = worker.process.returncode
    cause = error or _describe_end(status, self._job.patience)
    if tasks and self._is_given_up(*tasks[0][:2], cause):
      index, seed, _ = tasks.pop(0)
      self._results[index] = episode.Result(index, seed, None, 0, False)
    self._waiting = collections.deque(
      sorted([*tasks, *self._waiting], key=lambda task: task[0])
    )

  def _is_given_up(self, index: int, seed: int, cause: Exception | str):
    """Counts a failure of an episode; raises where none may fail."""
    self._attempts[index] += 1
    died = isinstance(cause, str)
    if died and self._attempts[index] < worker_lib.ATTEMPTS:
      return False
    if self._keep_going:
      return True
    if not died:
      raise cause
    raise faults.Fault(
      f'{worker_lib.ATTEMPTS} workers died while playing the episode with '
      f'seed {seed} ({cause})'
    )

  def close(self):
    """Ends all workers; `play` may start others."""
    self._call = None
    for worker in self._workers:
      worker.dismiss()  # All of them begin to end at the same time.
    for worker in self._workers:
      worker.close()
    self._workers = []
    if self._folder is not None:
      self._folder.cleanup()
      self._folder = None
