"""Recurrent cells at predicting Pommerman's next state, integer by integer.

Games of four random agents on our engine; every model of a seed learns from the
same games for the same number of epochs and is scored on the same held-out
ones, beside copying the last state, an untrained model, and an oracle that
knows all but what the other agents do.
"""

import dataclasses
import functools
import os
from typing import ClassVar

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.memory import cell_flags
from nca_tf.memory import cells as cells_lib
from nca_tf.runs import commands
from nca_tf.runs import run_folder
from nca_tf.world_model.states import registry

NAME = 'compare_predictions'
HORIZONS = (1, 5, 10, 20)  # Steps ahead that are scored.
BASELINES = ('copy', 'oracle')
_option = config_flags.option
_changed = functools.partial(config_flags.changed, cell_flags.CellFlags)


@dataclasses.dataclass(frozen=True)
class Config(cell_flags.CellFlags):
  """Settings of all models alike."""

  cells: tuple[str, ...] = _option(
    ('dnc', 'lstm'),
    'Cells to compare; differences are of the first and each other one.',
    choices=cells_lib.names,
  )
  codings: tuple[str, ...] = _option(
    ('categorical', 'mixture'),
    'Codings: one-hot values and logits, or scaled integers and Gaussians.',
    choices=registry.names(),
  )
  seeds: tuple[int, ...] = _option(
    (0, 1, 2),
    'Seeds to repeat everything with; --seed is added to each. The same '
    'folder goes on with more of them.',
    minimum=0,
    identity=False,
  )
  games: int = _option(1500, 'Games to learn from.', minimum=1)
  held_out: int = _option(400, 'Games to score on.', minimum=2)
  oracle_samples: int = _option(
    40, "Draws of the others' actions for the oracle's guess.", minimum=1
  )
  epochs: int = _option(10, 'How often the games are seen.', minimum=1)
  batch: int = _option(8, 'Games learnt from at once.', minimum=1)
  window: int = _option(24, 'Steps that gradients go back through.', minimum=1)
  rate: float = _option(3e-3, 'Learning rate to start from.', minimum=0.0)
  units: int = _changed('units', 128)
  memory_slots: int = _changed('memory_slots', 16)
  word_size: int = _changed('word_size', 16)
  read_heads: int = _changed('read_heads', 2)

  PRESETS: ClassVar = {
    'smoke': {
      'seeds': (0,),
      'games': 40,
      'held_out': 12,
      'oracle_samples': 4,
      'epochs': 1,
      'batch': 4,
      'window': 12,
      'units': 16,
      'memory_slots': 4,
      'word_size': 4,
      'read_heads': 1,
    },
    'laptop': {},
    'paper': {
      'games': 20000,
      'held_out': 2000,
      'epochs': 30,
      'units': 256,
      'memory_slots': 64,
      'word_size': 32,
      'read_heads': 4,
    },
  }

  @property
  def cell_names(self) -> tuple[str, ...]:
    """Names of the cells to compare."""
    return self.cells

  @property
  def models(self) -> list[tuple[str, str]]:
    """(cell, coding) of every model, those of one coding side by side."""
    return [(cell, coding) for coding in self.codings for cell in self.cells]

  @property
  def run_name(self) -> str:
    """Name of the run below `runs/compare_predictions/`."""
    return f'pommerman-{self.seed}'

  def next_command(self, folder: os.PathLike) -> str:
    """The command that goes on from a finished run in a folder."""
    seeds = (*self.seeds, max(self.seeds) + 1)
    more = dataclasses.replace(self, seeds=seeds, run_dir=str(folder))
    return commands.line(NAME, *config_flags.arguments(more))

  def check_folder(self):
    """Refuses a run folder of other settings, before TensorFlow."""
    run_folder.check(self, NAME, self.run_name)

  def validate(self):
    """Refuses lists that are empty or name something twice."""
    super().validate()
    for name in ('cells', 'codings', 'seeds'):
      values = getattr(self, name)
      if not values or len(set(values)) < len(values):
        raise faults.UsageError(
          f'--{name} must name at least one, none of them twice, got '
          f'{",".join(map(str, values)) or "none"}'
        )


def label(cell: str, coding: str, trained: bool = True) -> str:
  """The name of a model in tables, figures and files of scores."""
  return f'{cell}, {coding}' + ('' if trained else ', untrained')
