"""CMA-ES on a shifted Schaffer function: animation and convergence.

The problem is a square valley of many local minima; a search that starts
near (0, 0) has to cross it to (10, 10). Settings of the original toy: 64
candidates, a quarter of them parents, start N(0, 1)^2, at most 63 generations
(4,000 evaluations). Its step size 0.3 is 5 here, half the distance, which is
the field's rule; `--sigma=0.3 --restarts=9` is the hard start.
"""

import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf

from nca_tf import files
from nca_tf import random_numbers
from nca_tf.analysis import animation
from nca_tf.analysis import canvas
from nca_tf.command_line import config_flags
from nca_tf.evolution import cma_es
from nca_tf.evolution import many_searches as cma_es_restarts
from nca_tf.evolution import objectives
from nca_tf.evolution import stopping
from nca_tf.experiments.toy_cma_es import report as pictures
from nca_tf.runs import metrics
from nca_tf.runs import progress
from nca_tf.runs import run_folder

NAME = 'toy_cma_es'
TOLERANCE = 1e-3  # Largest coordinate of mean - (10, 10) that counts as found.
# The function is a fourth power at its minimum: within 1e-3 it is below 1e-17,
# where the usual tolerances of fitness would have ended the search.
_OPTIONS = stopping.Options(ftarget=1e-20, tolfun=0.0, tolfunhist=0.0)
_option = config_flags.option


@dataclasses.dataclass(frozen=True)
class Config(config_flags.Common):
  """Settings of the toy."""

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
    'laptop': {},
    'paper': {'sigma': 0.3, 'active': False},
  }


class Searches:
  """All seeds' searches, one compiled graph for all of them."""

  def __init__(self, config: Config):
    """Compiles nothing yet."""
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
    """First state of a seed."""
    seed = self._config.seed + index
    x0 = draw_start(seed)
    return cma_es.initial(self.settings, x0, self._config.sigma, seed)

  def run(self, index: int):
    """Means [G + 1, 2], step sizes and best fitness [G + 1] of one seed."""
    means, sigmas, best = self._unroll(self.start(index))
    return means.numpy(), sigmas.numpy(), best.numpy()

  def _graph(self, state):
    count = self._config.generations

    def record(arrays, i, state):
      values = (state.mean, state.sigma, state.best_fitness)
      return tuple(
        array.write(i, value)
        for array, value in zip(arrays, values, strict=True)
      )

    def body(i, state, arrays):
      state, _ = cma_es.step(self.settings, state, objectives.schaffer)
      return i + 1, state, record(arrays, i + 1, state)

    arrays = tuple(
      tf.TensorArray(field.dtype, count + 1, element_shape=field.shape)
      for field in (state.mean, state.sigma, state.best_fitness)
    )
    arrays = tf.while_loop(
      lambda i, *_: i < count, body, (0, state, record(arrays, 0, state))
    )[2]
    return tuple(array.stack() for array in arrays)

  def show(self, index: int, generations: int) -> pictures.Search:
    """The beginning of one seed's search with all of its candidates."""
    state, frames = self.start(index), []
    for _ in range(generations):
      x = cma_es.ask(self.settings, state)
      mean, root = state.mean.numpy(), state.root.numpy()
      covariance = float(state.sigma) ** 2 * root @ root.T
      state = cma_es.tell(self.settings, state, x, objectives.schaffer(x))
      best = state.best_x.numpy(), float(state.best_fitness)
      frames.append((x.numpy(), mean, covariance, *best))
    return pictures.Search(*map(np.array, zip(*frames, strict=True)))


def draw_start(seed: int, run: int = 0):
  """Where a seed begins, and where each restart does: N(0, 1)^2."""
  key = random_numbers.key(seed, 'toy start', run)
  return random_numbers.normal(key, [2], tf.float64)


def first_within(distances, tolerance: float = TOLERANCE):
  """First generation whose distance is below the tolerance, [S]; inf if none.

  Args:
    distances: [S, G + 1].
    tolerance: see above.
  """
  inside = np.asarray(distances) < tolerance
  return np.where(inside.any(1), inside.argmax(1), np.inf)


def run(config: Config):
  """Searches from all seeds, prints how many succeed, draws the pictures."""
  name = f'schaffer-{config.sigma:g}-{config.seed}'
  with run_folder.RunFolder.open(config, NAME, name) as folder:
    if not folder.is_finished('search'):
      figures = _search(config, folder)
      folder.finish('search', figures)
    if config.restarts and not folder.is_finished('restarts'):
      folder.finish('restarts', _restart(config))
    figures = folder.info('search')
    print(describe(figures))
    if config.restarts:
      figures = {**figures, 'restarts': folder.info('restarts')}
      print(describe_restarts(figures['restarts']))
    for file in sorted(folder.figures.iterdir()):
      print(f'wrote {file}')
  return figures


def _search(config, folder):
  """Runs all seeds, writes the pictures and TensorBoard's scalars."""
  log = metrics.MetricsLog(folder.path, folder.tensorboard)
  log.rewind('search', -1)  # Of a search that was killed.
  searches = Searches(config)
  runs = []
  with progress.Progress(NAME, config.seeds, 'seeds') as bar:
    for index in range(config.seeds):
      runs.append(searches.run(index))
      bar.update(index + 1)
  means, sigmas, best = (np.stack(part) for part in zip(*runs, strict=True))
  goal = np.array(objectives.SCHAFFER_MINIMUM)
  distances = np.abs(means - goal).max(-1)  # [S, G + 1]
  for i in range(config.generations + 1):
    log.write(
      'search',
      i,
      median_distance=np.median(distances[:, i]),
      share_within=np.mean(distances[:, : i + 1].min(1) < TOLERANCE),
      median_step_size=np.median(sigmas[:, i]),
      median_best_fitness=np.median(best[:, i]),
    )
  _draw(config, folder, log, searches, distances)
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
  """The same starts, each search restarting when it is stuck."""
  searches = cma_es_restarts.Restarts(
    objectives.schaffer,
    2,
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
  goal = np.array(objectives.SCHAFFER_MINIMUM)
  hits = [each for each in found if np.abs(each.x - goal).max() < TOLERANCE]
  return {
    'seeds': config.seeds,
    'restarts': config.restarts,
    'found': len(hits),
    'median_evaluations': np.median([hit.evaluations for hit in hits] or [0]),
    'most_runs': max([hit.runs for hit in hits], default=0),
  }


def _draw(config, folder, log, searches, distances):
  # After the mean has arrived, all is one dot.
  end = int(min(config.generations, first_within(distances[:1])[0] + 3))
  frames = pictures.animate(searches.show(0, end))
  frames = np.concatenate([frames, frames[-1:].repeat(int(config.fps) + 1, 0)])
  gif = animation.gif_bytes(frames, config.fps, pictures.COLOURS)
  files.write_whole(folder.figures / 'search.gif', gif)
  log.animation('figures/search', gif, frames.shape[1:3], config.generations)
  title = f'CMA-ES, {config.popsize} candidates, first step {config.sigma:g}'
  figure = pictures.convergence(distances, TOLERANCE, title)
  canvas.save(figure, folder.figures / 'convergence.png')
  picture = canvas.to_image(figure)
  log.image('figures/convergence', picture, config.generations)


def describe_restarts(figures) -> str:
  """Returns the figures of the searches with restarts as a line to print."""
  return (
    'with up to {restarts} restarts: {found} of {seeds} seeds, median '
    '{median_evaluations:.0f} evaluations, at most {most_runs} runs'
  ).format(**figures)


def describe(figures) -> str:
  """Returns the figures as a line to print."""
  text = (
    f'first step {figures["sigma"]:g}: {figures["found"]} of '
    f'{figures["seeds"]} seeds within {TOLERANCE:g} of the minimum'
  )
  if figures['median_generation'] is not None:
    text += f', median generation {figures["median_generation"]:.0f}'
  return text
