"""CMA-ES beside pycma and evosax: speed, evaluations, functions of BBOB.

Peers, settings and bars: the README's results. Everything runs on one core
with one thread, and in turn: a chunk of each contestant after the other.
"""

import contextlib
import dataclasses
import json
import pathlib
from typing import ClassVar

from nca_tf import files
from nca_tf.command_line import config_flags
from nca_tf.evolution import objectives
from nca_tf.experiments.benchmarks import peers as peer_process
from nca_tf.experiments.benchmarks.cma_es import bbob as cma_es_bbob
from nca_tf.experiments.benchmarks.cma_es import quality as cma_es_quality
from nca_tf.experiments.benchmarks.cma_es import report as cma_es_report
from nca_tf.experiments.benchmarks.cma_es import speed as cma_es_speed
from nca_tf.runs import one_core as processor
from nca_tf.runs import run_folder

REQUIREMENTS = ('cma==4.5.0', 'evosax==0.3.2', 'jax==0.10.2')
_PARTS = ('speed', 'quality', 'bbob')
_option = config_flags.option


@dataclasses.dataclass(frozen=True)
class Config(processor.Config):
  """What to measure; the defaults are the README's."""

  precision: str = _option(
    'float64',
    'Number type of quality and bbob; speed measures both.',
    choices=('float32', 'float64'),
  )
  threads: int = _option(
    1, 'Threads that TensorFlow may use.', minimum=1, identity=False
  )
  parts: tuple[str, ...] = _option(
    _PARTS, 'What to measure.', choices=_PARTS, identity=False
  )
  peers: bool = _option(
    True, 'Measure pycma and evosax as well; installs them on the first call.'
  )
  dimensions: tuple[int, ...] = _option(
    cma_es_speed.DIMENSIONS, 'Dimensions of speed.', minimum=2
  )
  rounds: int = _option(9, 'Chunks of each contestant.', minimum=1)
  chunk_seconds: float = _option(
    0.5, 'CPU seconds of a chunk, about.', minimum=0.001, maximum=60
  )
  quality_dimensions: tuple[int, ...] = _option(
    (10, 40), 'Dimensions of quality.', minimum=2
  )
  seeds: int = _option(25, 'Runs per problem of quality.', minimum=1)
  bbob_dimensions: tuple[int, ...] = _option(
    (2, 10, 40), 'Dimensions of bbob.', minimum=2
  )
  functions: tuple[int, ...] = _option(
    objectives.BBOB_FUNCTIONS,
    'Functions of bbob.',
    choices=objectives.BBOB_FUNCTIONS,
  )
  instances: int = _option(15, 'Instances of bbob.', minimum=1)
  budget: int = _option(
    10000, 'Evaluations per dimension, restarts included.', minimum=1
  )

  NAMED: ClassVar = ('parts', 'dimensions', 'quality_dimensions', 'functions')
  PRESETS: ClassVar = {
    'smoke': {
      'peers': False,
      'dimensions': (2,),
      'rounds': 2,
      'chunk_seconds': 0.01,
      'quality_dimensions': (2,),
      'seeds': 2,
      'bbob_dimensions': (2,),
      'functions': (1, 15),
      'instances': 2,
      'budget': 500,
    },
    'laptop': {},
    'paper': {},
  }


def run(config: Config):
  """Measures what the run folder lacks, writes and prints the report."""
  name = f'cma_es-{config.seed}'
  with (
    run_folder.RunFolder.open(config, 'benchmark', name) as folder,
    processor.pinned(config.core) as core,
  ):
    print(f'benchmark: cma_es on core {core}, in {folder.path}', flush=True)
    with _start_peers(config) as peers:
      for stage, measure in _stages(config, peers):
        if not folder.is_finished(stage):
          folder.finish(stage, measure())
    results = {
      stage: folder.info(stage)
      for stage, _ in _stages(config, None)
      if folder.is_finished(stage)
    }
    lines = cma_es_report.write(results)
    text = json.dumps(results, indent=2) + '\n'
    files.write_whole(folder.path / 'results.json', text.encode())
    files.write_whole(folder.path / 'results.md', lines.encode())
    print(lines)
    print(f'wrote {folder.path / "results.md"} and results.json')
  return results


def _stages(config, peers):
  """Names of the measurements that are asked for, with their functions."""
  jit = config.jit != 'off'
  if 'speed' in config.parts:
    for n in config.dimensions:
      yield (
        f'speed/{n}',
        lambda n=n: cma_es_speed.measure(
          n, peers, config.rounds, config.chunk_seconds, jit
        ),
      )
  if 'quality' in config.parts:
    for problem in cma_es_quality.problems(config.quality_dimensions):
      yield (
        f'quality/{problem.title}',
        lambda problem=problem: cma_es_quality.measure(
          problem, peers, config.seeds, jit, config.precision
        ),
      )
  if 'bbob' in config.parts:
    for n in config.bbob_dimensions:
      for function in config.functions:
        yield (
          f'bbob/f{function} {n}',
          lambda n=n, function=function: cma_es_bbob.measure(
            function,
            n,
            peers,
            config.instances,
            config.budget,
            config.precision,
            jit,
          ),
        )


@contextlib.contextmanager
def _start_peers(config):
  """The peers' process, or None."""
  if not config.peers:
    yield None
    return
  python = peer_process.install(REQUIREMENTS)
  script = pathlib.Path(__file__).with_name('peers.py')
  with peer_process.PeerProcess(python, script) as peers:
    cma_es_quality.check_objectives(peers)
    yield peers
