"""CMA-ES on a shifted Schaffer function: animation and convergence.

The problem is a square valley of many local minima; a search that starts
near (0, 0) has to cross it to (10, 10). Settings of the original toy: 64
candidates, a quarter of them parents, start N(0, 1)^2, at most 63 generations
(4,000 evaluations). Its step size 0.3 is 5 here, half the distance, which is
the usual rule; `--sigma=0.3 --restarts=9` is the hard start.
"""

import time

import numpy as np
import tensorflow as tf

from nca_tf import files
from nca_tf import random_numbers
from nca_tf import random_tensors
from nca_tf.analysis import animation
from nca_tf.evolution import cma_es
from nca_tf.evolution import many_searches
from nca_tf.evolution import objectives
from nca_tf.evolution import stopping
from nca_tf.experiments.toy_cma_es import report
from nca_tf.experiments.toy_cma_es import settings
from nca_tf.runs import progress
from nca_tf.runs import run as run_lib

# The function is a fourth power at its minimum: within 1e-3 it is below 1e-17,
# where the usual tolerances of fitness would have ended the search.
_OPTIONS = stopping.Options(ftarget=1e-20, tolfun=0.0, tolfunhist=0.0)


class Searches:
  """All seeds' searches, one compiled graph for all of them."""

  def __init__(self, config: settings.Config):
    """Takes the constants; the first search compiles."""
    self._config = config
    self.settings = cma_es.Settings.make(
      2,
      popsize=config.popsize,
      mu=float(config.mu),
      active=config.active,
      dtype=config.precision,
    )
    self._unroll = tf.function(
      self._graph, jit_compile=config.jit != 'off', autograph=False
    )

  def start(self, index: int) -> cma_es.State:
    """Returns the first state of a search."""
    seed = self._config.seed + index
    x0 = draw_start(seed)
    return cma_es.initial(self.settings, x0, self._config.sigma, seed)

  def run(self, index: int):
    """Returns mean (2 columns), step size and best fitness, [G + 1, 4]."""
    return self._unroll(self.start(index)).numpy()

  def _graph(self, state):
    count = self._config.generations

    def describe(state):
      parts = [*tf.unstack(state.mean), state.sigma, state.best_fitness]
      return tf.stack([tf.cast(part, tf.float64) for part in parts])

    def body(i, state, rows):
      state, _ = cma_es.step(self.settings, state, objectives.schaffer)
      return i + 1, state, rows.write(i + 1, describe(state))

    rows = tf.TensorArray(tf.float64, count + 1, element_shape=[4])
    start = (0, state, rows.write(0, describe(state)))
    return tf.while_loop(lambda i, *_: i < count, body, start)[2].stack()

  def show(self, index: int, generations: int) -> report.Search:
    """Returns the beginning of a search with all of its candidates."""
    state, frames = self.start(index), []
    for _ in range(generations):
      x = cma_es.ask(self.settings, state)
      mean, root = state.mean.numpy(), state.root.numpy()
      covariance = float(state.sigma) ** 2 * root @ root.T
      state = cma_es.tell(self.settings, state, x, objectives.schaffer(x))
      best = state.best_x.numpy(), float(state.best_fitness)
      frames.append((x.numpy(), mean, covariance, *best))
    return report.Search(*map(np.array, zip(*frames, strict=True)))


def draw_start(seed: int, run: int = 0):
  """Returns where a search begins, or one of its restarts: N(0, 1)^2."""
  key = random_numbers.key(seed, 'toy start', run)
  return random_tensors.normal(key, [2], tf.float64)


def first_within(distances, tolerance: float = settings.TOLERANCE):
  """Returns the first generation below the tolerance, [S]; inf if none.

  The distances are those of the mean from the minimum, [S, G + 1].
  """
  inside = np.asarray(distances) < tolerance
  return np.where(inside.any(1), inside.argmax(1), np.inf)


def run(config: settings.Config):
  """Searches from all seeds, draws the pictures, prints how many succeed."""
  curve = f'cma-es-{config.seed}'
  with run_lib.start(
    config, settings.NAME, config.run_name, curve=curve
  ) as run:
    figures = run.stage('search', lambda: _search(config, run))
    if config.restarts:
      restarts = run.stage('restarts', lambda: _restart(config))
      figures = {**figures, 'restarts': restarts}
    run.publish(report.make(figures))
    for file in sorted(run.figures.iterdir()):
      print(f'wrote {file}')
  return figures


def _search(config, run):
  """Runs all seeds; writes the pictures and TensorBoard's scalars."""
  run.log.rewind('search', -1)  # Records of a search that was killed.
  searches = Searches(config)
  rows, began = [], None  # The first search compiles.
  with progress.Progress(settings.NAME, config.seeds, 'seeds') as bar:
    for index in range(config.seeds):
      rows.append(searches.run(index))
      bar.update(index + 1)
      began = began or time.monotonic()
  if config.seeds > 1:
    rate = (config.seeds - 1) / (time.monotonic() - began)
    run.log.show('search', config.generations, searches_per_second=rate)
  rows = np.stack(rows)  # [S, G + 1, 4]
  distances = _distance(rows[..., :2])
  sigmas = rows[..., 2].astype(config.precision)
  for i in range(config.generations + 1):
    run.log.write(
      'search',
      i,
      median_distance=np.median(distances[:, i]),
      share_within=np.mean(distances[:, : i + 1].min(1) < settings.TOLERANCE),
      median_step_size=np.median(sigmas[:, i]),
      median_best_fitness=np.median(rows[:, i, 3]),
    )
  _draw(config, run, searches, distances)
  reached = first_within(distances)
  found = reached[np.isfinite(reached)]
  return {
    'seeds': config.seeds,
    'sigma': config.sigma,
    'found': len(found),
    'median_generation': float(np.median(found)) if len(found) else None,
    'median_final_distance': float(np.median(distances[:, -1])),
  }


def _restart(config):
  """Searches from the same starts, restarting when a search is stuck."""
  searches = many_searches.ManySearches(
    objectives.schaffer,
    config.sigma,
    popsize=config.popsize,
    jit=config.jit != 'off',
    mu=float(config.mu),
    active=config.active,
    dtype=config.precision,
  )
  found = []
  with progress.Progress('with restarts', config.seeds, 'seeds') as bar:
    for seed in range(config.seed, config.seed + config.seeds):
      starts = [draw_start(seed, i) for i in range(config.restarts + 1)]
      found.append(searches.minimise(starts, seed, _OPTIONS))
      bar.update(len(found))
  hits = [each for each in found if _distance(each.x) < settings.TOLERANCE]
  return {
    'seeds': config.seeds,
    'restarts': config.restarts,
    'found': len(hits),
    'median_evaluations': np.median([hit.evaluations for hit in hits] or [0]),
    'most_runs': max([hit.runs for hit in hits], default=0),
  }


def _distance(points):
  """Largest coordinate of points [..., 2] less the minimum, [...]."""
  return np.abs(points - np.array(objectives.SCHAFFER_MINIMUM)).max(-1)


def _draw(config, run, searches, distances):
  # Once the mean has arrived, all candidates lie in one dot.
  end = int(min(config.generations, first_within(distances[:1])[0] + 3))
  frames = report.animate(searches.show(0, end))
  frames = np.concatenate([frames, frames[-1:].repeat(int(config.fps) + 1, 0)])
  gif = animation.gif_bytes(frames, config.fps, report.COLOURS)
  files.write_whole(run.figures / 'search.gif', gif)
  size = frames.shape[1:3]
  run.log.animation('figures/search', gif, size, config.generations)
  title = f'CMA-ES, {config.popsize} candidates, first step {config.sigma:g}'
  figure = report.convergence(distances, settings.TOLERANCE, title)
  run.show('convergence', figure, config.generations)
