"""The one training loop: progress, metrics, checkpoints, resume, NaN."""

import math
import time

from nca_tf.command_line import faults
from nca_tf.runs import progress

LOG_EVERY = 50  # steps, at most
SAVE_SECONDS = 60
EVALUATIONS = 10  # on held-out data, per training


def fit(stage, step, total, *, checkpoints, log, held_out=None):
  """Runs `step(index)` for every index below `total` that is not done yet.

  Checkpoints fall on the borders of logging windows, so that a resumed run
  writes the very records of an uninterrupted one.

  Args:
    stage: its name in metrics and on the screen.
    step: function of the step's index; trains once and returns a dict of
      scalars. It must depend on the index and on checkpointed state alone.
    total: number of steps.
    checkpoints: runs.checkpoints.Checkpoints of this stage.
    log: runs.metrics.MetricsLog.
    held_out: function of the number of finished steps, called about
      EVALUATIONS times; the scalars it returns are recorded as `held_out_...`.

  Raises:
    Fault: a value that is not finite, and the last good checkpoint stays; or
      the checkpoint is of another model.
  """
  log_every = max(1, min(LOG_EVERY, total // (2 * EVALUATIONS)))
  evaluate_every = log_every * max(1, total // (EVALUATIONS * log_every))
  try:
    start = checkpoints.restore()
  except ValueError as error:
    raise faults.Fault(f'{error}; choose another --run_dir') from error
  log.rewind(stage, start)
  saved = time.monotonic()
  window, began = [], None  # The first window compiles.
  with progress.Progress(stage, total, 'steps', start) as bar:
    for index in range(start, total):
      window.append(_finite(stage, index, step(index), checkpoints))
      done = index + 1
      if done % log_every and done < total:
        continue
      means = {
        name: sum(scalars[name] for scalars in window) / len(window)
        for name in window[0]
      }
      if began:
        seconds = time.monotonic() - began
        log.show(stage, done, steps_per_second=len(window) / seconds)
      window = []
      if held_out and (done % evaluate_every == 0 or done == total):
        found = held_out(done)
        means |= {f'held_out_{name}': found[name] for name in found}
      log.write(stage, done, **means)
      bar.update(done, **means)
      if done == total or time.monotonic() - saved > SAVE_SECONDS:
        checkpoints.save(done)
        saved = time.monotonic()
      began = time.monotonic()
  log.flush()


def _finite(stage, index, scalars, checkpoints):
  scalars = {name: float(value) for name, value in scalars.items()}
  for name, value in scalars.items():
    if not math.isfinite(value):
      good = checkpoints.latest or 'none yet'
      raise faults.Fault(
        f'{stage}: {name} is {value} at step {index}; training stopped, '
        f'last good checkpoint: {good}'
      )
  return scalars
