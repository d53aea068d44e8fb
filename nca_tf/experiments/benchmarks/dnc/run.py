"""The DNC beside pytorch-dnc, deepmind/dnc and an LSTM: time and memory.

Each contestant trains in a process of its own, all on one core with one thread
and in turn: some steps of one after some of the other. Bars and settings: the
README's results. The two from elsewhere are measured where their sources are
given, as they are no packages: --pytorch_dnc and --deepmind_dnc.
"""

import contextlib
import dataclasses
import json
import pathlib
import sys
from typing import ClassVar

from nca_tf import files
from nca_tf.analysis import canvas
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.benchmarks import peers as peer_process
from nca_tf.experiments.benchmarks.dnc import report as dnc_report
from nca_tf.runs import one_core as processor
from nca_tf.runs import progress
from nca_tf.runs import run_folder

_option = config_flags.option
_PARTS = ('settings', 'memory', 'growth')

OURS = (
  'nca_tf',
  'nca_tf pure',
  'nca_tf pure XLA',
  'nca_tf plain',
  'nca_tf checkpoint',
  'keras LSTM',
)
REQUIREMENTS = ('torch==2.15.0', 'numpy')


@dataclasses.dataclass(frozen=True)
class Config(processor.Config):
  """What to measure; the defaults are the README's."""

  threads: int = _option(
    1, 'Threads that TensorFlow may use.', minimum=1, identity=False
  )
  parts: tuple[str, ...] = _option(
    _PARTS, 'What to measure.', choices=_PARTS, identity=False
  )
  contestants: tuple[str, ...] = _option(
    ('nca_tf', 'nca_tf pure', 'nca_tf checkpoint', 'keras LSTM'),
    'Of this library and Keras; others: see the two flags of sources.',
    choices=OURS,
  )
  pytorch_dnc: str = _option(
    '', "Folder of pytorch-dnc's sources; torch is installed on the first call."
  )
  deepmind_dnc: str = _option('', "Folder of deepmind/dnc's sources.")
  settings: tuple[str, ...] = _option(
    tuple(dnc_report.SETTINGS),
    'Sizes.',
    choices=(*dnc_report.SETTINGS, *dnc_report.TINY),
  )
  growth: tuple[str, ...] = _option(
    ('slots', 'batch', 'steps', 'heads'),
    'Sizes that grow, one at a time.',
    choices=('slots', 'batch', 'steps', 'heads'),
  )
  rounds: int = _option(7, 'Turns of each contestant.', minimum=1)
  count: int = _option(2, 'Training steps of a turn.', minimum=1)

  NAMED: ClassVar = ('parts', 'contestants', 'settings')
  PRESETS: ClassVar = {
    'smoke': {
      'contestants': ('nca_tf', 'keras LSTM'),
      'settings': ('tiny',),
      'growth': ('heads',),
      'rounds': 2,
      'count': 1,
    },
    'laptop': {},
    'paper': {},
  }

  def validate(self):
    """Refuses a core that this process may not use, and folders that lack."""
    super().validate()
    for name in ('pytorch_dnc', 'deepmind_dnc'):
      folder = getattr(self, name)
      if folder and not (pathlib.Path(folder) / 'dnc' / 'dnc.py').is_file():
        raise faults.UsageError(
          f'--{name} must be a folder with dnc/dnc.py, got {folder!r}'
        )


def run(config: Config):
  """Measures what the run folder lacks, writes and prints the report."""
  name = f'dnc-{config.seed}'
  with (
    run_folder.RunFolder.open(config, 'benchmark', name) as folder,
    processor.pinned(config.core) as core,
  ):
    print(f'benchmark: dnc on core {core}, in {folder.path}', flush=True)
    contestants = _contestants(config)
    for stage, measure in _stages(config, contestants):
      if not folder.is_finished(stage):
        folder.finish(stage, measure())
    results = {
      stage: folder.info(stage)
      for stage, _ in _stages(config, ())
      if folder.is_finished(stage)
    }
    lines = dnc_report.write(results)
    text = json.dumps(results, indent=2) + '\n'
    files.write_whole(folder.path / 'results.json', text.encode())
    files.write_whole(folder.path / 'results.md', lines.encode())
    grown = {k: v for k, v in results.items() if k.startswith('growth/')}
    if grown:
      path = folder.path / 'figures' / 'growth.png'
      canvas.save(dnc_report.draw_growth(grown), path)
    print(lines)
    print(f'wrote {folder.path / "results.md"}, results.json and figures')
  return results


def _contestants(config):
  """{name: (Python, folder of sources)}."""
  found = {name: (sys.executable, None) for name in config.contestants}
  if config.pytorch_dnc:
    python = peer_process.install(REQUIREMENTS)
    found['pytorch-dnc'] = (python, config.pytorch_dnc)
  if config.deepmind_dnc:
    found['deepmind/dnc'] = (sys.executable, config.deepmind_dnc)
  return found


def _stages(config, contestants):
  """Names of the measurements that are asked for, with their functions."""
  sizes = {**dnc_report.SETTINGS, **dnc_report.TINY}
  if 'settings' in config.parts:
    for title in config.settings:
      yield (
        f'settings/{title}',
        lambda title=title: _alternate(config, contestants, sizes[title]),
      )
  if 'memory' in config.parts:
    smoke = config.preset == 'smoke'
    lengths = dnc_report.TINY_LENGTHS if smoke else dnc_report.LENGTHS
    for title, (base, steps) in lengths.items():
      yield (
        f'memory/{title}',
        lambda base=base, steps=steps: _lengthen(config, base, steps),
      )
  if 'growth' in config.parts:
    for axis in config.growth:
      yield (
        f'growth/{axis}',
        lambda axis=axis: _grow(config, contestants, axis),
      )


def _alternate(config, contestants, sizes):
  """Each contestant's CPU seconds a step, bytes, and seconds of the first."""
  with contextlib.ExitStack() as stack:
    started, found = {}, {}
    for name, (python, folder) in contestants.items():
      peer = stack.enter_context(_open(python))
      found[name] = peer.ask(
        'start', contestant=name, sizes=sizes, folder=folder
      )
      found[name]['seconds'] = []
      started[name] = peer
    total = config.rounds * len(started)
    with progress.Progress('dnc', total, 'turns') as bar:
      for turn in range(total):
        name = list(started)[turn % len(started)]
        seconds = started[name].ask('advance', count=config.count)
        found[name]['seconds'] += seconds
        bar.update(turn + 1)
    for name, peer in started.items():
      found[name]['peak'] = peer.ask('peak')
  return {'sizes': sizes, 'contestants': found}


def _lengthen(config, base, steps):
  """Our working memory, in bytes, by length; each in a process of its own."""
  names = [name for name in config.contestants if name.startswith('nca_tf')]
  found = {name: {} for name in names}
  with progress.Progress('memory', len(names) * len(steps), 'runs') as bar:
    for name in names:
      for count in steps:
        with _open(sys.executable) as peer:
          sizes = {**base, 'steps': count}
          rest = peer.ask('start', contestant=name, sizes=sizes)['rest']
          peer.ask('advance', count=1)
          found[name][count] = peer.ask('peak') - rest
        bar.update(sum(map(len, found.values())))
  return {'base': base, 'contestants': found}


def _grow(config, contestants, axis):
  """CPU seconds a step of each contestant while one size grows."""
  found = {name: {} for name in contestants}
  smoke = config.preset == 'smoke'
  values = dnc_report.GROWTH[axis][: 2 if smoke else None]
  base = dnc_report.TINY['tiny'] if smoke else dnc_report.BASE
  total = len(values) * len(contestants)
  with progress.Progress(axis, total, 'sizes') as bar:
    for name, (python, folder) in contestants.items():
      with _open(python) as peer:
        for value in values:
          sizes = {**base, axis: value}
          peer.ask('start', contestant=name, sizes=sizes, folder=folder)
          seconds = peer.ask('advance', count=3)
          found[name][value] = min(seconds)
          bar.update(sum(map(len, found.values())))
  return {'base': base, 'contestants': found}


def _open(python):
  script = pathlib.Path(__file__).with_name('implementations.py')
  return peer_process.PeerProcess(python, script)
