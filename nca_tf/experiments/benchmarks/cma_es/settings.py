"""What the benchmark of CMA-ES measures, and the results that it wants."""

import dataclasses
from typing import ClassVar

from nca_tf.command_line import config_flags
from nca_tf.runs import one_core
from nca_tf.runs import run_folder

REQUIREMENTS = ('cma==4.5.0', 'evosax==0.3.2', 'jax==0.10.2')

# Speed, by dimension: generations after which a run starts again, before the
# ellipsoid has converged. 0 lets one run continue from chunk to chunk, since
# pycma decomposes its matrix only every third generation at 1089 dimensions.
SPANS = {2: 50, 10: 150, 100: 500, 1089: 0}

# Wanted speeds: (n, precision, peer, least ratio of generations per
# CPU-second).
SPEED_TARGETS = (
  (2, 'float64', 'pycma', 40.0),
  (10, 'float64', 'pycma', 10.0),
  (100, 'float64', 'pycma', 2.0),
  (1089, 'float64', 'pycma', 2.0),
  (1089, 'float32', 'pycma', 5.0),
  (2, 'float64', 'evosax', 0.9),
  (10, 'float64', 'evosax', 1.0),
  (100, 'float32', 'evosax', 1.0),
  (1089, 'float32', 'evosax', 10.0),
)
# A generation at 1089 dimensions costs at most so many of the matrix products
# that its sampling needs.
PRODUCT_TARGET = 4.0
RATIO_TARGET = (0.9, 1.1)  # Median evaluations over pycma's.
ROTATION_TARGET = (0.95, 1.05)  # Rotated over plain ellipsoid.
NARROW_TARGET = 1.0  # Median evaluations over pycma's in a narrow box.

# Those of `objectives.BBOB_FUNCTIONS`, which imports TensorFlow.
FUNCTIONS = (1, 2, 8, 10, 15)
_PARTS = ('speed', 'quality', 'bbob', 'narrow')
_option = config_flags.option


@dataclasses.dataclass(frozen=True)
class Config(one_core.Config):
  """What to measure; RESULTS.md has the results of the defaults."""

  precision: str = _option(
    'float64',
    'Number type of all but speed, which measures both.',
    choices=('float32', 'float64'),
  )
  parts: tuple[str, ...] = _option(
    _PARTS, 'What to measure.', choices=_PARTS, identity=False
  )
  peers: bool = _option(
    True, 'Measure pycma and evosax as well; installs them on the first call.'
  )
  dimensions: tuple[int, ...] = _option(
    tuple(SPANS), 'Dimensions of speed.', minimum=2
  )
  rounds: int = config_flags.changed(one_core.Config, 'rounds', 9)
  chunk_seconds: float = _option(
    0.5, 'CPU seconds of a chunk, about.', minimum=0.001, maximum=60
  )
  quality_dimensions: tuple[int, ...] = _option(
    (10, 40), 'Dimensions of quality.', minimum=2
  )
  seeds: int = _option(25, 'Runs per problem of quality and narrow.', minimum=1)
  bbob_dimensions: tuple[int, ...] = _option(
    (2, 10, 40), 'Dimensions of bbob.', minimum=2
  )
  functions: tuple[int, ...] = _option(
    FUNCTIONS, 'Functions of bbob.', choices=FUNCTIONS
  )
  instances: int = _option(15, 'Instances of bbob.', minimum=1)
  budget: int = _option(
    10000, 'Evaluations per dimension, restarts included.', minimum=1
  )

  NAMED: ClassVar = ('parts', 'dimensions', 'quality_dimensions', 'functions')
  PRESETS: ClassVar = {
    'smoke': {
      'peers': False,
      'dimensions': (2,),
      'rounds': 2,
      'chunk_seconds': 0.01,
      'quality_dimensions': (2,),
      'seeds': 2,
      'bbob_dimensions': (2,),
      'functions': (1, 15),
      'instances': 2,
      'budget': 500,
    },
  }

  def check_folder(self):
    """Refuses a run folder of other settings, before TensorFlow."""
    run_folder.check(self, 'benchmark', f'cma_es-{self.seed}')
