"""An agent that learns by gradients of its policy, and explores.

PPO: Schulman et al. (2017). REINFORCE with a baseline: Williams (1992).
Exploration by random network distillation (RND): Burda et al. (2018).
"""

import dataclasses
import re
from typing import TYPE_CHECKING, ClassVar

from nca_tf.agents import algorithms
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.agents import arenas
from nca_tf.memory import cell_flags
from nca_tf.memory import cells
from nca_tf.runs import commands
from nca_tf.runs import run_folder

if TYPE_CHECKING:  # TensorFlow is not imported for --help.
  from nca_tf.agents.ppo import advantages

NAME = 'train_agent'
NO_CELL = 'none'
_option = config_flags.option


@dataclasses.dataclass(frozen=True)
class Config(cell_flags.CellFlags):
  """Settings of one agent; the laptop preset takes a minute on one core."""

  env: str = _option(
    'rooms',
    'Where it plays: rooms, pixel_copter, vizdoom (Take Cover), a game of '
    'memory such as repeat_previous_easy or cue_recall-40, or gym:<id> of '
    'Gymnasium.',
  )
  size: int = _option(15, 'Cells of a side of rooms.', minimum=3, maximum=100)
  observation: str = _option(
    'features',
    'What it sees of pixel_copter.',
    choices=('features', 'frames'),
  )
  algorithm: str = _option('ppo', 'How it learns.', choices=algorithms.names)
  rnd: bool = _option(
    False, 'Reward what was seldom seen, with values of its own.'
  )
  intrinsic_only: bool = _option(
    False, 'Leave out the reward of the environment; needs --rnd.'
  )
  values: str = _option(
    'two',
    'Values of --rnd: two, one for each reward, or one of their sum, a bonus '
    'that ends with the episode (an ablation).',
    choices=('two', 'one'),
  )
  cell: str = _option(
    NO_CELL,
    'Recurrent cell after the dense layers.',
    choices=lambda: (NO_CELL, *cells.names()),
  )
  units: int = config_flags.changed(cell_flags.CellFlags, 'units', 64)
  memory_slots: int = config_flags.changed(
    cell_flags.CellFlags, 'memory_slots', 16
  )
  word_size: int = config_flags.changed(cell_flags.CellFlags, 'word_size', 16)
  layers: tuple[int, ...] = _option(
    (64, 64), 'Units of the dense layers.', minimum=1
  )
  steps: int = _option(
    1_000_000, 'Steps to learn from, in all lanes together.', minimum=1
  )
  lanes: int = _option(
    64, 'Episodes played side by side.', minimum=1, maximum=65536
  )
  window: int = _option(
    128, 'Steps of each lane per update.', minimum=2, maximum=65536
  )
  learning_rate: float = _option(1e-3, "Adam's rate.", minimum=0)
  epochs: int = _option(
    4, 'Passes over each window; REINFORCE makes one.', minimum=1
  )
  minibatches: int = _option(
    4, 'Parts of a pass; REINFORCE takes it whole.', minimum=1
  )
  clip: float = _option(
    0.2,
    'Largest change of a probability that PPO rewards.',
    minimum=1e-6,
  )
  entropy: float = _option(
    0.01, "Weight of the policy's entropy.", minimum=0, maximum=100
  )
  # At the 0.999 of the paper it hardly costs anything to wander about for an
  # episode, and what was learnt is forgotten for the sake of novelty.
  discount: float = _option(
    0.99, 'Of the rewards of the environment.', minimum=0, maximum=1
  )
  trace_decay: float = _option(
    0.95, "Lambda of PPO's advantages.", minimum=0, maximum=1
  )
  predictor_rate: float = _option(
    1e-4, "Adam's rate of the predictor of --rnd.", minimum=0
  )
  prime: int = _option(
    4,
    'Windows played before the first update, for the scale of observations; '
    'with --rnd.',
    minimum=1,
  )
  score_episodes: int = _option(
    100, 'Whole episodes for the score.', minimum=1, maximum=65536
  )

  PRESETS: ClassVar = {
    'smoke': {
      'size': 5,
      'layers': (16,),
      'units': 8,
      'memory_slots': 5,
      'word_size': 4,
      'read_heads': 1,
      'lanes': 8,
      'window': 16,
      'steps': 8 * 16 * 40,
      'score_episodes': 8,
    },
    'laptop': {},
    'paper': {
      'steps': 2_000_000_000,
      'lanes': 128,
      'learning_rate': 1e-4,
      'discount': 0.999,
    },
  }

  @property
  def cell_names(self):
    """The cell, if there is one."""
    return () if self.cell == NO_CELL else (self.cell,)

  @property
  def label(self) -> str:
    """What learns, as in the names of folders."""
    if self.intrinsic_only:
      return f'{self.algorithm}-intrinsic'
    if self.values == 'one':
      return f'{self.algorithm}-rnd-one-value'
    return f'{self.algorithm}-rnd' if self.rnd else self.algorithm

  @property
  def updates(self) -> int:
    """Windows to learn from."""
    return -(-self.steps // (self.lanes * self.window))

  @property
  def streams(self) -> 'tuple[advantages.Stream, ...]':
    """Rewards that have values of their own."""
    from nca_tf.agents.ppo import agent as ppo
    from nca_tf.agents.rnd import distillation as rnd

    if self.intrinsic_only:
      return (rnd.INTRINSIC,)
    extrinsic = rnd.EXTRINSIC if self.rnd else ppo.EXTRINSIC
    extrinsic = extrinsic._replace(discount=self.discount)
    if self.values == 'one':
      return (extrinsic._replace(name='sum'),)
    return (extrinsic, rnd.INTRINSIC) if self.rnd else (extrinsic,)

  @property
  def run_name(self) -> str:
    """Name of the run below `runs/train_agent/`."""
    where = re.sub(r'\W+', '_', self.env)
    return f'{where}-{self.label}-{self.cell}-{self.seed}'

  def next_command(self) -> str:
    """The command that explores where this agent did not, or remembers."""
    change = {'cell': 'dnc'} if self.rnd else {'rnd': True}
    config = dataclasses.replace(self, run_dir='', **change)
    return commands.line(NAME, *config_flags.arguments(config))

  def check_folder(self):
    """Refuses a run folder of other settings, before TensorFlow."""
    run_folder.check(self, NAME, self.run_name)

  def validate(self):
    """Refuses settings that contradict each other."""
    super().validate()
    arenas.get(self.env)
    if self.intrinsic_only and not self.rnd:
      raise faults.UsageError('--intrinsic_only needs --rnd, got --nornd')
    if self.values == 'one' and (self.intrinsic_only or not self.rnd):
      given = '--intrinsic_only' if self.intrinsic_only else '--nornd'
      raise faults.UsageError(
        f'--values=one needs --rnd and both of its rewards, got {given}'
      )
    if self.precision != 'float32':
      raise faults.UsageError(
        f'--precision must be float32 for agents, got {self.precision}'
      )
    if self.jit == 'on':
      raise faults.UsageError(
        '--jit must be auto or off for agents, whose play XLA does not '
        'compile, got on'
      )
    rows = self.lanes if self.cell_names else self.lanes * self.window
    if self.minibatches > rows:
      what = 'lanes' if self.cell_names else 'steps of a window'
      raise faults.UsageError(
        f'--minibatches must be at most the {rows} {what}, got '
        f'{self.minibatches}'
      )
    if not self.layers:
      raise faults.UsageError('--layers must name at least one, got none')
