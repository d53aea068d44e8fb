"""The controller: evolved in the dream, chosen and scored in the real game.

Ha and Schmidhuber, World Models (2018), section 4; the iterations are those of
its section 5: the controller plays, V and M learn from what it saw, and the
controller is evolved again.
"""

import dataclasses
from typing import ClassVar

from nca_tf import precision
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.controller import run as controller_stages
from nca_tf.experiments.world_model import finished as finished_model
from nca_tf.experiments.world_model import settings as train_world_model
from nca_tf.runs import metrics
from nca_tf.runs import run_folder
from nca_tf.world_model import dream

NAME = 'train_controller'
_option = config_flags.option


@dataclasses.dataclass(frozen=True)
class Config(config_flags.Common):
  """Settings of one controller; the defaults are the laptop preset."""

  world_model: str = _option(
    'runs/train_world_model/vizdoom-dnc-0',
    'Folder of a finished run of bin/train_world_model.',
  )
  in_: str = _option(
    'dream', 'Where the controller is evolved.', choices=('dream', 'game')
  )
  untrained: bool = _option(
    False, 'Forget what M has learnt: the ablation. Its dream means nothing.'
  )
  features: tuple[str, ...] = _option(
    ('z', 'h'),
    'What the controller reads.',
    choices=('z', 'h', 'c', 'reads', 'memory'),
  )
  temperature: float = _option(
    1.15, "Of the dream's mixtures; above 1 it is harder to fool.", minimum=0.01
  )
  fitness: str = _option(
    'expected',
    'Fitness of a dream: expected survival, or hard deaths as published.',
    choices=dream.FITNESS,
  )
  dream_rollouts: int = _option(
    16, 'Dreams (or games) per candidate and generation.', minimum=1
  )
  lanes: int = _option(
    256, 'Dreams computed at once.', minimum=1, identity=False
  )
  popsize: int = _option(48, 'Candidates per generation.', minimum=4)
  sigma: float = _option(0.1, 'First step size of CMA-ES.', minimum=1e-6)
  generations: int = _option(30, 'Generations per iteration.', minimum=1)
  evolutions: int = _option(
    1,
    'Evolutions per iteration, each with noise and dreams of its own; the '
    'looks of all compete.',
    minimum=1,
  )
  select_every: int = _option(
    5, 'Generations from one look at the real game to the next.', minimum=1
  )
  selection_episodes: int = _option(
    64, 'Real episodes per look at the mean vector.', minimum=1
  )
  finalists: int = _option(
    4, 'How many of the best looks play the runoff.', minimum=1
  )
  runoff_episodes: int = _option(
    192, 'More real episodes for each finalist.', minimum=0
  )
  final_episodes: int = _option(
    400, 'Fresh real episodes for the score of the chosen one.', minimum=1
  )
  iterations: int = _option(
    1,
    'Times that a controller is evolved; between two of them it plays, and V '
    'and M learn from it.',
    minimum=1,
  )
  collect_episodes: int = _option(
    400, 'Episodes that a controller plays for V and M.', minimum=1
  )
  refit_vision_steps: int = _option(
    1000,
    'Updates of V between iterations; 0 keeps V and the latents that it made.',
    minimum=0,
  )
  refit_model_steps: int = _option(
    1000, 'Updates of M between iterations.', minimum=1
  )
  check_episodes: int = _option(
    100,
    'Episodes of each scripted policy beside the dream; 0 checks nothing.',
    minimum=0,
  )
  accept_dream: bool = _option(
    False, 'Train even in a dream in which standing still survives.'
  )
  processes: int = _option(
    0,
    'Games played at once; 0 is one per core.',
    minimum=0,
    maximum=1024,
    identity=False,
  )

  PRESETS: ClassVar = {
    'smoke': {
      'popsize': 6,
      'dream_rollouts': 2,
      'generations': 2,
      'evolutions': 2,
      'select_every': 1,
      'selection_episodes': 2,
      'finalists': 2,
      'runoff_episodes': 1,
      'final_episodes': 3,
      'iterations': 2,
      'collect_episodes': 4,
      'refit_vision_steps': 10,
      'refit_model_steps': 10,
      'check_episodes': 2,
      'accept_dream': True,
    },
    'laptop': {},
    'paper': {
      'features': ('z', 'h', 'c'),
      'fitness': 'sampled',
      'popsize': 64,
      'generations': 1800,
      'select_every': 25,
      'final_episodes': 1000,
    },
  }

  def validate(self):
    """Refuses a world model that is not there, and features it lacks."""
    model = self.world_model_config
    if model.cell != 'dnc':
      for name in ('reads', 'memory'):
        if name in self.features:
          raise faults.UsageError(
            f'--features must not have {name} for a world model with an '
            f'{model.cell}, got {",".join(self.features)}'
          )
    if len(set(self.features)) < max(1, len(self.features)):
      raise faults.UsageError(
        f'--features must differ, got {",".join(self.features)}'
      )
    if not self.features:
      raise faults.UsageError('--features must name at least one, got none')
    if self.untrained and self.iterations > 1:
      raise faults.UsageError(
        '--iterations must be 1 with --untrained: the next iteration would '
        f'train M, got {self.iterations}'
      )

  @property
  def world_model_config(self) -> train_world_model.Config:
    """Settings of the world model."""
    return finished_model.read_config(
      'world_model', self.world_model, train_world_model.Config
    )


def run(config: Config):
  """Runs every stage that the run folder has not finished yet."""
  model = config.world_model_config
  name = f'{model.env}-{model.cell}-{config.seed}'
  with run_folder.RunFolder.open(config, NAME, name) as folder:
    print(f'{NAME}: {model.env}, {model.cell}, in {folder.path}', flush=True)
    precision.set_precision(config.precision)
    log = metrics.MetricsLog(folder.path, folder.tensorboard)
    stages = controller_stages.Stages(config, folder, log)
    for iteration in range(1, config.iterations + 1):
      stages.learn(iteration)
      stages.check(iteration)
      stages.evolve(iteration)
    stages.choose()
    stages.score()
    stages.draw()
    print((folder.path / 'summary.txt').read_text())
    print(f'Agent:      {folder.export}/agent')
    print(f'Look at it: .venv/bin/tensorboard --logdir={folder.tensorboard}')
    print(f'Next:       bin/evaluate --agent={folder.path} --record=agent.gif')
