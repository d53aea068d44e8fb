"""The world model of a game: rollouts, V, latents, M, measures, SavedModels.

Ha and Schmidhuber, World Models (2018), steps 1 to 3 of its section 3.2, with
a DNC or an LSTM as M's cell.
"""

import dataclasses
from typing import ClassVar

from nca_tf import precision
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.datasets import rollouts
from nca_tf.experiments.games import settings as play_config
from nca_tf.experiments.world_model import finished as finished_model
from nca_tf.experiments.world_model import report as world_model_pictures
from nca_tf.experiments.world_model import run as world_model_stages
from nca_tf.memory import cells
from nca_tf.runs import metrics
from nca_tf.runs import run_folder
from nca_tf.world_model import vision as vision_lib

NAME = 'train_world_model'
_option = config_flags.option


@dataclasses.dataclass(frozen=True)
class Config(play_config.PlayConfig):
  """Settings of one world model; the defaults are the laptop preset."""

  cell: str = _option('dnc', "M's recurrent cell.", choices=cells.names())
  rollouts: tuple[str, ...] = _option(
    (), 'Folders of recorded rollouts to use; none collects them in the run.'
  )
  initial: str = _option(
    '', 'Finished world model from whose V and M to go on; empty starts anew.'
  )
  initial_vision: str = _option(
    '',
    'Finished world model whose V and latents are taken over as they are, for '
    'an M alone; --rollouts begin with its own.',
  )
  episodes: int = _option(700, 'Episodes to collect.', minimum=2)
  held_out: int = _option(
    8, 'One episode in so many is kept for the measures.', minimum=2
  )
  mirror: bool = _option(
    False,
    'Learn from the mirror image of every episode as well: twice the data, and '
    'neither side is thought to be safer than the other.',
  )
  vision: str = _option(
    'light', "V's architecture.", choices=vision_lib.ARCHITECTURES
  )
  latent_size: int = _option(64, 'Dimensions of z.', minimum=1)
  vision_steps: int = _option(2500, 'Updates of V.', minimum=1)
  vision_batch: int = _option(100, 'Frames per update of V.', minimum=1)
  vision_rate: float = _option(1e-3, "Adam's learning rate for V.", minimum=0)
  vision_sharpness: float = _option(
    1.0,
    "Weight of V's squared error against its KL, as published 1; above it z "
    'says more of small things, such as distant fireballs.',
    minimum=0,
  )
  units: int = _option(256, "Units of M's LSTM, or controller.", minimum=1)
  memory_slots: int = _option(32, 'Slots of the DNC.', minimum=1)
  word_size: int = _option(32, 'Size of a slot of the DNC.', minimum=1)
  read_heads: int = _option(4, 'Read heads of the DNC.', minimum=1)
  mixtures: int = _option(5, 'Gaussians per mixture.', minimum=1)
  joint: bool = _option(
    False, 'One mixture weight for all latent dimensions together.'
  )
  model_steps: int = _option(1500, 'Updates of M.', minimum=1)
  model_batch: int = _option(32, 'Streams per update of M.', minimum=1)
  window: int = _option(64, 'Transitions per stream and update.', minimum=1)
  model_rate: float = _option(2e-3, "Adam's first rate for M.", minimum=0)
  model_decay: float = _option(
    0.998, "Factor on M's learning rate per update.", minimum=0, maximum=1
  )
  done_weight: float = _option(
    10.0, 'Weight of the steps that end the game.', minimum=0
  )

  PRESETS: ClassVar = {
    'smoke': {
      'episodes': 8,
      'time_limit': 120,
      'held_out': 4,
      'latent_size': 8,
      'vision_steps': 20,
      'vision_batch': 16,
      'units': 16,
      'memory_slots': 8,
      'word_size': 8,
      'read_heads': 2,
      'mixtures': 2,
      'model_steps': 20,
      'model_batch': 4,
      'window': 16,
    },
    'laptop': {},
    'paper': {
      'episodes': 10000,
      'vision': 'reference',
      'vision_steps': 308000,
      'vision_rate': 1e-4,
      'units': 512,
      'memory_slots': 256,
      'word_size': 64,
      'model_steps': 24400,
      'model_batch': 100,
      'window': 499,
      'model_rate': 1e-3,
      'model_decay': 0.99999,
    },
  }

  def validate(self):
    """Refuses settings that contradict each other, and foreign rollouts."""
    super().validate()
    if self.episodes < self.held_out:
      raise faults.UsageError(
        f'--held_out must be at most --episodes, got {self.held_out} of '
        f'{self.episodes}: no episode would be left for the measures'
      )
    if self.cell == 'dnc' and self.read_heads > self.memory_slots:
      raise faults.UsageError(
        f'--read_heads must be at most --memory_slots, got {self.read_heads} '
        f'heads for {self.memory_slots} slots'
      )
    shape = self.game_spec.observation_shape
    if shape != vision_lib.FRAME_SHAPE:
      raise faults.UsageError(
        f'--env must be a game with frames of {vision_lib.FRAME_SHAPE}, got '
        f'{self.env!r} with {shape}'
      )
    if self.mirror and not self.game_spec.mirrored_actions:
      raise faults.UsageError(
        f'--mirror must be off for --env={self.env}, whose mirror image is '
        'another game, got True'
      )
    if self.initial:
      finished_model.check_architecture('initial', self.initial, self)
    if self.initial_vision:
      finished_model.check_vision('initial_vision', self.initial_vision, self)
    for folder in self.rollouts:
      _check_rollouts(folder, self.game_spec)


def _check_rollouts(folder, spec):
  try:
    found = rollouts.read_spec(folder)
  except (ValueError, OSError) as error:
    raise faults.UsageError(f'--rollouts: {error}') from error
  if found.game != spec.name:
    raise faults.UsageError(
      f'--rollouts must be of --env={spec.name}, got {folder} of {found.game}'
    )
  if found.action_kind != spec.action_kind:
    raise faults.UsageError(
      f'--rollouts must have --action_kind={spec.action_kind}, got {folder} '
      f'with {found.action_kind} actions'
    )
  if found.frame_skip != spec.frame_skip:
    raise faults.UsageError(
      f'--rollouts must have --frame_skip={spec.frame_skip}, got {folder} '
      f'with {found.frame_skip}'
    )
  if not rollouts.count(folder):
    raise faults.UsageError(
      f'--rollouts must hold whole episodes, got none in {folder}'
    )


def run(config: Config):
  """Runs every stage that the run folder has not finished yet."""
  name = f'{config.env}-{config.cell}-{config.seed}'
  with run_folder.RunFolder.open(config, NAME, name) as folder:
    print(f'{NAME}: {config.env}, {config.cell}, in {folder.path}', flush=True)
    precision.set_precision(config.precision)
    log = metrics.MetricsLog(folder.path, folder.tensorboard)
    stages = world_model_stages.Stages(config, folder, log)
    stages.collect()
    stages.train_vision()
    stages.encode()
    stages.train_model()
    stages.measure()
    stages.export()
    world_model_pictures.draw(stages)
    _say_goodbye(folder, config)


def _say_goodbye(folder, config):
  other = next(name for name in cells.names() if name != config.cell)
  print(f'\nHeld-out measures ({folder.path}/summary.md):\n')
  print((folder.path / 'summary.txt').read_text())
  print(f'SavedModels: {folder.export}/vision, {folder.export}/model')
  print(f'Figures:     {folder.figures}')
  print(f'Look at it:  .venv/bin/tensorboard --logdir={folder.tensorboard}')
  print(
    f'Next:        bin/{NAME} --env={config.env} --cell={other} '
    f'--preset={config.preset}'
  )
