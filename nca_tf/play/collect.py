"""Rollouts: episodes of a real game, recorded for V and M.

Source: Ha & Schmidhuber 2018 (arXiv:1803.10122), section 3.1.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from nca_tf import environments
from nca_tf.command_line import faults
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

  Episode `index` is the same whatever was recorded before it, by however many
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
  with _storage_faults(folder):
    spec = make_spec(env, policy, seed, options, parameters)
    writer = rollouts.Writer(folder, spec, shard_size)
  first = writer.next_index
  report(min(first, episodes))
  if parameters is not None:
    shape = episodes, np.shape(parameters)[-1]
    parameters = np.broadcast_to(parameters, shape)[first:]
  results = workers.play(
    env,
    policy,
    [environments.episode_seed(seed, i) for i in range(first, episodes)],
    parameters=parameters,
    processes=processes,
    record=True,
    options=options,
  )
  return _write(writer, folder, results, report)


def _write(writer, folder, results, report) -> int:
  """Appends all results and closes the writer; returns the steps."""
  first, steps = writer.next_index, 0
  with crashes.reported(), contextlib.closing(results):
    for result in results:
      with _storage_faults(folder):
        writer.append(
          rollouts.make_episode(
            first + result.index,
            result.seed,
            result.frames,
            result.actions,
            result.rewards,
            result.terminated,
          )
        )
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
