"""What a world model is made from, and what its run folder says of that.

Flags and their checks need no more, so TensorFlow is not imported before V or M
is made.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nca_tf import environments
from nca_tf import random_numbers
from nca_tf.command_line import faults
from nca_tf.memory import cell_flags
from nca_tf.memory import cells

if TYPE_CHECKING:
  from nca_tf.world_model import model as model_lib
  from nca_tf.world_model import standardiser
  from nca_tf.world_model import vision as vision_lib

# Name of the binary that makes world models, in their `config.json`.
BINARY = 'train_world_model'


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
  mixtures: int = 5
  joint: bool = False

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
    from nca_tf.world_model import model as model_lib

    sizes = {name: getattr(self, name) for name in cell_flags.OF_A_MEMORY}
    with random_numbers.weights(seed, purpose):
      model = model_lib.MemoryModel(
        cells.make(self.cell, self.units, **sizes),
        self.latents(spec),
        spec.action_size,
        self.mixtures,
        self.joint,
        reward=spec.has_reward,
      )
      model.build()
    return model


def read_settings(flag: str, folder) -> dict[str, Any]:
  """Returns the settings of a finished world model; arguments as of `load`.

  Raises:
    faults.UsageError: It is no such folder, or M is not finished.
  """
  path = pathlib.Path(folder)
  try:
    found = json.loads((path / 'config.json').read_text())
    finished = json.loads((path / 'stages.json').read_text())
    settings, binary = found['config'], found['binary']
  except (OSError, ValueError, KeyError, TypeError):
    settings, binary, finished = None, None, {}
  if binary != BINARY or 'model' not in finished:
    raise faults.UsageError(
      f'--{flag} must be the folder of a finished run of bin/{BINARY}, '
      f'got {str(folder)!r}'
    )
  return settings


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
