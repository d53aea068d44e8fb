"""World models that are trained within seconds on made-up frames."""

import numpy as np

from nca_tf.command_line import config_flags
from nca_tf.datasets import rollouts
from nca_tf.experiments.world_model import run as world_model_run
from nca_tf.experiments.world_model import settings

_EPISODES, _STEPS = 8, 40


def record(folder, frame_skip=4, shape=(64, 64, 3), episodes=_EPISODES):
  """Writes rollouts of a game of noise."""
  random = np.random.default_rng(0)
  spec = rollouts.Spec('vizdoom', shape, 3, 'discrete', frame_skip=frame_skip)
  with rollouts.Writer(folder, spec, shard_size=4) as writer:
    for index in range(episodes):
      writer.append(
        rollouts.make_episode(
          index,
          index,
          random.integers(0, 256, (_STEPS + 1, *shape), dtype=np.uint8),
          random.integers(3, size=_STEPS).astype(np.int32),
          np.full(_STEPS, frame_skip, np.float32),
          terminated=True,
        )
      )
  return folder


def train(folder, cell='lstm', *flags, shape=(64, 64, 3)):
  """Trains V and M for a few steps; leaves out the pictures and measures."""
  recorded = folder.with_name(folder.name + '-rollouts')
  if not recorded.exists():
    record(recorded, shape=shape)
  config = config_flags.resolve(
    settings.Config,
    [
      '--preset=smoke',
      f'--cell={cell}',
      f'--rollouts={recorded}',
      f'--run_dir={folder}',
      '--frame_skip=4',
      '--vision_steps=4',
      '--model_steps=4',
      *flags,
    ],
  )
  world_model_run.train(config)
  return folder
