"""One processor core for a measurement."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import ClassVar

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.runs import run as run_lib


@dataclasses.dataclass(frozen=True)
class Config(config_flags.Common):
  """Settings of every measurement on one core."""

  threads: int = config_flags.option(
    1, 'Threads that TensorFlow and NumPy may use.', minimum=1, identity=False
  )
  core: int = config_flags.option(
    -1,
    'Processor to run on; auto is the last one allowed.',
    auto=-1,
    minimum=0,
    identity=False,
  )
  rounds: int = config_flags.option(5, 'Measurements of each.', minimum=1)

  # Settings that must name at least one thing to measure.
  NAMED: ClassVar[tuple[str, ...]] = ()

  def validate(self):
    """Refuses a core that this process may not use, and empty lists."""
    super().validate()
    allowed = os.sched_getaffinity(0)
    if self.core >= 0 and self.core not in allowed:
      raise faults.UsageError(
        f'--core must be one of {sorted(allowed)}, got {self.core}'
      )
    for name in self.NAMED:
      if not getattr(self, name):
        raise faults.UsageError(f'--{name} must name at least one, got none')


@contextlib.contextmanager
def start(
  config: Config, subject: str, computes: bool = True
) -> Iterator[run_lib.Run]:
  """Opens a run of bin/benchmark SUBJECT, as `run.start`.

  It and the processes that it starts stay on one core until it is closed.
  """
  allowed = os.sched_getaffinity(0)
  core = max(allowed) if config.core < 0 else config.core
  os.sched_setaffinity(0, {core})
  name, about = f'{subject}-{config.seed}', f'{subject} on core {core}'
  try:
    with run_lib.start(config, 'benchmark', name, about, computes) as run:
      yield run
  finally:
    os.sched_setaffinity(0, allowed)
