"""Rollouts: episodes of a real game, recorded for V and M.

Source: Ha & Schmidhuber 2018 (arXiv:1803.10122), section 3.1.
"""

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from nca_tf import environments
from nca_tf.command_line import faults
from nca_tf.datasets import mending
from nca_tf.datasets import rollouts
from nca_tf.environments import workers
from nca_tf.environments.workers import player as player_lib
from nca_tf.play import crashes


def make_spec(
  env: str,
  policy: str | os.PathLike | player_lib.Player,
  seed: int,
  options: Mapping[str, Any],
  parameters: np.ndarray | None = None,
) -> rollouts.Spec:
  """Returns what `collect`, which has the same arguments, writes in spec.json.

  Raises:
    ValueError: There is no such game or player, or an option is wrong.
  """
  spec = environments.get_spec(env, **options)
  # An agent is named by its weights, wherever its folder is.
  label = player_lib.resolve(policy, spec).label
  source = {'policy': label, 'seed': seed}
  if parameters is not None:
    vector = np.asarray(parameters, np.float32)
    source['parameters'] = hashlib.sha256(vector.tobytes()).hexdigest()[:16]
  return rollouts.Spec(
    game=env,
    observation_shape=spec.observation_shape,
    actions=spec.actions,
    action_kind=spec.action_kind,
    source={**source, 'options': dict(options)},
    frame_skip=spec.frame_skip,
    components=spec.components,
  )


def collect(
  folder: str | os.PathLike,
  env: str,
  policy: str | os.PathLike | player_lib.Player,
  episodes: int,
  seed: int,
  *,
  processes: int = 0,
  shard_size: int = 64,
  progress: Callable[..., Any] | None = None,
  options: Mapping[str, Any] | None = None,
  parameters: np.ndarray | None = None,
) -> int:
  """Records episodes, going on after those that a folder has already.

  Those that it has lost, with a shard or by damage, are played again: episode
  `index` is the same whatever was recorded before it, by however many
  processes.

  Args:
    folder: Where the shards go.
    env: Name of the game.
    policy: Name of a scripted policy, the folder of an agent, or a player.
    episodes: How many episodes the folder shall hold.
    seed: Determines all episodes.
    processes: Games played at once; 0 is one per core.
    shard_size: Episodes per file.
    progress: Called with the number of episodes done, and figures by name.
    options: Options of `environments.make`.
    parameters: Of other controllers than the agent's own: [P], or [episodes,
      P] with one for each episode.

  Returns:
    The number of steps recorded by this call.

  Raises:
    faults.Fault: The disk is full or failing, or the game fails again and
      again; what is complete stays readable.
    ValueError: The folder holds other rollouts, or a name is unknown.
  """
  options = dict(options or {})
  report = progress or (lambda done, **figures: None)

  how = {'processes': processes, 'options': options}
  play = functools.partial(_play, env, policy, seed, parameters, **how)
  with _storage_faults(folder):
    spec = make_spec(env, policy, seed, options, parameters)
    _mend_spec(folder, spec, seed)
    writer = rollouts.Writer(folder, spec, shard_size)
    missing = mending.find_missing(folder, spec, shard_size)
  steps = _put_back(missing, spec, play)
  first = writer.next_index
  report(min(first, episodes))
  indices = list(range(first, episodes))
  return steps + _write(writer, folder, play(indices), report)


def _play(env, policy, seed, parameters, indices, **settings):
  """Yields the results of some of the episodes, in order."""
  if np.ndim(parameters) == 1:
    parameters = np.broadcast_to(parameters, [len(indices), len(parameters)])
  elif parameters is not None:
    parameters = np.asarray(parameters)[indices]
  return workers.play(
    env,
    policy,
    [environments.episode_seed(seed, index) for index in indices],
    parameters=parameters,
    record=True,
    **settings,
  )


def _mend_spec(folder, spec, seed):
  """Writes `spec.json` anew where it is lost, and the episodes are these."""
  if not rollouts.shards(folder):
    return
  try:
    rollouts.read_spec(folder)
    return
  except ValueError as error:
    fault = error
    if rollouts.is_of_another_version(folder):
      return
  whole = (
    episode
    for path in rollouts.shards(folder)
    for episode in rollouts.read_shard(
      path, spec, frames=False, on_damage=lambda line: None
    )
  )
  for episode in whole:
    if episode.seed != environments.episode_seed(seed, episode.index):
      raise ValueError(f'{fault}; the episodes beside it are of another seed')
  faults.warn(f'{fault}; written again')
  rollouts.write_spec(folder, spec)


def _put_back(missing, spec, play) -> int:
  """Plays episodes that a folder has lost once more; returns their steps."""
  steps = 0
  for path, indices in missing.items():
    faults.warn(f'{path} lost {len(indices)} episodes; played again')
    lost = []
    with contextlib.closing(play(indices)) as results:
      for result in results:
        lost.append(_make_episode(indices[result.index], result))
        steps += len(result.actions)
    with _storage_faults(path.parent):
      mending.put_back(path, spec, lost)
  return steps


def _make_episode(index, result):
  return rollouts.make_episode(
    index,
    result.seed,
    result.frames,
    result.actions,
    result.rewards,
    result.terminated,
  )


def _write(writer, folder, results, report) -> int:
  """Appends all results and closes the writer; returns the steps."""
  first, steps = writer.next_index, 0
  with crashes.reported(), contextlib.closing(results):
    for result in results:
      with _storage_faults(folder):
        writer.append(_make_episode(first + result.index, result))
      steps += len(result.actions)
      report(writer.next_index, steps=steps)
  with _storage_faults(folder):
    writer.close()
  return steps


@contextlib.contextmanager
def _storage_faults(folder):
  """Turns a full or failing disk into one line."""
  try:
    yield
  except (OSError, tf.errors.OpError) as error:
    reason = error.strerror if isinstance(error, OSError) else error.message
    raise faults.Fault(
      f'cannot write rollouts to {folder}: {reason}; whole episodes are kept, '
      'the same command goes on after them'
    ) from error
