"""The dream's speed: lane-steps per CPU-second, policy included.

M is untrained and no episode ends early, so that all lanes work all the time;
the cost of a step does not depend on what M has learnt. Everything runs on one
core.
"""

import dataclasses
import itertools
import time
from typing import ClassVar

import numpy as np

from nca_tf.analysis import table
from nca_tf.command_line import config_flags
from nca_tf.experiments.benchmarks import measurement
from nca_tf.memory import cells
from nca_tf.runs import one_core
from nca_tf.runs import report as report_lib

_option = config_flags.option

LATENT = 64
ROLLOUTS = 16

# Name: cell, units, target of lane-steps per CPU-second at 1024 lanes.
MODELS = {
  'lstm-256': ('lstm', 256, 50_000),
  'lstm-512': ('lstm', 512, 20_000),
  'dnc-64x32x4': ('dnc', 256, 12_000),
}


@dataclasses.dataclass(frozen=True)
class Config(one_core.Config):
  """What to measure; RESULTS.md has the results of the defaults."""

  models: tuple[str, ...] = _option(
    tuple(MODELS), 'World models.', choices=tuple(MODELS)
  )
  lanes: tuple[int, ...] = _option((1, 256, 1024), 'Lanes.', minimum=1)
  horizon: int = _option(60, 'Steps of an episode.', minimum=1)

  NAMED: ClassVar = ('models', 'lanes')
  PRESETS: ClassVar = {
    'smoke': {
      'models': ('lstm-256',),
      'lanes': (1, 16),
      'horizon': 4,
      'rounds': 1,
    },
  }


def run(config: Config):
  """Measures all models in turn, writes and prints the report."""
  with one_core.start(config, 'dream') as run:
    results = run.stages({'speed': lambda: _measure(config)})
    view = _tabulate(results['speed'], config)
    report = report_lib.Report({'': view}, numbers=results)
    run.publish(report, 'results', 'results.json')


def _measure(config):
  """Returns lane-steps per CPU-second: {model: {lanes: [rounds]}}."""
  players = {
    (name, str(lanes)): _play(name, lanes, config.horizon)
    for name in config.models
    for lanes in config.lanes
  }
  found = {name: {} for name in config.models}
  rates = measurement.alternate('dream', players, config.rounds)
  for (name, lanes), values in rates.items():
    found[name][lanes] = values
  return found


def _play(name, lanes, horizon):
  """Compiles; returns an iterator of lane-steps per CPU-second, by round."""
  import tensorflow as tf  # Here, so that flags are read without it.

  from nca_tf.world_model import controller as controller_lib
  from nca_tf.world_model import dream as dream_lib
  from nca_tf.world_model import model as model_lib

  cell, units, _ = MODELS[name]
  model = model_lib.MemoryModel(
    cells.make(cell, units, memory_slots=64, word_size=32, read_heads=4),
    LATENT,
    3,
  )
  model.build()
  model.done_head.kernel.assign(tf.zeros_like(model.done_head.kernel))
  model.done_head.bias.assign([-50.0])
  starts = np.zeros((10, LATENT), np.float32)
  dream = dream_lib.Dream(model, (starts, starts), horizon, 1.15)
  controller = controller_lib.LinearController(_feature_sizes(model), 3)
  # Many lanes play one episode each, candidates times rollouts as in training.
  # One lane plays as many as take about a second.
  candidates = max(1, lanes // ROLLOUTS)
  rollouts = min(lanes, ROLLOUTS) if lanes > 1 else ROLLOUTS
  parameters = np.random.default_rng(0).normal(
    scale=0.1, size=(candidates, controller.size)
  )

  def play(key):
    return dream.play(
      dream_lib.follow(controller, tf.constant(parameters, tf.float32)),
      candidates,
      dream.make_noise(rollouts, key),
      lanes,
    ).steps

  compiled = tf.function(
    play, autograph=False, jit_compile=True
  ).get_concrete_function(tf.TensorSpec([2], tf.int32))
  compiled(tf.constant([7, 0]))  # Compiles.

  def measure(number):
    start = time.process_time()
    steps = int(compiled(tf.constant([7, number])))
    return steps / (time.process_time() - start)

  return map(measure, itertools.count(1))


def _feature_sizes(model):
  """Returns what the controller reads: z and M's state without the memory."""
  features = model.features(model.initial(1))
  sizes = {name: value.shape[-1] for name, value in features.items()}
  sizes.pop('memory', None)
  return {'z': LATENT, **sizes}


def _tabulate(found, config):
  view = table.Table(
    ['world model', 'lanes', 'lane-steps per CPU-s', 'to one lane', 'target'],
    digits=1,
  )
  for name in config.models:
    rates = {int(k): float(np.median(v)) for k, v in found[name].items()}
    for lanes, rate in sorted(rates.items()):
      target = ''
      if lanes == 1024:
        wanted = MODELS[name][2]
        target = f'{wanted}: {"pass" if rate >= wanted else "miss"}'
      ratio = rate / rates[1] if 1 in rates else None
      view.add(name, lanes, rate, ratio, target)
  return view
