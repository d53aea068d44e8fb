"""The DNC beside pytorch-dnc, deepmind/dnc and an LSTM: time and memory.

Each implementation trains in a process of its own, all on one core with one
thread and in turn: some steps of one after some of the other. pytorch-dnc and
deepmind/dnc are not packages: they are measured where --pytorch_dnc and
--deepmind_dnc name folders with their sources.
"""

import contextlib
import functools
import pathlib
import sys

from nca_tf.experiments.benchmarks import measurement
from nca_tf.experiments.benchmarks import peers as peers_lib
from nca_tf.experiments.benchmarks.dnc import report
from nca_tf.experiments.benchmarks.dnc import settings
from nca_tf.runs import one_core
from nca_tf.runs import progress

Config = settings.Config


def run(config: Config):
  """Measures what the run folder lacks; writes, prints and returns it all."""
  with one_core.start(config, 'dnc', computes=False) as run:
    results = run.stages(_stages(config, _find_implementations(config)))
    run.publish(report.make(results), 'results', 'results.json')
    print(f'wrote {run.path / "results.md"}, results.json and figures')
  return results


def _find_implementations(config):
  """Returns {name: (Python, folder of sources)}."""
  found = {name: (sys.executable, None) for name in config.contestants}
  if config.pytorch_dnc:
    python = peers_lib.install(settings.REQUIREMENTS)
    found['pytorch-dnc'] = (python, config.pytorch_dnc)
  if config.deepmind_dnc:
    found['deepmind/dnc'] = (sys.executable, config.deepmind_dnc)
  return found


def _stages(config, implementations):
  """Returns the measurements that are asked for, functions by their names."""
  stages = {}
  if 'settings' in config.parts:
    for title in config.settings:
      stages[f'settings/{title}'] = functools.partial(
        _alternate, config, implementations, settings.SIZES[title]
      )
  ours = [name for name in config.contestants if name.startswith('nca_tf')]
  if 'memory' in config.parts and ours:
    smoke = config.preset == 'smoke'
    lengths = settings.TINY_LENGTHS if smoke else settings.LENGTHS
    for title, base_and_steps in lengths.items():
      stages[f'memory/{title}'] = functools.partial(
        _lengthen, ours, *base_and_steps
      )
  if 'growth' in config.parts:
    for axis in config.growth:
      stages[f'growth/{axis}'] = functools.partial(
        _grow, config, implementations, axis
      )
  return stages


# The stages' key 'contestants', for the implementations, is older.


def _alternate(config, implementations, sizes):
  """Returns CPU seconds of the steps, bytes, and seconds of the first step."""
  with contextlib.ExitStack() as stack:
    started, found = {}, {}
    for name, (python, folder) in implementations.items():
      started[name] = stack.enter_context(_open(python))
      found[name] = started[name].ask(
        'start', implementation=name, sizes=sizes, folder=folder
      )
    turns = measurement.alternate(
      'dnc',
      {name: _advance(peer, config.count) for name, peer in started.items()},
      config.rounds,
    )
    for name, peer in started.items():
      found[name]['seconds'] = sum(turns[name], [])
      found[name]['peak'] = peer.ask('peak')
  return {'sizes': sizes, 'contestants': found}


def _advance(peer, count):
  """Yields the CPU seconds of so many steps, a turn each time."""
  while True:
    yield peer.ask('advance', count=count)


def _lengthen(names, base, steps):
  """Returns working memory, in bytes, by length, each in a new process."""
  found = {name: {} for name in names}
  with progress.Progress('memory', len(names) * len(steps), 'runs') as bar:
    for name in names:
      for count in steps:
        with _open(sys.executable) as peer:
          sizes = {**base, 'steps': count}
          rest = peer.ask('start', implementation=name, sizes=sizes)['rest']
          peer.ask('advance', count=1)
          found[name][count] = peer.ask('peak') - rest
        bar.update(sum(map(len, found.values())))
  return {'base': base, 'contestants': found}


def _grow(config, implementations, axis):
  """Returns CPU seconds a step of each implementation as one size grows."""
  found = {name: {} for name in implementations}
  smoke = config.preset == 'smoke'
  values = settings.GROWTH[axis][: 2 if smoke else None]
  base = settings.TINY if smoke else settings.BASE
  total = len(values) * len(implementations)
  with progress.Progress(axis, total, 'sizes') as bar:
    for name, (python, folder) in implementations.items():
      with _open(python) as peer:
        for value in values:
          sizes = {**base, axis: value}
          peer.ask('start', implementation=name, sizes=sizes, folder=folder)
          seconds = peer.ask('advance', count=3)
          found[name][value] = min(seconds)
          bar.update(sum(map(len, found.values())))
  return {'base': base, 'contestants': found}


def _open(python):
  script = pathlib.Path(__file__).with_name('implementations.py')
  return peers_lib.PeerProcess(python, script)
