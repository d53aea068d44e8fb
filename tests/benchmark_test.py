"""bin/benchmark: a whole small run without peers, and the parts around it."""

import importlib
import json
import os
import pathlib
import sys

import numpy as np
import pytest

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.evolution import many_searches
from nca_tf.evolution import objectives
from nca_tf.evolution import stopping
from nca_tf.experiments.benchmarks import measurement
from nca_tf.experiments.benchmarks import peers as peers_lib
from nca_tf.experiments.benchmarks import subjects
from nca_tf.experiments.benchmarks.cma_es import bbob
from nca_tf.experiments.benchmarks.cma_es import peers as cma_es_peers
from nca_tf.experiments.benchmarks.cma_es import quality
from nca_tf.experiments.benchmarks.cma_es import report
from nca_tf.experiments.benchmarks.cma_es import run as benchmark_cma_es
from nca_tf.experiments.benchmarks.cma_es import settings
from nca_tf.experiments.benchmarks.cma_es import speed

SCRIPT = pathlib.Path(cma_es_peers.__file__)


class Peers:
  """The peers' script in this process: it needs no peer for `values`."""

  def ask(self, call, **arguments):
    return getattr(cma_es_peers, call)(**json.loads(json.dumps(arguments)))


def config(folder, *argv):
  return config_flags.resolve(
    settings.Config,
    [f'--run_dir={folder}', '--preset=smoke', '--jit=off', *argv],
  )


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  folder = tmp_path_factory.mktemp('benchmark') / 'run'
  allowed = os.sched_getaffinity(0)
  results = benchmark_cma_es.run(config(folder))
  assert os.sched_getaffinity(0) == allowed
  return folder, results


def test_all_parts_are_measured_and_reported(finished):
  folder, results = finished
  assert json.loads((folder / 'results.json').read_text()) == results
  assert all(rate > 100 for rate in results['speed/2']['nca_tf float64'])
  assert len(results['speed/2']['nca_tf float32']) == 2
  for problem in ('sphere', 'ellipsoid', 'rotated ellipsoid', 'rosenbrock'):
    runs = results[f'quality/{problem} 2']['nca_tf']
    assert len(runs) == 2 and all(100 < run < 1000 for run in runs)
  assert all(row['found'] for row in results['bbob/f1 2']['nca_tf'])
  for place in ('corner', 'face', 'middle', 'off the middle'):
    runs = results[f'narrow/{place}']['nca_tf']
    assert len(runs) == 2 and all(50 < run < 600 for run in runs)
  text = (folder / 'results.md').read_text()
  assert '| nca_tf float64 |' in text
  assert 'rotated ellipsoid 2 over plain' in text
  assert '| f15 ' in text


def test_finished_parts_are_not_measured_again(finished, monkeypatch):
  folder, results = finished
  monkeypatch.setattr(speed, 'measure', pytest.fail)
  monkeypatch.setattr(bbob, 'measure', pytest.fail)
  assert benchmark_cma_es.run(config(folder)) == results
  only = benchmark_cma_es.run(config(folder, '--parts=speed'))
  assert list(only) == ['speed/2']


def test_subjects_can_be_imported():
  for load in subjects.SUBJECTS.values():
    subject, run = load()
    assert config_flags.resolve(subject, ['--preset=smoke'])
    assert callable(importlib.import_module(run).run)


@pytest.mark.parametrize(
  'argument, message',
  [
    ('--core=4096', r'--core must be one of \[.*\], got 4096'),
    ('--functions=', '--functions must name at least one, got none'),
    ('--functions=3', '--functions must be one of 1, 2, 8, 10, 15'),
    ('--parts=', '--parts must name at least one, got none'),
  ],
)
def test_wrong_flag(argument, message):
  with pytest.raises(faults.UsageError, match=message):
    config('unused', argument)


def test_both_sides_have_the_same_objectives(monkeypatch):
  quality.check_objectives(Peers())
  monkeypatch.setattr(cma_es_peers, '_oscillate', lambda x: x)
  with pytest.raises(ValueError, match='must be the same for both'):
    quality.check_objectives(Peers())


def test_peer_process_answers_and_reports_its_end():
  spec = {'name': 'sphere'}
  with peers_lib.PeerProcess(sys.executable, SCRIPT) as peers:
    for x in ([[1.0, 2.0]], [[0.0, 3.0]]):
      answer = peers.ask('values', objective=spec, x=x)
      assert answer == [np.square(x).sum()]
    with pytest.raises(faults.Fault, match="peers' process ended: KeyError"):
      peers.ask('no such call')


def test_failed_installation_is_one_line_and_leaves_no_environment(
  tmp_path, monkeypatch, capsys
):
  calls = []

  def call(command, purpose):
    calls.append(purpose)
    if purpose == 'install':
      raise faults.Fault('cannot install of the peers')

  monkeypatch.setattr(peers_lib, '_call', call)
  for _ in range(2):  # The second call begins again.
    with pytest.raises(faults.Fault, match='cannot install'):
      peers_lib.install(['cma==4.5.0'], tmp_path)
  assert calls == 2 * ['make the environment', 'install']
  assert 'installing cma==4.5.0 in' in capsys.readouterr().out


def test_an_environment_is_made_once(tmp_path, monkeypatch):
  calls = []

  def call(command, purpose):
    calls.append(purpose)
    if command[1:3] == ['-m', 'venv']:
      pathlib.Path(command[3]).mkdir()

  monkeypatch.setattr(peers_lib, '_call', call)
  first = peers_lib.install(['cma==4.5.0'], tmp_path)
  assert peers_lib.install(['cma==4.5.0'], tmp_path) == first
  assert len(calls) == 2
  assert peers_lib.install(['cma==4.4.0'], tmp_path) != first
  assert len(calls) == 4


def test_failed_command_names_its_last_error():
  with pytest.raises(faults.Fault, match='cannot install .*ERROR: no.*--peers'):
    peers_lib._call(
      [sys.executable, '-c', 'import sys; sys.exit("ERROR: no")'], 'install'
    )


def test_restarts_double_the_population_and_keep_to_the_budget():
  searches = many_searches.ManySearches(
    objectives.rastrigin, 0.3, popsize=6, jit=False, dtype='float64'
  )
  options = stopping.Options(ftarget=1e-8, maxfevals=4000)
  found = searches.minimise(np.full((4, 2), 5.0), 0, options)
  assert found.runs > 1
  assert list(searches._graphs) == [6, 12, 24, 48][: found.runs]
  assert found.evaluations <= 4000 + 48
  value = objectives.rastrigin(np.array([found.x]))
  assert float(value[0]) == pytest.approx(found.best, rel=1e-6)


def test_statistics_of_the_table():
  assert quality.median([10, None, 30]) == 30
  ratio = quality.ratio([11, 12, 13], [10, 10, 10])
  assert ratio.mean == pytest.approx(1.2) and ratio.low < 1.2 < ratio.high
  # Wilson's interval of 8 in 10: 0.490 to 0.943.
  rate = quality.rate(8 * [1] + 2 * [None])
  assert rate == pytest.approx((0.8, 0.490, 0.943), abs=1e-3)
  rows = [
    {'evaluations': 10, 'found': True},
    {'evaluations': 30, 'found': False},
  ]
  assert bbob.expected_running_time(rows) == 40


def test_players_take_turns():
  played = []

  def play(name):
    for number in range(3):
      played.append(name)
      yield number

  players = {name: play(name) for name in ('ours', 'theirs')}
  found = measurement.alternate('speed', players, 2)
  assert found == {'ours': [0, 1], 'theirs': [0, 1]}
  assert played == 2 * ['ours', 'theirs']


def test_targets_say_pass_or_miss():
  speeds = {
    'nca_tf float64': [300.0, 330.0],
    'nca_tf float32': [300.0, 300.0],
    'pycma': [10.0, 10.0],
    'evosax': [200.0, 200.0],
  }
  runs = {'nca_tf': [105, 105], 'pycma': [100, 100]}
  found = report.make(
    {
      'speed/2': speeds,
      'quality/sphere 10': runs,
      'quality/rosenbrock 10': {'nca_tf': [120, 120], 'pycma': [100, 100]},
      'narrow/face': {'nca_tf': [90, 90], 'pycma': [100, 100]},
      'narrow/corner': {'nca_tf': [None, None], 'pycma': [100, 100]},
    }
  )
  lines = {
    line.split('|')[1].strip(): line.split('|')[-2].strip()
    for line in found.markdown().splitlines()
    if line.startswith('|')
  }
  assert lines['speed, n = 2, float64, over pycma'] == 'miss'  # 31.5, not 40.
  assert lines['speed, n = 2, float64, over evosax'] == 'pass'
  assert lines['evaluations over pycma, sphere 10'] == 'pass'
  assert lines['evaluations over pycma, rosenbrock 10'] == 'miss'
  assert lines['evaluations over pycma, narrow box, face'] == 'pass'
  assert lines['evaluations over pycma, narrow box, corner'] == 'miss'
