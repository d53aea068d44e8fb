"""Settings of the toy."""

import dataclasses
from typing import ClassVar

from nca_tf.command_line import config_flags
from nca_tf.runs import run_folder

NAME = 'toy_cma_es'
TOLERANCE = 1e-3  # Largest coordinate of mean - (10, 10) that counts as found.
_option = config_flags.option


@dataclasses.dataclass(frozen=True)
class Config(config_flags.Common):
  """How many searches, and with which constants of CMA-ES."""

  precision: str = _option(
    'float64', 'Number type of the search.', choices=('float32', 'float64')
  )
  seeds: int = _option(
    100, 'Searches, each with a start of its own.', minimum=1
  )
  sigma: float = _option(5.0, 'First step size.', minimum=1e-6, maximum=1e6)
  popsize: int = _option(64, 'Candidates per generation.', minimum=4)
  mu: float = _option(
    0.25, 'Share of the candidates that are parents.', minimum=0.01, maximum=0.5
  )
  active: bool = _option(True, 'Negative weights for the worst candidates.')
  generations: int = _option(
    63, 'Generations of a search, without restarts.', minimum=1
  )
  restarts: int = _option(
    0,
    'Restarts of a search that has converged elsewhere, each with twice the '
    'candidates (IPOP).',
    minimum=0,
    maximum=20,
  )
  fps: float = _option(
    5.0, 'Generations per second of the animation.', minimum=0.1, maximum=50
  )

  PRESETS: ClassVar = {
    'smoke': {'seeds': 3, 'generations': 30},
    'paper': {'sigma': 0.3, 'active': False},
  }

  @property
  def run_name(self) -> str:
    """Name of the run below `runs/toy_cma_es/`."""
    return f'schaffer-{self.sigma:g}-{self.seed}'

  def check_folder(self):
    """Refuses a run folder of other settings, before TensorFlow."""
    run_folder.check(self, NAME, self.run_name)
