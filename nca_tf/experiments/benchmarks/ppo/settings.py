"""What the benchmark of PPO measures, and the results that it wants."""

import dataclasses
import pathlib
from typing import ClassVar

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.runs import one_core
from nca_tf.runs import run_folder

# Where an index has a build of torch for processors alone, pip prefers it.
REQUIREMENTS = (
  'torch==2.13.0',
  'stable-baselines3==2.9.2',
  'gymnasium==1.3.0',
)

# Of all implementations; the fields of `ppo.Settings` and the window's.
SIZES = {
  'lanes': 64,
  'window': 64,
  'epochs': 4,
  'minibatches': 4,
  'learning_rate': 1e-3,
  'clip': 0.2,
  'entropy': 0.01,
  'value_weight': 0.5,
  'discount': 0.99,
  'trace_decay': 0.95,
  'largest_gradient': 0.5,
}
UNITS = (64, 64)
PIXELS = 5  # Of a cell's side, where the grid is an image.
SMALL_SIZES = {**SIZES, 'lanes': 8, 'window': 16, 'minibatches': 2}

# The memory task: dense layers, and sizes of the DNC as POPGym has them.
MEMORY_UNITS = (64,)
MEMORY = {'slots': 16, 'words': 16, 'heads': 4, 'units': 256}
SMALL_MEMORY = {'slots': 4, 'words': 3, 'heads': 1, 'units': 8}

# CartPole-v1: flags of RESULTS.md, as sizes.
CARTPOLE_SIZES = {
  **SIZES,
  'lanes': 8,
  'window': 128,
  'epochs': 8,
  'minibatches': 8,
  'entropy': 0.0,
  'discount': 0.98,
}
CARTPOLE_SOLVED = 475.0, 100  # Mean return of the last so many episodes.
# Steps until a run gives up; the zoo's rates are 0 from 100,000 on.
CARTPOLE_LIMIT = 300_000
ZOO_LIMIT = 100_000

# The grid is solved when the ways of the last so many episodes are at most so
# many times the shortest.
GRID_DETOUR = 1.25
GRID_EPISODES = 500
GRID_LIMIT = 500_000
SMALL_LIMIT = 2_000

SPEED_TARGET = 1.5  # Environment steps per CPU-second over each peer's.
EAGER_TARGET = 50.0  # Those of collection over the eager driver's.
TRACING_TARGET = 3.0  # CPU seconds, of a whole iteration.
MEMORY_TARGET = 3.0  # As SPEED_TARGET, over pytorch-dnc.

_PARTS = ('speed', 'images', 'solve', 'collection', 'memory', 'cartpole')
_option = config_flags.option


@dataclasses.dataclass(frozen=True)
class Config(one_core.Config):
  """What to measure; RESULTS.md has the results of the defaults."""

  parts: tuple[str, ...] = _option(
    _PARTS, 'What to measure.', choices=_PARTS, identity=False
  )
  peers: bool = _option(
    True,
    'Measure PyTorch and stable-baselines3 as well; installs them on the first '
    'call.',
  )
  pytorch_dnc: str = _option(
    '', "Folder of pytorch-dnc's sources, for memory; without it ours alone."
  )
  rounds: int = config_flags.changed(one_core.Config, 'rounds', 9)
  iterations: int = _option(
    5, 'Windows of a turn that are played and learnt from.', minimum=1
  )
  seeds: int = _option(3, 'Runs of solve and cartpole.', minimum=1)
  first_seed: int = _option(10, 'Seed of the first of these runs.', minimum=0)

  NAMED: ClassVar = ('parts',)
  PRESETS: ClassVar = {
    'smoke': {'peers': False, 'rounds': 2, 'iterations': 1, 'seeds': 1},
  }

  def validate(self):
    """Refuses what agents do not do, and a folder without the sources."""
    super().validate()
    folder = self.pytorch_dnc
    if folder and not (pathlib.Path(folder) / 'dnc' / 'dnc.py').is_file():
      raise faults.UsageError(
        f'--pytorch_dnc must be a folder with dnc/dnc.py, got {folder!r}'
      )
    if self.precision != 'float32' or self.jit == 'on':
      raise faults.UsageError(
        '--precision must be float32 and --jit auto or off for agents, got '
        f'{self.precision} and {self.jit}'
      )
    if folder and not self.peers:
      raise faults.UsageError('--pytorch_dnc needs --peers, got --nopeers')

  @property
  def is_small(self) -> bool:
    """Whether sizes are those of a test."""
    return self.preset == 'smoke'

  def check_folder(self):
    """Refuses a run folder of other settings, before TensorFlow."""
    run_folder.check(self, 'benchmark', f'ppo-{self.seed}')
