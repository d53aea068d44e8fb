"""Settings of a comparison of learning algorithms, equal for all of them."""

import dataclasses
import re
from typing import ClassVar

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.agent_comparison import comparison
from nca_tf.experiments.agents import settings as agent_settings
from nca_tf.experiments.controller import settings as controller_settings
from nca_tf.runs import commands
from nca_tf.runs import run_folder

NAME = 'compare_agents'
_NAMES = tuple(setting.name for setting in comparison.SETTINGS)
_Agent = agent_settings.Config
_option = config_flags.option


@dataclasses.dataclass(frozen=True)
class Config(config_flags.Common):
  """Settings of all trainings alike; what is not here is train_agent's."""

  env: str = config_flags.changed(_Agent, 'env', 'pixel_copter')
  size: int = config_flags.changed(_Agent, 'size', 15)
  algorithms: tuple[str, ...] = _option(
    _NAMES, 'What to compare.', choices=_NAMES
  )
  seeds: tuple[int, ...] = _option(
    (0, 1, 2),
    'Seeds to repeat everything with; --seed is added to each. The same '
    'folder goes on with more of them.',
    minimum=0,
    identity=False,
  )
  steps: int = _option(
    2_000_000, 'Steps that each training has, in all lanes.', minimum=1
  )
  lanes: int = config_flags.changed(_Agent, 'lanes', 64)
  window: int = config_flags.changed(_Agent, 'window', 128)
  popsize: int = _option(16, 'Candidates of CMA-ES.', minimum=4)
  games: int = _option(
    8, 'Episodes per candidate and generation of CMA-ES.', minimum=1
  )
  sigma: float = _option(0.5, 'First step size of CMA-ES.', minimum=1e-6)
  evaluations: int = _option(
    25, 'Evaluations of the policy that learns, denser at first.', minimum=1
  )
  episodes: int = _option(32, 'Episodes per evaluation.', minimum=1)
  score_episodes: int = _option(
    200, 'Episodes on fresh seeds for the score at the end.', minimum=1
  )
  policy_episodes: int = _option(
    200, 'Episodes of each scripted policy.', minimum=1
  )
  processes: int = config_flags.changed(
    controller_settings.Config, 'processes', 0
  )

  PRESETS: ClassVar = {
    'smoke': {
      'seeds': (0,),
      'size': 5,
      'steps': 8 * 16 * 6,
      'lanes': 8,
      'window': 16,
      'popsize': 4,
      'games': 2,
      'evaluations': 3,
      'episodes': 4,
      'score_episodes': 4,
      'policy_episodes': 4,
    },
    'laptop': {},
    'paper': {'steps': 50_000_000, 'lanes': 128},
  }

  @property
  def compared(self) -> list[comparison.Setting]:
    """What is compared, in the order of `comparison.SETTINGS`."""
    names = self.algorithms
    return [each for each in comparison.SETTINGS if each.name in names]

  @property
  def run_name(self) -> str:
    """Name of the run below `runs/compare_agents/`."""
    where = re.sub(r'\W+', '_', self.env)
    return f'{where}-{self.seed}'

  def evaluated_at(self, number: int) -> int:
    """Steps at which an evaluation is due, counted from 1.

    Their spacing grows: what is learnt first is learnt within few steps.
    """
    return -(-self.steps * number**2 // self.evaluations**2)

  def agent_config(self, setting: comparison.Setting, seed: int) -> _Agent:
    """Settings of one training by gradients."""
    return config_flags.convert(
      self, _Agent, run_dir='', seed=self.seed + seed, **setting.changes
    )

  def next_command(self) -> str:
    """The command that trains one of these agents by itself, to keep it."""
    same = config_flags.arguments(self, ('preset', 'threads'))
    return commands.line(agent_settings.NAME, f'--env={self.env}', *same)

  def check_folder(self):
    """Refuses a run folder of other settings, before TensorFlow."""
    run_folder.check(self, NAME, self.run_name)

  def validate(self):
    """Refuses what one of the trainings could not do, before the first."""
    super().validate()
    for name in ('algorithms', 'seeds'):
      values = getattr(self, name)
      if not values or len(set(values)) < len(values):
        raise faults.UsageError(
          f'--{name} must name at least one, none of them twice, got '
          f'{",".join(map(str, values)) or "none"}'
        )
    for setting in self.compared:
      if setting.changes is None:
        config_flags.convert(
          self, controller_settings.GameConfig, run_dir=''
        ).validate()
      else:
        self.agent_config(setting, 0).validate()
