"""Evaluations in a box much narrower than the first step, beside pycma.

A sphere in 5 dimensions whose minimum lies at a corner of the box, on a face,
in the middle or off it, with the stop conditions of each library.
"""

import numpy as np
import tensorflow as tf

from nca_tf.evolution import CMAES
from nca_tf.evolution import objectives
from nca_tf.experiments.benchmarks import measurement
from nca_tf.experiments.benchmarks.cma_es import quality
from nca_tf.experiments.benchmarks.cma_es import settings

WIDTH = 1e-3
SIGMA = 0.3
FTARGET = 1e-10  # A hundredth of the width from the minimum.
_BOUNDS = (0.0, WIDTH)
_START = 0.8  # In widths, every coordinate.
_BUDGET = 20_000
# Where the minimum is, in widths.
MINIMA = {
  'corner': np.zeros(5),
  'face': np.array([0.0, 0.5, 0.5, 0.5, 0.5]),
  'middle': np.full(5, 0.5),
  'off the middle': np.array([0.1, 0.2, 0.3, 0.4, 0.9]),
}


def measure(name: str, programs: dict, peers, config: settings.Config):
  """Runs both optimisers from the same start.

  Args:
    name: One of `MINIMA`.
    programs: Compiled programs; those of all minima are the same.
    peers: The `PeerProcess` of `peers.py`, or None.
    config: Seeds, type and compilation.

  Returns:
    By optimiser, the evaluations of its runs, None where it failed.
  """
  minimum = WIDTH * MINIMA[name]
  players = {'nca_tf': _run_ours(minimum, programs, config)}
  if peers is not None:
    players['pycma'] = _run_pycma(minimum, config.seeds, peers)
  label = f'box of {WIDTH:g}, {name}'
  return measurement.alternate(label, players, config.seeds)


def _sphere(x, minimum):
  return objectives.sphere(tf.cast(x, tf.float64) - minimum)


def _run_ours(minimum, programs, config):
  """Yields the evaluations to the target of each seed, or None."""
  for seed in range(config.seeds):
    search = CMAES(
      np.full(5, _START * WIDTH),
      SIGMA,
      bounds=_BOUNDS,
      seed=seed,
      dtype=config.precision,
      options={'ftarget': FTARGET, 'maxfevals': _BUDGET},
    )
    search.share_programs(programs).optimize(
      _sphere, data=[tf.constant(minimum)], every=1, jit=config.jit != 'off'
    )
    is_found = search.result.fbest <= FTARGET
    yield search.countevals if is_found else None


def _run_pycma(minimum, count, peers):
  """Yields the same of pycma."""
  eye = np.eye(5)
  instance = objectives.BbobInstance(1, minimum, 0.0, eye, eye)
  for seed in range(count):
    answer = peers.ask(
      'minimise',
      objective=quality.bbob_spec(instance),
      x0=np.full(5, _START * WIDTH).tolist(),
      sigma0=SIGMA,
      popsize=None,
      seed=seed,
      maxfevals=_BUDGET,
      ftarget=FTARGET,
      bounds=_BOUNDS,
    )
    yield answer['evaluations'] if answer['best'] <= FTARGET else None
