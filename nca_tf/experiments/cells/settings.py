"""DNC, LSTM and untrained M compared: equal data, equal V, equal budget.

For every seed one set of rollouts and one V; for every cell one M; for every
setting of cell_settings one controller, evolved in the dream of its M and
scored on the same real episodes as the others.
"""

import dataclasses
from typing import ClassVar

from nca_tf import precision
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.cells import comparison as cell_settings
from nca_tf.experiments.cells import report as cell_report
from nca_tf.experiments.cells import run as cell_stages
from nca_tf.experiments.controller import settings as train_controller
from nca_tf.experiments.games import settings as play_config
from nca_tf.experiments.world_model import settings as train_world_model
from nca_tf.runs import metrics
from nca_tf.runs import run_folder

NAME = 'compare_cells'
_NAMES = tuple(setting.name for setting in cell_settings.SETTINGS)


def _like(config_class, name, default=None):
  """The field of another experiment, perhaps with another default."""
  field = config_class.__dataclass_fields__[name]
  default = field.default if default is None else default
  return dataclasses.field(default=default, metadata=field.metadata)


def _model(name, default=None):
  return _like(train_world_model.Config, name, default)


def _controller(name, default=None):
  return _like(train_controller.Config, name, default)


@dataclasses.dataclass(frozen=True)
class Config(play_config.PlayConfig):
  """Settings of all runs alike; the laptop's budget is a small one."""

  settings: tuple[str, ...] = config_flags.option(
    _NAMES, 'What to compare.', choices=_NAMES
  )
  seeds: tuple[int, ...] = config_flags.option(
    (0, 1, 2),
    'Seeds to repeat everything with; --seed is added to each. The same '
    'folder goes on with more of them.',
    minimum=0,
    identity=False,
  )
  policy: str = _model('policy', 'wander')
  frame_skip: int = _model('frame_skip', 4)
  episodes: int = _model('episodes', 600)
  held_out: int = _model('held_out')
  vision: str = _model('vision')
  latent_size: int = _model('latent_size')
  vision_steps: int = _model('vision_steps', 1500)
  vision_batch: int = _model('vision_batch')
  vision_rate: float = _model('vision_rate')
  units: int = _model('units')
  memory_slots: int = _model('memory_slots')
  word_size: int = _model('word_size')
  read_heads: int = _model('read_heads')
  mixtures: int = _model('mixtures')
  model_steps: int = _model('model_steps', 600)
  model_batch: int = _model('model_batch')
  window: int = _model('window')
  model_rate: float = _model('model_rate')
  model_decay: float = _model('model_decay')
  temperature: float = _controller('temperature')
  fitness: str = _controller('fitness')
  dream_rollouts: int = _controller('dream_rollouts', 16)
  lanes: int = _controller('lanes')
  popsize: int = _controller('popsize', 32)
  sigma: float = _controller('sigma')
  generations: int = _controller('generations', 12)
  select_every: int = _controller('select_every', 4)
  selection_episodes: int = _controller('selection_episodes', 48)
  finalists: int = _controller('finalists', 1)
  runoff_episodes: int = _controller('runoff_episodes', 0)
  final_episodes: int = _controller('final_episodes', 200)

  PRESETS: ClassVar = {
    'smoke': {
      **train_world_model.Config.PRESETS['smoke'],
      'seeds': (0,),
      'dream_rollouts': 2,
      'popsize': 6,
      'generations': 2,
      'select_every': 1,
      'selection_episodes': 2,
      'final_episodes': 4,
    },
    'laptop': {},
    'paper': {
      **train_world_model.Config.PRESETS['paper'],
      'policy': 'random',
      'frame_skip': 1,
      'fitness': 'sampled',
      'popsize': 64,
      'generations': 1800,
      'select_every': 25,
      'final_episodes': 1000,
    },
  }

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
    cell_stages.share(self, train_world_model.Config, cell='dnc').validate()


def run(config: Config):
  """Runs what the run folder has not finished yet, and reports."""
  name = f'{config.env}-{config.seed}'
  with run_folder.RunFolder.open(config, NAME, name) as folder:
    print(f'{NAME}: {config.env}, in {folder.path}', flush=True)
    precision.set_precision(config.precision)
    log = metrics.MetricsLog(folder.path, folder.tensorboard)
    stages = cell_stages.Stages(config, folder, log)
    stages.play_policies()
    for seed in config.seeds:
      stages.learn(seed)
      stages.check(seed)
      stages.evolve(seed)
    cell_report.write(stages)
    print((folder.path / 'summary.txt').read_text())
    print(f'Figure:     {folder.figures}/scores.png')
    print(f'Look at it: .venv/bin/tensorboard --logdir={folder.path}')
    print('Next:       bin/evaluate --agent=FOLDER, with a folder of')
    print(f'            {folder.path}/seed-*/controller-*')
