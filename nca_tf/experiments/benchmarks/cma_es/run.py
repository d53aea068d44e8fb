"""CMA-ES beside pycma and evosax: speed, evaluations, BBOB, narrow boxes.

Everything runs on one core with one thread, and in turn: a chunk of each
implementation after the other.
"""

import functools
import pathlib

from nca_tf.experiments.benchmarks import peers as peers_lib
from nca_tf.experiments.benchmarks.cma_es import bbob
from nca_tf.experiments.benchmarks.cma_es import narrow
from nca_tf.experiments.benchmarks.cma_es import quality
from nca_tf.experiments.benchmarks.cma_es import report
from nca_tf.experiments.benchmarks.cma_es import settings
from nca_tf.experiments.benchmarks.cma_es import speed
from nca_tf.runs import one_core

Config = settings.Config


def run(config: Config):
  """Measures what the run folder lacks; writes, prints and returns it all."""
  script = pathlib.Path(__file__).with_name('peers.py')
  with (
    one_core.start(config, 'cma_es') as run,  # The peers stay on its core.
    peers_lib.start(settings.REQUIREMENTS, script, config.peers) as peers,
  ):
    if peers is not None:
      quality.check_objectives(peers)
    results = run.stages(_stages(config, peers))
    run.publish(report.make(results), 'results', 'results.json')
    print(f'wrote {run.path / "results.md"} and results.json')
  return results


def _stages(config, peers):
  """Returns the measurements that are asked for, functions by their names."""
  stages = {}
  if 'speed' in config.parts:
    for n in config.dimensions:
      stages[f'speed/{n}'] = functools.partial(speed.measure, n, peers, config)
  if 'quality' in config.parts:
    for problem in quality.problems(config.quality_dimensions):
      stages[f'quality/{problem.title}'] = functools.partial(
        quality.measure, problem, peers, config
      )
  if 'bbob' in config.parts:
    for n in config.bbob_dimensions:
      for function in config.functions:
        stages[f'bbob/f{function} {n}'] = functools.partial(
          bbob.measure, function, n, peers, config
        )
  if 'narrow' in config.parts:
    programs = {}
    for name in narrow.MINIMA:
      stages[f'narrow/{name}'] = functools.partial(
        narrow.measure, name, programs, peers, config
      )
  return stages
