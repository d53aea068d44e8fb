"""Records episodes that a scripted policy or an agent plays in the real game.

Source: Ha & Schmidhuber 2018 (arXiv:1803.10122), section 3.1: 10,000 random
rollouts.
"""

import dataclasses
from typing import ClassVar

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.datasets import rollouts
from nca_tf.experiments.games import settings
from nca_tf.runs import progress
from nca_tf.runs import run as run_lib

NAME = 'record_rollouts'


@dataclasses.dataclass(frozen=True)
class Config(settings.AgentConfig):
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


def run(config: Config):
  """Records into `run_dir/rollouts`."""
  about = f'{config.env}, {config.player.label}'
  name = f'{config.env}-{config.player.label}-{config.seed}'
  with run_lib.start(config, NAME, name, about, computes=False) as run:
    from nca_tf.play import collect  # Takes seconds, for TensorFlow.

    folder = run.path / 'rollouts'
    total = config.episodes
    done = min(rollouts.count(folder), total)
    with progress.Progress(about, total, 'episodes', done) as bar:
      try:
        collect.collect(
          folder,
          config.env,
          config.player,
          total,
          config.seed,
          processes=config.processes,
          shard_size=config.shard_size,
          progress=bar.update,
          options=config.game_options,
        )
      except ValueError as error:  # The folder holds other rollouts.
        raise faults.Fault(f'{error}; choose another --run_dir') from error
    whole = rollouts.count(folder)
    run.finish('record', {'episodes': whole})
    print(f'{whole} episodes in {folder}')
