"""Plays many episodes in parallel processes, with reproducible results.

Each episode is determined by its seed, so a worker or an engine that dies is
replaced and its episode played again: the results do not depend on the number
of processes or on what died. Workers use one thread and end when the process
that started them does, however that happens. They import TensorFlow only where
an agent plays.

Example:
  >>> for result in workers.play('vizdoom', 'random', [1, 2, 3], processes=2):
  ...   print(result.seed, result.score, result.terminated)
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nca_tf import checks
from nca_tf import environments
from nca_tf.environments.workers import episode
from nca_tf.environments.workers import player as player_lib
from nca_tf.environments.workers import pool
from nca_tf.environments.workers import worker


class Players:
  """Workers that stay: an agent is loaded once, however often it plays.

    with Players('vizdoom', agent, processes=2) as players:
      for generation in range(10):
        results = list(players.play(seeds, parameters))

  An agent that changes on disk meanwhile stays the old one.
  """

  def __init__(
    self,
    name: str,
    policy: str | os.PathLike | player_lib.Player,
    *,
    processes: int = 0,
    record: bool = False,
    options: Mapping[str, Any] | None = None,
    patience: float = 60.0,
    keep_going: bool = False,
  ):
    """Checks the arguments; the first `play` starts the workers.

    Args:
      name: A game of `environments.names()`.
      policy: A scripted policy of that game, the folder of an agent, or a
        player.
      processes: Worker processes; 0 is one per processor core.
      record: Whether results hold the actions, rewards and frames.
      options: Options of `environments.make`.
      patience: Seconds for the engine's start or a hundred steps, after which
        it is taken to hang and its worker is replaced.
      keep_going: Whether an episode that failed time after time is yielded
        without a score. Otherwise it ends everything.

    Raises:
      ImportError: The game's engine is not installed.
      ValueError: There is no such game or policy, an option is wrong, or an
        agent was made for another game.
    """
    options = dict(options or {})
    processes = checks.integer('processes', processes, 0)
    patience = checks.real('patience', patience, above=0, most=10**9)
    record = checks.boolean('record', record)
    keep_going = checks.boolean('keep_going', keep_going)
    spec = environments.get_spec(name, **options)
    self._player = player_lib.resolve(policy, spec)
    if self._player.blind and not record:
      options.setdefault('frames', False)
    environments.make(name, **options).close()  # Refuses wrong options here.
    job = worker.Job(
      name, environments.GAMES[name], self._player, record, options, patience
    )
    self._pool = pool.Pool(job, processes or _cores(), keep_going)

  def play(
    self,
    seeds: Sequence[int],
    parameters: Sequence[np.ndarray | None] | None = None,
  ) -> Iterator[episode.Result]:
    """Plays one episode per seed; see `workers.play`.

    Another call drops what an earlier one has not played yet; so does
    `close`, after which a call starts other workers.
    """
    return self._pool.play(_make_tasks(self._player, seeds, parameters))

  def close(self):
    """Ends all workers and engines."""
    self._pool.close()

  def __enter__(self) -> 'Players':
    return self

  def __exit__(self, *unused):
    self.close()


def play(
  name: str,
  policy: str | os.PathLike | player_lib.Player,
  seeds: Sequence[int],
  *,
  parameters: Sequence[np.ndarray | None] | None = None,
  processes: int = 0,
  **settings,
) -> Iterator[episode.Result]:
  """Plays one episode per seed and yields the results in the order of seeds.

  Workers run ahead of the consumer by a few episodes, not more. Closing the
  iterator, or an exception in its consumer's `with contextlib.closing(...)`,
  ends all workers and engines.

  Args:
    name: As of `Players`.
    policy: As of `Players`.
    seeds: One non-negative integer per episode.
    parameters: For an agent, the controller's [P] in each episode; None, also
      in the place of one, is the agent's own.
    processes: As of `Players`.
    **settings: Of `Players`: record, options, patience, keep_going.

  Raises:
    GameCrashed: Engine after engine died in an episode.
    RuntimeError: An episode killed worker after worker.
    ImportError, ValueError: As `Players`.
  """
  processes = checks.integer('processes', processes, 0)
  processes = min(processes or _cores(), max(1, len(seeds)))
  players = Players(name, policy, processes=processes, **settings)
  return _play_once(players, players.play(seeds, parameters))


def _play_once(players: Players, results) -> Iterator[episode.Result]:
  with players:
    yield from results


def _make_tasks(player: player_lib.Player, seeds, parameters):
  """Returns (index, seed, parameters) of each episode."""
  seeds = [checks.integer('each of seeds', seed, 0) for seed in seeds]
  vectors = _check_parameters(player, parameters, len(seeds))
  return list(zip(range(len(seeds)), seeds, vectors, strict=True))


def _check_parameters(player: player_lib.Player, parameters, count: int):
  """Returns one float32 vector, or None, per episode."""
  if parameters is None:
    return [None] * count
  given = len(parameters) if hasattr(parameters, '__len__') else parameters
  if given != count:
    raise ValueError(f'parameters must be {count}, one per seed, got {given}')
  vectors = [_read_vector(each) for each in parameters]
  given = [each for each in vectors if each is not None]
  size = player.parameters
  if size is None and (given or player.folder is None):
    raise ValueError(
      'policy must be an agent whose controller takes parameters, got '
      f'{player.label!r}'
    )
  for each in given:
    if each.shape != (size,):
      raise ValueError(
        f'parameters must be of shape [{size}], got {list(each.shape)}'
      )
  return vectors


def _read_vector(values):
  if values is None:
    return None
  try:
    return np.asarray(values, np.float32)
  except (TypeError, ValueError) as error:
    raise ValueError(
      f'parameters must be numbers, got {checks.shorten(values)}'
    ) from error


def _cores() -> int:
  return (
    len(os.sched_getaffinity(0))
    if hasattr(os, 'sched_getaffinity')
    else (os.cpu_count() or 1)
  )
