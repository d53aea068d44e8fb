"""bin/benchmark pommerman: a small run, resumed, and wrong flags."""

import json
import os
import sys

import pytest

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments.pommerman import original
from nca_tf.experiments.benchmarks import pommerman
from nca_tf.experiments.benchmarks import simple_agent
from nca_tf.experiments.benchmarks import subjects
from nca_tf.runs import run_folder


def resolve(*argv):
  return config_flags.resolve(pommerman.Config, ['--preset=smoke', *argv])


def test_speeds_are_measured_once_and_reported(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(original, 'is_installed', lambda: False)
  config = resolve(f'--run_dir={tmp_path / "run"}')
  allowed = os.sched_getaffinity(0)
  pommerman.run(config)
  assert os.sched_getaffinity(0) == allowed
  first = capsys.readouterr().out
  assert 'The original is not installed' in first
  with run_folder.RunFolder.open(config, 'benchmark', '') as folder:
    speed = folder.info('speed')
  assert set(speed) == {f'{work}/OneVsOne-v0/8' for work in pommerman.WORK}
  assert all(rate > 10 for rates in speed.values() for rate in rates)
  assert '| OneVsOne-v0' in (tmp_path / 'run' / 'results.md').read_text()
  numbers = json.loads((tmp_path / 'run' / 'results.json').read_text())
  assert numbers == {'speed': speed}
  monkeypatch.setattr(pommerman, '_measure', None)  # not again
  pommerman.run(config)
  assert capsys.readouterr().out == first


def test_original_is_played_in_turn_with_ours(monkeypatch):
  class Game:
    steps = resets = 0

    def reset(self):
      self.resets += 1

    def step(self, actions):
      assert len(actions) == 2 and all(type(each) is int for each in actions)
      self.steps += 1
      return None, None, self.steps % 10 == 0, None

  game = Game()
  monkeypatch.setattr(original, 'is_installed', lambda: True)
  monkeypatch.setattr(original, 'make_game', lambda rules: game)
  found = pommerman._measure(resolve('--work=step', '--rounds=2'))
  assert len(found['original/OneVsOne-v0/1']) == 2
  assert game.steps == 2 * 64 and game.resets == 1 + game.steps // 10


def test_targets_are_judged_at_1024_games():
  rates = {
    'step/OneVsOne-v0/1024': [160_000.0, 1.0, 170_000.0],
    'simple/OneVsOne-v0/1024': [19_000.0],
    'step/OneVsOne-v0/64': [20_000.0],
    'original/OneVsOne-v0/1': [2000.0],
  }
  lines = pommerman._tabulate(rates).text().splitlines()[2:]
  assert lines[0].split()[-4:] == ['160000', '80', '150000:', 'pass']
  assert lines[1].split()[-4:] == ['19000', '-', '20000:', 'miss']
  assert lines[2].split()[-2:] == ['20000', '10']


def test_benchmark_knows_the_subject():
  subject = subjects.SUBJECTS['pommerman']()
  assert subject[0] is pommerman.Config


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--core=4096', '--core must be one of'),
    ('--variants=Pomme-v9', '--variants must be'),
    ('--games=0', '--games must be'),
    ('--work=', '--work must name at least one, got none'),
  ],
)
def test_wrong_flags_are_refused(flag, message):
  with pytest.raises(faults.UsageError, match=message):
    resolve(flag)


def test_folder_without_the_package_is_refused(tmp_path):
  original.load.cache_clear()
  with pytest.raises(faults.UsageError, match='--package must be a folder'):
    resolve(f'--package={tmp_path}')


@pytest.mark.parametrize('code', ['x = 1', 'raise OSError("odd\\nlines")', '('])
def test_other_packages_of_the_name_are_refused(tmp_path, code):
  (tmp_path / 'pommerman').mkdir()
  (tmp_path / 'pommerman' / '__init__.py').write_text(code)
  original.load.cache_clear()
  gym = sys.modules.get('gym')  # TF-Agents imports it.
  with pytest.raises(
    faults.UsageError, match='--package must be a f'
  ) as caught:
    resolve(f'--package={tmp_path}')
  assert 'what is installed: ' in str(caught.value)
  assert '\n' not in str(caught.value)
  assert 'pommerman' not in sys.modules and sys.modules.get('gym') is gym


def test_simple_agents_play_each_pair_once(tmp_path, capsys, monkeypatch):
  ours = simple_agent.PAIRS['ours, ours']
  monkeypatch.setattr(
    simple_agent, 'PAIRS', {'ours, ours': ours, 'again': ours}
  )
  monkeypatch.setattr(original, 'load', lambda: None)
  monkeypatch.setattr(original, 'seed', lambda seed: None)
  argv = ['--preset=smoke', '--seed=3', f'--run_dir={tmp_path}']
  config = config_flags.resolve(simple_agent.Config, argv)
  simple_agent.run(config)
  results = json.loads((tmp_path / 'results.json').read_text())
  assert results['again'] == simple_agent.play(ours, config, 4)
  first = results['ours, ours']
  assert first['first'] + first['second'] + first['tie'] == config.games
  text = capsys.readouterr().out
  assert '| ours, ours |' in (tmp_path / 'results.md').read_text()
  monkeypatch.setattr(simple_agent, 'play', None)
  simple_agent.run(config)
  assert capsys.readouterr().out == text
