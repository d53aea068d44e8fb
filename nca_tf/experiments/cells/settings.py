"""Settings of a comparison of cells, equal for all of them."""

import dataclasses
import os
import pathlib
from typing import ClassVar

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.cells import comparison
from nca_tf.experiments.controller import settings as controller_settings
from nca_tf.experiments.games import settings as games_settings
from nca_tf.experiments.world_model import settings as world_model_settings
from nca_tf.runs import commands
from nca_tf.runs import run_folder

NAME = 'compare_cells'
_NAMES = tuple(setting.name for setting in comparison.SETTINGS)
_changed = config_flags.changed
_Evolution = controller_settings.EvolutionFlags
_Model = world_model_settings.ModelFlags
_Vision = world_model_settings.VisionFlags


@dataclasses.dataclass(frozen=True)
class Config(_Evolution, _Model, _Vision, games_settings.PlayConfig):
  """Settings of all runs alike; the laptop's budget is a small one."""

  settings: tuple[str, ...] = config_flags.option(
    _NAMES, 'What to compare.', choices=_NAMES
  )
  runs: int = config_flags.option(
    4, 'Searches of a controller in the dream of each M.', minimum=1
  )
  seeds: tuple[int, ...] = config_flags.option(
    (0, 1, 2, 3, 4),
    'Seeds to repeat everything with; --seed is added to each. The same '
    'folder goes on with more of them.',
    minimum=0,
    identity=False,
  )
  policy: str = _changed(
    games_settings.PlayConfig, 'policy', 'wander_or_sweeps'
  )
  # A DNC with about as many weights as the LSTM of as many units.
  memory_slots: int = _changed(_Model, 'memory_slots', 16)
  word_size: int = _changed(_Model, 'word_size', 16)
  read_heads: int = _changed(_Model, 'read_heads', 1)
  keep_best: bool = _changed(_Model, 'keep_best', True)
  frame_skip: int = _changed(games_settings.PlayConfig, 'frame_skip', 4)
  episodes: int = _changed(_Vision, 'episodes', 600)
  vision_steps: int = _changed(_Vision, 'vision_steps', 1500)
  model_steps: int = _changed(_Model, 'model_steps', 600)
  popsize: int = _changed(_Evolution, 'popsize', 32)
  generations: int = _changed(_Evolution, 'generations', 12)
  select_every: int = _changed(_Evolution, 'select_every', 4)
  selection_episodes: int = _changed(_Evolution, 'selection_episodes', 48)
  finalists: int = _changed(_Evolution, 'finalists', 1)
  runoff_episodes: int = _changed(_Evolution, 'runoff_episodes', 0)
  final_episodes: int = _changed(_Evolution, 'final_episodes', 200)

  PRESETS: ClassVar = {
    'smoke': {
      **world_model_settings.SMOKE,
      'seeds': (0,),
      'runs': 1,
      'keep_best': False,
      'dream_rollouts': 2,
      'popsize': 6,
      'generations': 2,
      'select_every': 1,
      'selection_episodes': 2,
      'final_episodes': 4,
    },
    'laptop': {},
    'paper': {
      **world_model_settings.Config.PRESETS['paper'],
      'policy': 'random',
      'frame_skip': 1,
      'fitness': 'sampled',
      'popsize': 64,
      'generations': 1800,
      'select_every': 25,
      'final_episodes': 1000,
    },
  }

  @property
  def compared(self) -> list[comparison.Setting]:
    """What is compared, in the order of `comparison.SETTINGS`."""
    return [each for each in comparison.SETTINGS if each.name in self.settings]

  @property
  def cell_names(self) -> tuple[str, ...]:
    """The cells of all that is compared, each once."""
    names = [cell for setting in self.compared for cell in setting.cells]
    return tuple(dict.fromkeys(names))

  @property
  def run_name(self) -> str:
    """Name of the run below `runs/compare_cells/`."""
    return f'{self.env}-{self.seed}'

  def next_command(self, folder: os.PathLike) -> str:
    """The command that goes on from a finished run in a folder."""
    same = config_flags.arguments(self, ('seed', 'preset', 'threads'))
    name = f'controller-{self.compared[0].name}-1'
    agent = pathlib.Path(folder, f'seed-{self.seeds[0]}', name)
    return commands.line('evaluate', f'--agent={agent}', *same)

  def check_folder(self):
    """Refuses a run folder of other settings, before TensorFlow."""
    run_folder.check(self, NAME, self.run_name)

  def validate(self):
    """Refuses what none of the runs could do, before the first begins."""
    super().validate()
    for name in ('settings', 'seeds'):
      values = getattr(self, name)
      if not values or len(set(values)) < len(values):
        raise faults.UsageError(
          f'--{name} must name at least one, none of them twice, got '
          f'{",".join(map(str, values)) or "none"}'
        )
    config_flags.convert(
      self, world_model_settings.Config, cell=self.cell_names[0]
    ).validate()
