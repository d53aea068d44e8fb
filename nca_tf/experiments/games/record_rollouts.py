"""Records episodes that a scripted policy or an agent plays in the real game.

Source: Ha & Schmidhuber 2018 (arXiv:1803.10122), section 3.1: 10,000 random
rollouts.
"""

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from nca_tf import environments
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.datasets import rollouts
from nca_tf.environments import workers
from nca_tf.environments.workers import episode
from nca_tf.environments.workers import saved_agent
from nca_tf.experiments.games import settings as play_config
from nca_tf.runs import progress
from nca_tf.runs import run_folder

NAME = 'record_rollouts'


@dataclasses.dataclass(frozen=True)
class Config(play_config.PlayConfig):
  """What to record."""

  episodes: int = config_flags.option(
    400, 'Episodes to record.', minimum=1, identity=False
  )
  shard_size: int = config_flags.option(
    64, 'Episodes per file.', minimum=1, identity=False
  )

  PRESETS: ClassVar = {
    'smoke': {'episodes': 6, 'time_limit': 120},
    'laptop': {},
    'paper': {'episodes': 10000},
  }


def make_spec(
  env: str,
  policy: str,
  seed: int,
  options: Mapping[str, Any],
  parameters: np.ndarray | None = None,
) -> rollouts.Spec:
  """Returns what `collect` writes beside the shards."""
  spec = environments.get_spec(env, **options)
  # An agent is what it knows, wherever its folder is.
  source = {'policy': saved_agent.label(policy), 'seed': seed}
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
  )


def collect(
  folder: str | os.PathLike,
  env: str,
  policy: str,
  episodes: int,
  seed: int,
  *,
  processes: int = 0,
  shard_size: int = 64,
  progress: Callable[..., Any] | None = None,
  options: Mapping[str, Any] | None = None,
  parameters: np.ndarray | None = None,
) -> int:
  """Records episodes, going on behind those that a folder has already.

  Episode `index` is the same whatever was recorded before it, by however many
  processes.

  Args:
    folder: Where the shards go.
    env: Name of the game.
    policy: Name of a scripted policy, or the folder of an agent.
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
    faults.Fault: The disk is full or failing; what is complete stays readable.
    ValueError: The folder holds other rollouts, or a name is unknown.
  """
  options = dict(options or {})
  report = progress or (lambda done, **figures: None)
  steps = 0
  with _storage_faults(folder):
    spec = make_spec(env, policy, seed, options, parameters)
    writer = rollouts.Writer(folder, spec, shard_size)
  first = writer.next_index
  report(min(first, episodes))
  seeds = [
    environments.episode_seed(seed, index) for index in range(first, episodes)
  ]
  if parameters is not None:
    size = np.shape(parameters)[-1:]
    rows = np.broadcast_to(parameters, (episodes, *size))
  results = workers.play(
    env,
    policy,
    seeds,
    parameters=None if parameters is None else rows[first:],
    processes=processes,
    record=True,
    options=options,
  )
  with contextlib.closing(results):
    for result in results:
      with _storage_faults(folder):
        writer.append(_as_episode(result, first))
      steps += len(result.actions)
      report(writer.next_index, steps=steps)
  with _storage_faults(folder):
    writer.close()
  return steps


def _as_episode(result: episode.Result, first: int) -> rollouts.Episode:
  return rollouts.make_episode(
    first + result.index,
    result.seed,
    result.frames,
    result.actions,
    result.rewards,
    result.terminated,
  )


@contextlib.contextmanager
def _storage_faults(folder):
  """Turns a full or failing disk into one line."""
  try:
    yield
  except (OSError, tf.errors.OpError) as error:
    reason = error.strerror if isinstance(error, OSError) else error.message
    raise faults.Fault(
      f'cannot write rollouts to {folder}: {reason}; whole episodes are kept, '
      'the same command goes on behind them'
    ) from error


def run(config: Config):
  """Records into `run_dir/rollouts`."""
  label = saved_agent.label(config.policy)
  name = f'{config.env}-{label}-{config.seed}'
  with run_folder.RunFolder.open(config, NAME, name) as run_dir:
    folder = run_dir.path / 'rollouts'
    total = config.episodes
    done = min(rollouts.count(folder), total)
    with progress.Progress(
      f'{config.env}, {label}', total, 'episodes', done
    ) as bar:
      collect(
        folder,
        config.env,
        config.policy,
        config.episodes,
        config.seed,
        processes=config.processes,
        shard_size=config.shard_size,
        progress=bar.update,
        options=config.game_options,
      )
    whole = rollouts.count(folder)
    run_dir.finish('record', {'episodes': whole})
    print(f'{whole} episodes in {folder}')
