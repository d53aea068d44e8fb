"""The world model of a game: V, M and where its dreams begin.

bin/train_world_model makes one; everything that plays, dreams or measures
loads it from the run folder:

    world_model = WorldModel.load('runs/train_world_model/vizdoom-dnc-0')
    dream = world_model.dream(temperature=1.15)
    controller = world_model.controller(('z', 'h'))
"""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nca_tf import checks
from nca_tf import environments
from nca_tf import random_numbers
from nca_tf.command_line import faults
from nca_tf.datasets import latents as latents_lib
from nca_tf.memory import cell_flags
from nca_tf.memory import cells
from nca_tf.runs import checkpoints
from nca_tf.runs import run_folder
from nca_tf.world_model import agent as agent_lib
from nca_tf.world_model import codec as codec_lib
from nca_tf.world_model import controller as controller_lib
from nca_tf.world_model import dream as dream_lib
from nca_tf.world_model import model as model_lib
from nca_tf.world_model import vision as vision_lib

# Name of the binary in the `config.json` of its run folders.
BINARY = 'train_world_model'


@dataclasses.dataclass(frozen=True)
class Architecture:
  """What V and M need to be made again, with their defaults."""

  vision: str = 'light'  # of vision.ARCHITECTURES
  latent_size: int = 64
  cell: str = 'dnc'
  units: int = cell_flags.CellFlags.units
  memory_slots: int = cell_flags.CellFlags.memory_slots
  word_size: int = cell_flags.CellFlags.word_size
  read_heads: int = cell_flags.CellFlags.read_heads
  mixtures: int = 5
  joint: bool = False

  @classmethod
  def of(cls, settings: Mapping[str, Any]) -> 'Architecture':
    """From the settings of a run; older runs lack some of them."""
    names = [field.name for field in dataclasses.fields(cls)]
    return cls(**{name: settings[name] for name in names if name in settings})

  def make_vision(self, seed: int = 0) -> vision_lib.VisionModel:
    """An untrained V."""
    with random_numbers.weights(seed, 'V'):
      vision = vision_lib.VisionModel(self.latent_size, self.vision)
      vision.build()
    return vision

  def make_model(
    self, spec: environments.GameSpec, seed: int = 0, purpose: str = 'M'
  ) -> model_lib.MemoryModel:
    """An untrained M for a game; each purpose has first weights of its own."""
    sizes = {name: getattr(self, name) for name in cell_flags.OF_A_MEMORY}
    with random_numbers.weights(seed, purpose):
      model = model_lib.MemoryModel(
        cells.make(self.cell, self.units, **sizes),
        self.latent_size,
        spec.actions if spec.action_kind == 'discrete' else 1,
        self.mixtures,
        self.joint,
        reward=spec.has_reward,
      )
      model.build()
    return model


@dataclasses.dataclass(frozen=True)
class WorldModel:
  """A finished world model."""

  spec: environments.GameSpec  # With the options that it was recorded with.
  game_options: Mapping[str, Any]  # Those options, for `environments.make`.
  architecture: Architecture
  vision: vision_lib.VisionModel  # V
  model: model_lib.MemoryModel  # M
  # Mean and log variance [S, Z] of the first frames of the recorded episodes
  # that V and M were trained on.
  starts: tuple[np.ndarray, np.ndarray]
  done_weight: float  # What a death weighed in M's loss.

  @classmethod
  def load(cls, folder, flag: str = 'world_model') -> 'WorldModel':
    """Loads a finished run of bin/train_world_model, also an older one.

    Args:
      folder: The run folder; it is only read.
      flag: Named in errors, without dashes.

    Raises:
      faults.UsageError: It is no such folder, or M is not finished.
      faults.Fault: A checkpoint is missing.
    """
    settings = read_settings(flag, folder)
    options = game_options(settings)
    spec = environments.get_spec(settings['env'], **options)
    architecture = Architecture.of(settings)
    vision = architecture.make_vision()
    restore(folder, 'vision', vision)
    model = architecture.make_model(spec)
    restore(folder, 'model', model)
    mirror = settings.get('mirror', False)
    latents, _ = read_latents(folder, settings['held_out'], mirror)
    first = latents.is_first
    starts = latents.mean[first], latents.log_variance[first]
    weight = settings['done_weight']
    return cls(spec, options, architecture, vision, model, starts, weight)

  @functools.cached_property
  def codec(self) -> codec_lib.Codec:
    """V as a codec of recorded frames."""
    return codec_lib.Codec(self.vision)

  def untrained(self, seed: int) -> 'WorldModel':
    """The same with an M that has learnt nothing."""
    model = self.architecture.make_model(self.spec, seed, 'untrained M')
    return dataclasses.replace(self, model=model)

  def dream(
    self,
    temperature: float = 1.0,
    fitness: str = 'expected',
    horizon: int | None = None,
  ) -> dream_lib.Dream:
    """M as an environment; arguments as of `dream.Dream`.

    Without `horizon` an episode ends at the game's time limit.
    """
    horizon = horizon or -(-self.spec.time_limit // self.spec.frame_skip)
    settings = temperature, fitness, self.done_weight
    return dream_lib.Dream(self.model, self.starts, horizon, *settings)

  def controller(
    self, features: Sequence[str]
  ) -> controller_lib.LinearController:
    """C that reads `features`: z, or those of M's cell (`cells.features`)."""
    parts = self.model.features(self.model.initial(1))
    sizes = {name: part.shape[-1] for name, part in parts.items()}
    sizes['z'] = self.model.latent_size
    chosen = {name: sizes[name] for name in features}
    return controller_lib.LinearController(
      chosen, self.spec.actions, self.spec.action_kind
    )

  def player(self, controller) -> agent_lib.Agent:
    """V, M and a controller as a player of the real game."""
    return agent_lib.Agent(self.vision, self.model, controller)


def read_settings(flag: str, folder) -> dict[str, Any]:
  """Returns the settings of a finished world model; arguments as of `load`.

  Raises:
    faults.UsageError: It is no such folder, or M is not finished.
  """
  try:
    found = run_folder.read_config(folder)
    finished = run_folder.read_stages(folder)
  except FileNotFoundError:
    found, finished = {}, {}
  except ValueError as error:
    raise faults.UsageError(
      f'--{flag}: {error}; repeat the command that made the folder'
    ) from error
  if found.get('binary') != BINARY or 'model' not in finished:
    raise faults.UsageError(
      f'--{flag} must be the folder of a finished run of bin/{BINARY}, '
      f'got {str(folder)!r}'
    )
  settings = found['config']
  try:
    _check_settings(settings)
  except (KeyError, ValueError) as error:
    reason = f'{error} is missing' if isinstance(error, KeyError) else error
    file = pathlib.Path(folder, 'config.json')
    raise faults.UsageError(
      f'--{flag}: {file} was changed ({reason}); put it back as it was'
    ) from error
  return settings


def _check_settings(settings):
  """Raises ValueError, or KeyError, where a world model cannot be like that."""
  if not isinstance(settings['env'], str):
    raise ValueError(f'env must be a text, got {settings["env"]!r}')
  environments.get_spec(settings['env'], **game_options(settings))
  checks.integer('held_out', settings['held_out'], 2)
  checks.real('done_weight', settings['done_weight'], 0)
  checks.boolean('mirror', settings.get('mirror', False))
  for field in dataclasses.fields(Architecture):
    value = settings.get(field.name, field.default)
    if isinstance(field.default, str) and not isinstance(value, str):
      raise ValueError(f'{field.name} must be a text, got {value!r}')
    if field.name == 'cell' and value not in cells.names():
      raise ValueError(f'cell must be one of {cells.names()}, got {value!r}')
    if isinstance(field.default, bool):
      checks.boolean(field.name, value)
    elif isinstance(field.default, int):
      checks.integer(field.name, value, 1)


def game_options(settings: Mapping[str, Any]) -> dict[str, Any]:
  """Options of `environments.make`, from the settings of a run."""
  own = {'time_limit': 0, 'frame_skip': 1, 'engine': 'native'}
  changed = {
    name: settings[name]
    for name, value in own.items()
    if settings.get(name, value) != value
  }
  # The first version knew discrete actions alone, and did not say so.
  return {'action_kind': settings.get('action_kind', 'discrete'), **changed}


def restore(folder, part: str, model) -> None:
  """Sets the weights of V ('vision') or M ('model') from a run folder.

  Raises:
    faults.Fault: The checkpoint that its training ended with cannot be read.
  """
  path = pathlib.Path(folder) / 'checkpoints' / part
  saved = checkpoints.Checkpoints(path, model=model)
  try:
    stage = run_folder.read_stages(folder).get(part, {})
    saved.load(stage.get('step') or checkpoints.latest_step(path))
  except ValueError as error:
    raise faults.Fault(
      f'{error}; the command that made {folder} trains it again'
    ) from error


def is_held_out(episode, held_out: int):
  """Whether episodes, by their numbers, are kept for the measures."""
  return episode % held_out == held_out - 1


def read_latents(
  folder, held_out: int, mirror: bool = False
) -> tuple[latents_lib.Latents, latents_lib.Latents]:
  """Reads what V made of the recorded episodes of a run folder.

  Args:
    folder: The run folder.
    held_out: One episode in so many is held out.
    mirror: Whether M learns from the mirror images as well.

  Returns:
    The training episodes (after all of them their mirror images), and those
    held out.

  Raises:
    faults.Fault: They are lost or damaged, all or some.
  """
  path = pathlib.Path(folder, 'latents')

  def split(kind):
    try:
      whole = latents_lib.load(path, kind)
      counted = run_folder.read_stages(folder).get('encode', {}).get('frames')
      # After death there is no frame.
      found = len(whole.is_first) - int(whole.is_terminal.sum())
      if found != counted and counted is not None:
        raise ValueError(f'{path} holds {found} of {counted} frames')
    except ValueError as error:
      raise faults.Fault(
        f'{error}; the command that made {folder} encodes them again'
      ) from error
    starts = [part.start for part in whole.episodes]
    kept = is_held_out(whole.episode[starts], held_out)
    sides = np.flatnonzero(~kept), np.flatnonzero(kept)
    return [latents_lib.select(whole, side) for side in sides]

  train, kept = split('part')
  if mirror:
    train = latents_lib.concatenate([train, split('mirror')[0]])
  return train, kept
