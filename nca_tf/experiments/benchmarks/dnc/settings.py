"""What the benchmark of the DNC measures, and the results that it wants."""

import dataclasses
import pathlib
from typing import ClassVar

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.benchmarks.dnc import implementations
from nca_tf.runs import one_core
from nca_tf.runs import run_folder

REQUIREMENTS = ('torch==2.15.0', 'numpy')


def _sizes(slots, words, batch, steps, heads=4):
  return dict(slots=slots, words=words, heads=heads, batch=batch, steps=steps)


TINY = _sizes(8, 4, 2, 4, 2)
SIZES = {
  'N64 W32 R4 B16 T50': _sizes(64, 32, 16, 50),
  'N256 W64 R4 B16 T32': _sizes(256, 64, 16, 32),
  'N256 W64 R4 B1 T32': _sizes(256, 64, 1, 32),
  'N256 W64 R4 B64 T32': _sizes(256, 64, 64, 32),
  'N1024 W64 R4 B4 T16': _sizes(1024, 64, 4, 16),
  'tiny': TINY,
}
# One size grows, the others are those of the base.
BASE = _sizes(64, 32, 16, 50)
GROWTH = {
  'slots': (16, 32, 64, 128, 256, 512),
  'batch': (1, 2, 4, 8, 16, 32, 64),
  'steps': (12, 25, 50, 100, 200),
  'heads': (1, 2, 4, 8),
}
# Working memory by the length of a sequence: what a step keeps for the
# gradient, from the two shortest, and the whole of the longest.
LENGTHS = {
  'N64 W32 R4 B16': (BASE, (100, 400)),
  'N256 W64 R4 B4': (_sizes(256, 64, 4, 32), (64, 256, 2000)),
}
TINY_LENGTHS = {'tiny': (TINY, (8, 400))}

# Wanted speeds: setting, peer, at least so many times the peer's speed.
SPEED_TARGETS = (
  ('N64 W32 R4 B16 T50', 'pytorch-dnc', 4.0),
  ('N64 W32 R4 B16 T50', 'deepmind/dnc', 3.0),
  ('N256 W64 R4 B16 T32', 'pytorch-dnc', 2.5),
  ('N256 W64 R4 B16 T32', 'deepmind/dnc', 2.5),
)
# No more working memory than the peers.
MEMORY_TARGET = 'N64 W32 R4 B16 T50'
# Numbers that a step keeps, at most so many times N x N + N x W + h + c.
KEPT_TARGET = ('N256 W64 R4 B4', 1.3)
# Bytes of working memory of the longest sequences, at most.
LONG_TARGET = ('N256 W64 R4 B4', '2000', 6e9)

_PARTS = ('settings', 'memory', 'growth')
_option = config_flags.option


@dataclasses.dataclass(frozen=True)
class Config(one_core.Config):
  """What to measure; RESULTS.md has the results of the defaults."""

  parts: tuple[str, ...] = _option(
    _PARTS, 'What to measure.', choices=_PARTS, identity=False
  )
  # The implementations; the flag's name is older.
  contestants: tuple[str, ...] = _option(
    ('nca_tf', 'nca_tf pure', 'nca_tf checkpoint', 'keras LSTM'),
    'Implementations of this library and Keras; for others see --pytorch_dnc '
    'and --deepmind_dnc.',
    choices=tuple(implementations.OURS),
  )
  pytorch_dnc: str = _option(
    '', "Folder of pytorch-dnc's sources; torch is installed on the first call."
  )
  deepmind_dnc: str = _option('', "Folder of deepmind/dnc's sources.")
  settings: tuple[str, ...] = _option(
    tuple(name for name in SIZES if name != 'tiny'),
    'Sizes.',
    choices=tuple(SIZES),
  )
  growth: tuple[str, ...] = _option(
    tuple(GROWTH), 'Sizes that grow, one at a time.', choices=tuple(GROWTH)
  )
  rounds: int = config_flags.changed(one_core.Config, 'rounds', 7)
  count: int = _option(2, 'Training steps of a turn.', minimum=1)

  NAMED: ClassVar = ('parts', 'contestants', 'settings')
  PRESETS: ClassVar = {
    'smoke': {
      'contestants': ('nca_tf', 'keras LSTM'),
      'settings': ('tiny',),
      'growth': ('heads',),
      'rounds': 2,
      'count': 1,
    },
  }

  def validate(self):
    """Refuses folders without the sources as well."""
    super().validate()
    for name in ('pytorch_dnc', 'deepmind_dnc'):
      folder = getattr(self, name)
      if folder and not (pathlib.Path(folder) / 'dnc' / 'dnc.py').is_file():
        raise faults.UsageError(
          f'--{name} must be a folder with dnc/dnc.py, got {folder!r}'
        )

  def check_folder(self):
    """Refuses a run folder of other settings, before figures and peers."""
    run_folder.check(self, 'benchmark', f'dnc-{self.seed}')
