"""DNC against LSTM at predicting Pommerman's next state, integer by integer.

Games of four random agents on our engine; every model of a seed learns from the
same games for the same number of epochs and is scored on the same held-out
ones, beside copying the last state, an untrained model, and an oracle that
knows all but what the other agents do.
"""

import dataclasses
from typing import ClassVar

from nca_tf import precision
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.predictions import report as prediction_report
from nca_tf.experiments.predictions import run as prediction_stages
from nca_tf.memory import cells as cells_lib
from nca_tf.runs import metrics
from nca_tf.runs import run_folder
from nca_tf.world_model.states import codings as codings_lib

NAME = 'compare_predictions'
_option = config_flags.option


@dataclasses.dataclass(frozen=True)
class Config(config_flags.Common):
  """Settings of all models alike."""

  cells: tuple[str, ...] = _option(
    ('dnc', 'lstm'), 'Cells to compare.', choices=cells_lib.names()
  )
  codings: tuple[str, ...] = _option(
    ('categorical', 'mixture'),
    'Codings: one-hot values and logits, or scaled integers and Gaussians.',
    choices=codings_lib.names(),
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
  units: int = _option(
    128, "Units of the LSTM, and of the DNC's controller.", minimum=1
  )
  memory_slots: int = _option(16, "Slots of the DNC's memory.", minimum=1)
  word_size: int = _option(16, 'Numbers in a slot.', minimum=1)
  read_heads: int = _option(2, 'Slots read at once.', minimum=1)

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

  def validate(self):
    """Refuses lists with nothing or something twice in them."""
    for name in ('cells', 'codings', 'seeds'):
      values = getattr(self, name)
      if not values or len(set(values)) < len(values):
        raise faults.UsageError(
          f'--{name} must name at least one, none of them twice, got '
          f'{",".join(map(str, values)) or "none"}'
        )


def run(config: Config):
  """Runs what the run folder has not finished yet, and reports."""
  with run_folder.RunFolder.open(
    config, NAME, f'pommerman-{config.seed}'
  ) as folder:
    print(f'{NAME}: in {folder.path}', flush=True)
    precision.set_precision(config.precision)
    log = metrics.MetricsLog(folder.path, folder.tensorboard)
    stages = prediction_stages.Stages(config, folder, log)
    for seed in config.seeds:
      stages.collect(seed)
      stages.score_baselines(seed)
      for cell, coding in stages.models:
        stages.score(seed, cell, coding)
    prediction_report.write(stages)
    print((folder.path / 'summary.txt').read_text())
    print(f'Figures:    {folder.figures}')
    print(f'Look at it: .venv/bin/tensorboard --logdir={folder.tensorboard}')
    print('Next:       the same command with more --seeds or another --run_dir')
