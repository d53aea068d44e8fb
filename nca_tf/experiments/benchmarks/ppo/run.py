"""PPO beside a CleanRL-style one in PyTorch and stable-baselines3.

Everything runs on one core with one thread, and in turn: some windows of each
implementation after the other. Each has the same game, network and settings,
but for CartPole, where each has its own.
"""

import functools
import pathlib
import statistics

from nca_tf.environments.grid_world import obstacles
from nca_tf.experiments.benchmarks import measurement
from nca_tf.experiments.benchmarks import peers as peers_lib
from nca_tf.experiments.benchmarks.ppo import eager_driver
from nca_tf.experiments.benchmarks.ppo import ours as ours_lib
from nca_tf.experiments.benchmarks.ppo import recall
from nca_tf.experiments.benchmarks.ppo import report
from nca_tf.experiments.benchmarks.ppo import settings
from nca_tf.runs import one_core

Config = settings.Config
_DRIVER_WINDOWS = 1 / 8  # Of a turn of the eager driver: it is slow.


def run(config: Config):
  """Measures what the run folder lacks; writes, prints and returns it all."""
  script = pathlib.Path(__file__).with_name('peers.py')
  with (
    one_core.start(config, 'ppo') as run,  # The peers stay on its core.
    peers_lib.start(settings.REQUIREMENTS, script, config.peers) as peers,
  ):
    results = run.stages(_stages(config, peers))
    run.publish(report.make(results), 'results', 'results.json')
    print(f'wrote {run.path / "results.md"} and results.json')
  return results


def _stages(config, peers):
  """Returns the measurements that are asked for, functions by their names."""
  stages = {}
  works = {'speed': _speed, 'images': _images, 'collection': _collection}
  works['memory'] = _memory
  for part, work in works.items():
    if part in config.parts:
      stages[part] = functools.partial(work, config, peers)
  seeds = range(config.first_seed, config.first_seed + config.seeds)
  for part, work in {'solve': _solve, 'cartpole': _solve_cartpole}.items():
    if part in config.parts:
      for seed in seeds:
        stages[f'{part}/{seed}'] = functools.partial(work, config, peers, seed)
  return stages


def _sizes(config):
  return settings.SMALL_SIZES if config.is_small else settings.SIZES


class _Peer:
  """A learner of the peers' process, with `iterate` as ours."""

  def __init__(self, peers, name, seed, **arguments):
    self._peers, self._name = peers, name
    self.weights = peers.ask('start', name=name, seed=seed, **arguments)[
      'weights'
    ]

  def iterate(self):
    return self._peers.ask('advance', name=self._name, count=1)[0]


def _make_grid_learners(config, peers, seed, pixels=0):
  """Returns {name: learner} in the grid."""
  sizes = _sizes(config)
  game = obstacles.Obstacles(pixels=pixels)
  found = {'nca_tf': ours_lib.Learner(game, seed, sizes, settings.UNITS)}
  if peers is not None:
    grid = {'rows': obstacles.MAP, 'pixels': pixels}
    arguments = dict(sizes=sizes, grid=grid, units=settings.UNITS)
    for label, name in (('PyTorch', 'torch'), ('stable-baselines3', 'sb3')):
      found[label] = _Peer(peers, name, seed, **arguments)
  return found


def _alternate(label, learners, config, iterations=None):
  """Returns for each learner its weights, first window and turns.

  A turn is the sum of its windows' steps and seconds.
  """
  found = {
    name: {'weights': learner.weights, 'first': learner.iterate()}
    for name, learner in learners.items()
  }

  iterations = iterations or config.iterations

  def turns(learner):
    while True:
      rows = [learner.iterate() for _ in range(iterations)]
      yield {key: sum(r[key] for r in rows) for key in ('steps', 'seconds')}

  players = {name: turns(learner) for name, learner in learners.items()}
  for name, rows in measurement.alternate(
    label, players, config.rounds
  ).items():
    found[name]['turns'] = rows
  return found


def _speed(config, peers):
  learners = _make_grid_learners(config, peers, config.seed)
  return _alternate('speed', learners, config)


def _images(config, peers):
  learners = _make_grid_learners(config, peers, config.seed, settings.PIXELS)
  return _alternate('images', learners, config, iterations=1)


def _memory(config, peers):
  """The memory task, with a DNC; see `_alternate`."""
  sizes = _sizes(config)
  memory = settings.SMALL_MEMORY if config.is_small else settings.MEMORY
  game = recall.Recall(length=sizes['window'])
  learners = {
    'nca_tf': ours_lib.Learner(
      game, config.seed, sizes, settings.MEMORY_UNITS, memory
    )
  }
  if peers is not None and config.pytorch_dnc:
    learners['pytorch-dnc'] = _Peer(
      peers,
      'torch',
      config.seed,
      sizes=sizes,
      units=settings.MEMORY_UNITS,
      memory={'folder': config.pytorch_dnc, **memory},
    )
  return _alternate('memory', learners, config)


def _collection(config, peers):
  """Play alone, by our collector and by TF-Agents' driver; steps and seconds.

  The driver plays in our environment, with our policy.
  """
  del peers
  sizes = _sizes(config)
  environment = obstacles.Obstacles()
  learner = ours_lib.Learner(environment, config.seed, sizes, settings.UNITS)
  count = sizes['lanes'] * sizes['window']
  driver = functools.partial(
    eager_driver.Driver,
    environment,
    learner.agent,
    sizes['lanes'],
    seed=config.seed,
  )
  plays = {
    'nca_tf': learner.play,
    'driver': driver(steps=int(count * _DRIVER_WINDOWS)).play,
    'driver in a graph': driver(steps=count, compiles=True).play,
  }
  for play in plays.values():
    play()  # Traces.
  players = {name: iter(play, None) for name, play in plays.items()}
  return measurement.alternate('collection', players, config.rounds)


def find_wanted_return() -> float:
  """Returns the mean return in the grid of ways that count as solved."""
  distances = obstacles.find_distances(obstacles.Obstacles().walls)
  ways = settings.GRID_DETOUR * distances[distances > 0].mean()
  return 1 + obstacles.STEP_REWARD * (ways - 1)


def _solve(config, peers, seed):
  learners = _make_grid_learners(config, peers, seed)
  limit = settings.SMALL_LIMIT if config.is_small else settings.GRID_LIMIT
  return {
    name: learn(learner, find_wanted_return(), settings.GRID_EPISODES, limit)
    for name, learner in learners.items()
  }


def _solve_cartpole(config, peers, seed):
  sizes = settings.CARTPOLE_SIZES
  limits = {name: settings.CARTPOLE_LIMIT for name in ('nca_tf', 'defaults')}
  limits['zoo'] = settings.ZOO_LIMIT
  learners = {
    'nca_tf': ours_lib.Learner(
      ours_lib.make_cartpole(sizes['lanes']),
      seed,
      sizes,
      settings.UNITS,
      normalizes=True,
    )
  }
  if peers is not None:
    for name in ('defaults', 'zoo'):
      learners[name] = _Peer(peers, f'cartpole {name}', seed, sizes=None)
  return {
    name: learn(
      learner,
      *settings.CARTPOLE_SOLVED,
      settings.SMALL_LIMIT if config.is_small else limits[name],
    )
    for name, learner in learners.items()
  }


def learn(learner, wanted: float, episodes: int, limit: int) -> dict:
  """Learns until the returns of the last episodes are good enough.

  Args:
    learner: Has `iterate`.
    wanted: Mean return.
    episodes: So many at least, those of the last windows.
    limit: Steps after which it gives up.

  Returns:
    'solved'; 'steps' and CPU 'seconds' until then; 'tracing', what the first
    window took more than others; the 'returns' over all windows.
  """
  rows, steps, returns, is_solved = [], 0, [], False
  while not is_solved and steps < limit:
    rows.append(learner.iterate())
    steps += rows[-1]['steps']
    total = count = 0
    for row in reversed(rows):
      total, count = total + row['returns'], count + row['episodes']
      if count >= episodes:
        break
    returns.append(total / max(count, 1))
    is_solved = count >= episodes and returns[-1] >= wanted
  seconds = [row['seconds'] for row in rows]
  usual = statistics.median(seconds[1:] or seconds)
  return {
    'solved': is_solved,
    'steps': steps,
    'seconds': sum(seconds),
    'tracing': max(0.0, seconds[0] - usual),
    'returns': returns,
  }
