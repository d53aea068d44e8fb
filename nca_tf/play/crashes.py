"""A game that fails again and again is a fault of one line, not of ours."""

import contextlib

from nca_tf import environments
from nca_tf.command_line import faults


@contextlib.contextmanager
def reported():
  """Turns `environments.GameCrashed` into `faults.Fault`."""
  try:
    yield
  except environments.GameCrashed as error:
    raise faults.Fault(
      f'{error}; the same command goes on with this episode'
    ) from error
