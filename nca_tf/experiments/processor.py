"""One processor core for a measurement."""

import contextlib
import os
from collections.abc import Iterator

from nca_tf import faults


def check(core: int):
  """Refuses a core (`--core`) that this process may not use; -1 is any."""
  allowed = os.sched_getaffinity(0)
  if core >= 0 and core not in allowed:
    raise faults.UsageError(
      f'--core must be one of {sorted(allowed)}, got {core}'
    )


@contextlib.contextmanager
def pinned(core: int) -> Iterator[int]:
  """Keeps this process, and those it starts, on one core for a while."""
  allowed = os.sched_getaffinity(0)
  core = max(allowed) if core < 0 else core
  os.sched_setaffinity(0, {core})
  try:
    yield core
  finally:
    os.sched_setaffinity(0, allowed)
