"""Plays many episodes in parallel processes, the same ones whatever happens.

Each episode is determined by its seed, so a worker or an engine that dies is
replaced and its episode played again: the results do not depend on the number
of processes, nor on what died. Workers use one thread and end when the process
that started them does, however that happens. They import TensorFlow only where
an agent plays.

Example:
  >>> for result in workers.play('vizdoom', 'random', [1, 2, 3], processes=2):
  ...   print(result.seed, result.score, result.terminated)
"""

import collections
import contextlib
import multiprocessing.connection
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nca_tf import environments
from nca_tf.environments import episode
from nca_tf.environments import player
from nca_tf.environments import policies
from nca_tf.environments import saved_agent

_ROOT = str(pathlib.Path(__file__).absolute().parents[2])
_COMMAND = (
  'import sys; sys.path[0] = sys.argv[1]; '
  'from nca_tf.environments import player; player.serve(int(sys.argv[2]))'
)
_ONE_THREAD = (
  'OMP_NUM_THREADS',
  'OPENBLAS_NUM_THREADS',
  'MKL_NUM_THREADS',
  'TF_NUM_INTEROP_THREADS',
  'TF_NUM_INTRAOP_THREADS',
)
_AHEAD = 4  # Episodes per worker that may be finished before their turn.


class _Worker:
  """A worker process and the tasks it has not answered yet."""

  def __init__(self, job: player.Job, folder: str):
    ours, theirs = socket.socketpair()
    with theirs:
      path = [_ROOT, *filter(None, [os.environ.get('PYTHONPATH')])]
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
          'PYTHONPATH': os.pathsep.join(path),
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
    """Returns the next result, or what became of the worker.

    Returns:
      None when it is dead; GameCrashed when it gave up and ended.
    """
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

  def close(self, grace: float = player.GRACE):
    """Ends the process: politely first, then with a signal."""
    self.dismiss()
    try:
      self.process.wait(grace)
    except subprocess.TimeoutExpired:
      self.process.kill()
      self.process.wait()


class _Pool:
  """Workers, the tasks that wait, and the results that wait for their turn."""

  def __init__(self, job: player.Job, tasks, count: int, keep_going: bool):
    self._job = job
    self._waiting = collections.deque(tasks)
    self._attempts = collections.Counter()
    self._folder = tempfile.TemporaryDirectory(
      prefix='nca_tf_', ignore_cleanup_errors=True
    )
    self._workers = []
    self._count = count
    self._keep_going = keep_going
    self.results = {}

  def work(self, turn: int):
    """Hands out tasks and takes in results until `turn` may have changed."""
    while len(self._workers) < self._count:
      self._workers.append(_Worker(self._job, self._folder.name))
    self._assign(turn)
    by_connection = {worker.connection: worker for worker in self._workers}
    for connection in multiprocessing.connection.wait(by_connection):
      worker = by_connection[connection]
      result = worker.receive()
      if isinstance(result, episode.Result):
        self.results[result.index] = result
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
    """Drops a worker and puts its tasks back in front.

    Args:
      worker: Dead, or about to end.
      error: Why it gave its first task up, None when it died.
    """
    self._workers.remove(worker)
    tasks = list(worker.tasks)
    worker.close(grace=0 if error is None else player.GRACE)
    if not tasks:
      tasks = [self._waiting.popleft()] if self._waiting else []
    if tasks and self._is_given_up(*tasks[0][:2], error):
      index, seed, _ = tasks.pop(0)
      self.results[index] = episode.Result(index, seed, None, 0, False)
    self._waiting = collections.deque(
      sorted([*tasks, *self._waiting], key=lambda task: task[0])
    )

  def _is_given_up(self, index: int, seed: int, error: Exception | None):
    """Counts a failure of an episode; raises where none may fail."""
    self._attempts[index] += 1
    if error is None and self._attempts[index] < player.ATTEMPTS:
      return False
    if not self._keep_going:
      raise error or RuntimeError(
        f'{player.ATTEMPTS} workers died while playing the episode with '
        f'seed {seed}'
      )
    return True

  def close(self):
    for worker in self._workers:
      worker.dismiss()  # All of them begin to end at the same time.
    for worker in self._workers:
      worker.close()
    self._folder.cleanup()


def play(
  name: str,
  policy: str | os.PathLike,
  seeds: Sequence[int],
  *,
  parameters: Sequence[np.ndarray | None] | None = None,
  processes: int = 0,
  record: bool = False,
  options: Mapping[str, Any] | None = None,
  patience: float = 60.0,
  keep_going: bool = False,
) -> Iterator[episode.Result]:
  """Plays one episode per seed and yields the results in the order of seeds.

  Workers run ahead of the consumer by a few episodes, not more. Closing the
  iterator, or an exception in its consumer's `with contextlib.closing(...)`,
  ends all workers and engines.

  Args:
    name: A game of `environments.names()`.
    policy: A scripted policy of that game, or the folder of an agent.
    seeds: One non-negative integer per episode.
    parameters: For an agent, the controller's [P] in each episode; None, also
      in the place of one, is the agent's own.
    processes: Worker processes; 0 is one per processor core.
    record: Whether results hold the actions, rewards and frames.
    options: Options of `environments.make`.
    patience: Seconds for the engine's start or a hundred steps, after which
      it is taken to hang and its worker is replaced.
    keep_going: Whether an episode that failed time after time is yielded
      without a score. Otherwise it ends everything.

  Raises:
    GameCrashed: Engine after engine died in an episode.
    ImportError: The game's engine is not installed.
    RuntimeError: An episode killed worker after worker.
    ValueError: There is no such game or policy, an option is wrong, or an agent
      was made for another game.
  """
  policy = os.fspath(policy)
  options = dict(options or {})
  seeds = [int(seed) for seed in seeds]
  if processes < 0:
    raise ValueError(f'processes must be at least 0, got {processes}')
  if any(seed < 0 for seed in seeds):
    raise ValueError(f'seeds must be non-negative, got {min(seeds)}')
  if _is_blind(name, policy, options) and not record:
    options.setdefault('frames', False)
  vectors = _check_parameters(policy, parameters, len(seeds))
  environments.make(name, **options).close()  # Wrong options are told here.
  count = min(processes or _cores(), max(1, len(seeds)))
  job = player.Job(name, policy, record, options, patience)
  tasks = list(zip(range(len(seeds)), seeds, vectors, strict=True))
  return _play(job, tasks, count, keep_going)


def _is_blind(name: str, policy: str, options) -> bool:
  """Tells a scripted policy from an agent that may play this game."""
  spec = environments.get_spec(name, **options)
  if policy in spec.policies or saved_agent.find(policy) is None:
    return policies.make(policy, spec).blind
  saved_agent.check(
    policy,
    {
      'env': name,
      'action_kind': spec.action_kind,
      'frame_skip': spec.frame_skip,
    },
  )
  return saved_agent.SavedAgent.blind


def _check_parameters(policy: str, parameters, count: int):
  """Returns one float32 vector, or None, per episode."""
  if parameters is None:
    return [None] * count
  if len(parameters) != count:
    raise ValueError(
      f'parameters must be {count}, one per seed, got {len(parameters)}'
    )
  if saved_agent.find(policy) is None:
    raise ValueError(f'policy must be an agent to take parameters: {policy!r}')
  size = saved_agent.read_info(policy)['parameters']
  vectors = [
    None if each is None else np.asarray(each, np.float32)
    for each in parameters
  ]
  for each in vectors:
    if each is not None and each.shape != (size,):
      raise ValueError(
        f'parameters must be of shape [{size}], got {list(each.shape)}'
      )
  return vectors


def _play(
  job: player.Job, tasks, count: int, keep_going: bool
) -> Iterator[episode.Result]:
  if not tasks:
    return
  pool = _Pool(job, tasks, count, keep_going)
  try:
    for turn in range(len(tasks)):
      while turn not in pool.results:
        pool.work(turn)
      yield pool.results.pop(turn)
  finally:
    pool.close()


def _cores() -> int:
  return (
    len(os.sched_getaffinity(0))
    if hasattr(os, 'sched_getaffinity')
    else (os.cpu_count() or 1)
  )
