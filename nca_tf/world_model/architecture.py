"""What a world model is made from, and what its run folder says of that.

Flags and their checks need no more, so TensorFlow is not imported before V or M
is made.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nca_tf import checks
from nca_tf import environments
from nca_tf import random_numbers
from nca_tf.command_line import faults
from nca_tf.memory import cell_flags
from nca_tf.memory import cells
from nca_tf.runs import run_folder

if TYPE_CHECKING:
  from nca_tf.world_model import model as model_lib
  from nca_tf.world_model import standardiser
  from nca_tf.world_model import vision as vision_lib

# Name of the binary that makes world models, in their `config.json`.
BINARY = 'train_world_model'
# What M predicts: Gaussian mixtures over V's latents, or codes of them.
LATENTS = ('mixture', 'categorical')
# What codes are made from: the frame alone, or M's memory of the past as well.
POSTERIORS = ('frame', 'memory')
_LEAST = {'classes': 2}


@dataclasses.dataclass(frozen=True)
class Architecture:
  """What V and M need to be made again, with their defaults."""

  vision: str = 'light'  # of networks.NETWORKS
  latent_size: int = 64
  cell: str = 'dnc'
  units: int = cell_flags.CellFlags.units
  memory_slots: int = cell_flags.CellFlags.memory_slots
  word_size: int = cell_flags.CellFlags.word_size
  read_heads: int = cell_flags.CellFlags.read_heads
  latent: str = 'mixture'  # of LATENTS
  mixtures: int = 5
  joint: bool = False
  categoricals: int = 16  # In which --latent=categorical encodes a latent.
  classes: int = 16
  posterior: str = 'frame'  # of POSTERIORS

  @classmethod
  def of(cls, settings: Mapping[str, Any]) -> 'Architecture':
    """From the settings of a run; older runs lack some of them."""
    names = [field.name for field in dataclasses.fields(cls)]
    return cls(**{name: settings[name] for name in names if name in settings})

  def make_vision(
    self, spec: environments.GameSpec, seed: int = 0
  ) -> 'vision_lib.VisionModel | standardiser.Standardiser':
    """An untrained V for a game; what stands in its place for vectors."""
    from nca_tf.world_model import standardiser
    from nca_tf.world_model import vision as vision_lib

    with random_numbers.weights(seed, 'V'):
      if spec.has_frames:
        vision = vision_lib.VisionModel(self.latent_size, self.vision)
      else:
        vision = standardiser.Standardiser(*spec.observation_shape)
      vision.build()
    return vision

  def latents(self, spec: environments.GameSpec) -> int:
    """Z in a game: vectors are their own latents, whatever `latent_size`."""
    return self.latent_size if spec.has_frames else spec.observation_shape[0]

  def make_model(
    self, spec: environments.GameSpec, seed: int = 0, purpose: str = 'M'
  ) -> 'model_lib.MemoryModel':
    """An untrained M for a game; each purpose has first weights of its own."""
    from nca_tf.world_model import discrete_model
    from nca_tf.world_model import model as model_lib
    from nca_tf.world_model import state_space_model

    sizes = {name: getattr(self, name) for name in cell_flags.OF_A_MEMORY}
    with random_numbers.weights(seed, purpose):
      cell = cells.make(self.cell, self.units, **sizes)
      given = cell, self.latents(spec), spec.action_size
      if self.latent == 'categorical':
        kind = discrete_model.DiscreteModel
        if self.posterior == 'memory':
          kind = state_space_model.RecurrentStateSpaceModel
        sizes = self.categoricals, self.classes
        kind = functools.partial(kind, *given, *sizes)
      else:
        mixtures = self.mixtures, self.joint
        kind = functools.partial(model_lib.MemoryModel, *given, *mixtures)
      model = kind(reward=spec.has_reward)
      model.build()
    return model


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
  except ImportError as error:  # A package that the game needs.
    raise faults.Fault(str(error)) from error
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
    known = {
      'cell': cells.names(),
      'latent': LATENTS,
      'posterior': POSTERIORS,
    }.get(field.name)
    if known and value not in known:
      raise ValueError(f'{field.name} must be one of {known}, got {value!r}')
    if isinstance(field.default, bool):
      checks.boolean(field.name, value)
    elif isinstance(field.default, int):
      checks.integer(field.name, value, _LEAST.get(field.name, 1))


def game_options(settings: Mapping[str, Any]) -> dict[str, Any]:
  """Options of `environments.make`, from the settings of a run."""
  own = {
    'time_limit': 0,
    'frame_skip': 1,
    'view': environments.WHOLE,
    'engine': 'native',
  }
  changed = {
    name: settings[name]
    for name, value in own.items()
    if settings.get(name, value) != value
  }
  # The first version knew discrete actions alone, and did not say so.
  return {'action_kind': settings.get('action_kind', 'discrete'), **changed}
