"""bin/benchmark dream: a small run, resumed, and wrong flags."""

import json
import os

import pytest

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.benchmarks import dream
from nca_tf.experiments.benchmarks import subjects
from nca_tf.memory import cells
from nca_tf.runs import run_folder
from nca_tf.world_model import model


def resolve(*argv):
  return config_flags.resolve(dream.Config, ['--preset=smoke', *argv])


def test_speeds_are_measured_once_and_reported(tmp_path, capsys, monkeypatch):
  config = resolve(f'--run_dir={tmp_path / "run"}')
  allowed = os.sched_getaffinity(0)
  dream.run(config)
  assert os.sched_getaffinity(0) == allowed
  first = capsys.readouterr().out
  with run_folder.RunFolder.open(config, 'benchmark', '') as folder:
    speed = folder.info('speed')['lstm-256']
  assert set(speed) == {'1', '16'}
  assert all(rate > 100 for rates in speed.values() for rate in rates)
  assert '| lstm-256' in (tmp_path / 'run' / 'results.md').read_text()
  numbers = json.loads((tmp_path / 'run' / 'results.json').read_text())
  assert numbers == {'speed': {'lstm-256': speed}}
  monkeypatch.setattr(dream, '_measure', None)  # not called again
  dream.run(config)
  assert capsys.readouterr().out == first


def test_targets_are_judged_at_1024_lanes():
  found = {'lstm-256': {'1': [10.0], '1024': [60_000.0, 1.0, 70_000.0]}}
  text = dream._tabulate(found, resolve()).text()
  assert '6000.0' in text and '50000: pass' in text
  found['lstm-256']['1024'] = [49_000.0]
  assert '50000: miss' in dream._tabulate(found, resolve()).text()


def test_benchmark_knows_the_subject():
  assert subjects.SUBJECTS['dream']()[0] is dream.Config


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--core=4096', '--core must be one of'),
    ('--models=gru-1', '--models must be'),
    ('--lanes=0', '--lanes must be'),
  ],
)
def test_wrong_flags_are_refused(flag, message):
  with pytest.raises(faults.UsageError, match=message):
    resolve(flag)


def test_controller_reads_latent_and_state_without_the_memory():
  cell = cells.make('dnc', 8, memory_slots=6, word_size=5, read_heads=2)
  network = model.MemoryModel(cell, dream.LATENT, 3)
  network.build()
  sizes = {'z': 64, 'h': 8, 'c': 8, 'reads': 10}
  assert dream._feature_sizes(network) == sizes
