"""Settings of a world model: rollouts, V, latents, M, measures, SavedModels."""

import dataclasses
import os
import pathlib
from typing import ClassVar

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.datasets import rollouts
from nca_tf.experiments.games import settings as games_settings
from nca_tf.memory import cell_flags
from nca_tf.memory import cells
from nca_tf.runs import commands
from nca_tf.runs import run_folder
from nca_tf.world_model import architecture as architecture_lib
from nca_tf.world_model import networks

NAME = architecture_lib.BINARY
_Architecture = architecture_lib.Architecture
_option = config_flags.option
# The smallest V and M, also for what compares several.
SMOKE = {
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
  'categoricals': 4,
  'classes': 4,
  'model_steps': 20,
  'model_batch': 4,
  'window': 16,
}


@dataclasses.dataclass(frozen=True)
class VisionFlags(config_flags.Common):
  """The recorded episodes, and V's size and training."""

  episodes: int = _option(
    700,
    'Episodes to collect; up to 16 times as many where they are too short for '
    'one update of V and M.',
    minimum=2,
  )
  held_out: int = _option(
    8, 'One episode in so many is kept for the measures.', minimum=2
  )
  vision: str = _option(
    _Architecture.vision, "V's architecture.", choices=networks.NETWORKS
  )
  latent_size: int = _option(
    _Architecture.latent_size, 'Dimensions of z.', minimum=1
  )
  vision_steps: int = _option(2500, 'Updates of V.', minimum=1)
  vision_batch: int = _option(100, 'Frames per update of V.', minimum=1)
  vision_rate: float = _option(1e-3, "Adam's learning rate for V.", minimum=0)


@dataclasses.dataclass(frozen=True)
class ModelFlags(cell_flags.CellFlags):
  """M's size and training."""

  latent: str = _option(
    _Architecture.latent,
    "What M predicts: Gaussian mixtures over V's latents, or categorical "
    'variables that it encodes them in.',
    choices=architecture_lib.LATENTS,
  )
  mixtures: int = _option(
    _Architecture.mixtures, 'Gaussians per mixture.', minimum=1
  )
  categoricals: int = _option(
    _Architecture.categoricals,
    'Categorical variables of a latent, with --latent=categorical.',
    minimum=1,
  )
  classes: int = _option(
    _Architecture.classes, 'Classes of each of them.', minimum=2
  )
  posterior: str = _option(
    _Architecture.posterior,
    "What --latent=categorical encodes: the frame alone, or with M's memory "
    'of the past, so that codes hold what is new.',
    choices=architecture_lib.POSTERIORS,
  )
  model_steps: int = _option(1500, 'Updates of M.', minimum=1)
  model_batch: int = _option(32, 'Streams per update of M.', minimum=1)
  window: int = _option(64, 'Transitions per stream and update.', minimum=1)
  keep_best: bool = _option(
    False,
    'Take M as it was at its least loss on one episode in ten of those that it '
    'would learn from, which are kept from it.',
  )
  model_rate: float = _option(2e-3, "Adam's first rate for M.", minimum=0)
  model_decay: float = _option(
    0.998, "Factor on M's learning rate per update.", minimum=0, maximum=1
  )


@dataclasses.dataclass(frozen=True)
class Config(ModelFlags, VisionFlags, games_settings.PlayConfig):
  """Settings of one world model; the defaults are the laptop preset."""

  cell: str = _option(
    _Architecture.cell, "M's recurrent cell.", choices=cells.names
  )
  rollouts: tuple[str, ...] = _option(
    (), 'Folders of recorded rollouts to use; empty collects them in the run.'
  )
  initial: str = _option(
    '', 'Finished world model whose V and M learn on; empty starts anew.'
  )
  initial_vision: str = _option(
    '',
    'Finished world model whose V and latents are copied; --rollouts must '
    'begin with its own.',
  )
  mirror: bool = _option(
    False, 'Train on the mirror image of every episode as well.'
  )
  vision_sharpness: float = _option(
    1.0,
    "Weight of V's squared error; above 1 z encodes more of small objects.",
    minimum=0,
  )
  joint: bool = _option(
    _Architecture.joint, 'One mixture weight for all latent dimensions.'
  )
  done_weight: float = _option(
    10.0, 'Weight of the steps that end the game.', minimum=0
  )
  probe_episodes: int = _option(
    200,
    'Episodes that --policy plays to measure how well z tells what the game '
    'says of its objects, where it says anything; 0 leaves it out.',
    minimum=0,
  )
  done_open_loop: bool = _option(
    True,
    "Fit the done head on M's own futures after M's training; without, a dream "
    'has too few deaths.',
  )

  PRESETS: ClassVar = {
    'smoke': {**SMOKE, 'probe_episodes': 2},
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

  @property
  def cell_names(self) -> tuple[str, ...]:
    """The one cell of M."""
    return (self.cell,)

  @property
  def architecture(self) -> architecture_lib.Architecture:
    """What V and M are made from."""
    return _Architecture.of(config_flags.as_dict(self))

  @property
  def run_name(self) -> str:
    """Name of the run below `runs/train_world_model/`."""
    return f'{self.env}-{self.cell}-{self.seed}'

  def next_command(self, folder: os.PathLike) -> str:
    """The command that goes on from a finished run in a folder."""
    names = ('seed', 'preset', 'precision', 'jit', 'threads')
    same = config_flags.arguments(self, names)
    return commands.line('train_controller', f'--world_model={folder}', *same)

  def check_folder(self):
    """Refuses a run folder of other settings, before TensorFlow."""
    run_folder.check(self, NAME, self.run_name)

  def validate(self):
    """Refuses settings that contradict each other, and foreign rollouts."""
    super().validate()
    if self.episodes < self.held_out:
      raise faults.UsageError(
        f'--held_out must be at most --episodes, got {self.held_out} of '
        f'{self.episodes}: no episode would be left for the measures'
      )
    spec = self.game_spec
    if spec.has_frames:
      self._check_network(spec)
    if self.mirror and not spec.mirrored_actions:
      raise faults.UsageError(
        f'--mirror must be off for --env={self.env}, whose mirror image is '
        'another game, got True'
      )
    if self.initial:
      _check_architecture('initial', self.initial, self)
    if self.initial_vision:
      _check_vision('initial_vision', self.initial_vision, self)
    for folder in self.rollouts:
      _check_rollouts(folder, spec)

  def _check_network(self, spec):
    """Refuses a V that cannot take the game's frames."""
    network, shape = networks.NETWORKS[self.vision], spec.observation_shape
    if shape != network.frame_shape:
      fitting = [
        name
        for name, other in networks.NETWORKS.items()
        if other.frame_shape == shape
      ]
      if fitting:
        raise faults.UsageError(
          f'--vision must be {" or ".join(fitting)} for frames of {shape}, '
          f'those of --env={self.env} --view={self.view}, got {self.vision!r}'
        )
      raise faults.UsageError(
        f'--env must be a game with frames of {network.frame_shape}, got '
        f'{self.env!r} with {shape}'
      )
    if self.latent_size % network.columns:
      raise faults.UsageError(
        f'--latent_size must be a multiple of {network.columns} for '
        f'--vision={self.vision}, got {self.latent_size}'
      )


def read_config(flag: str, folder) -> Config:
  """As `architecture.read_settings`, also of an older world model.

  Settings that the folder lacks have their defaults. `initial_vision` is left
  out, as its folder is not needed any more.
  """
  known = {field.name for field in dataclasses.fields(Config)}
  settings = {
    name: tuple(value) if isinstance(value, list) else value
    for name, value in architecture_lib.read_settings(flag, folder).items()
    if name in known and name != 'initial_vision'
  }
  if isinstance(settings.get('rollouts'), str):  # As it was in version 0.1.
    settings['rollouts'] = tuple(filter(None, [settings['rollouts']]))
  try:
    return config_flags.restore(Config, settings)
  except ValueError as error:
    raise faults.UsageError(
      f'--{flag}: {os.path.join(folder, "config.json")} was changed ({error}); '
      'put it back as it was'
    ) from error


def _check_architecture(flag, folder, config):
  """Refuses a world model of another architecture than `config` asks for."""
  names = 'cell', 'units', 'latent', 'mixtures', 'joint'
  names += 'categoricals', 'classes', 'posterior'
  if cells.get(config.cell).has_memory:
    names += cell_flags.OF_A_MEMORY
  _check_equal(flag, folder, config, names)


def _check_vision(flag, folder, config):
  """Refuses a world model with another V, or with other data at the start.

  The numbers of the latents' parts are those of the shards, so the rollouts of
  `config` must begin with those that V has encoded.
  """
  found = _check_equal(flag, folder, config, ('held_out',))
  wanted = found.rollouts or (str(pathlib.Path(folder, 'rollouts')),)
  given = config.rollouts[: len(wanted)]
  if [*map(os.path.realpath, wanted)] != [*map(os.path.realpath, given)]:
    raise faults.UsageError(
      f'--rollouts must begin with {",".join(wanted)}, those of '
      f'--{flag}={folder}, got {",".join(config.rollouts) or "none"}'
    )


def _check_equal(flag, folder, config, names):
  """Refuses another game or V or other `names`; returns the settings."""
  wanted = read_config(flag, folder)
  common = 'env', 'action_kind', 'frame_skip', 'view', 'vision', 'latent_size'
  for name in common + names:
    if getattr(wanted, name) != getattr(config, name):
      raise faults.UsageError(
        f'--{name} must be {getattr(wanted, name)}, that of --{flag}={folder}, '
        f'got {getattr(config, name)}'
      )
  return wanted


def _check_rollouts(folder, spec):
  try:
    found = rollouts.read_spec(folder)
  except (ValueError, OSError) as error:
    raise faults.UsageError(f'--rollouts: {error}') from error
  for flag, wanted, got, noun in (
    ('env', spec.name, found.game, ''),
    ('action_kind', spec.action_kind, found.action_kind, ' actions'),
    ('frame_skip', spec.frame_skip, found.frame_skip, ''),
  ):
    if got != wanted:
      raise faults.UsageError(
        f'--rollouts must be of --{flag}={wanted}, got {folder} with '
        f'{got}{noun}'
      )
  # Agents may have played under other options of the game.
  if found.observation_shape != spec.observation_shape:
    raise faults.UsageError(
      f'--rollouts must be of observations of {spec.observation_shape}, got '
      f'{folder} with {found.observation_shape}'
    )
  if not rollouts.count(folder):
    raise faults.UsageError(
      f'--rollouts must hold whole episodes, got none in {folder}'
    )
