"""Scores of scripted policies: figures, resume, and the command line."""

import json
import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from nca_tf import environments
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.games import evaluate
from nca_tf.play import score

ROOT = pathlib.Path(environments.__file__).parents[2]
FLAGS = ('--time_limit=120', '--policy=stay', '--processes=1')


def config(folder, *argv):
  return config_flags.resolve(
    evaluate.Config, [f'--run_dir={folder}', *FLAGS, *argv]
  )


def episodes(folder):
  text = (folder / 'episodes.jsonl').read_text()
  return [json.loads(line) for line in text.splitlines()]


def test_figures_are_those_of_a_sample():
  scores = [1.0, 2.0, 3.0, 10.0]
  figures = score.summarise(scores, [False, False, False, True])
  assert figures['mean'] == 4
  assert figures['median'] == 2.5
  assert figures['share_at_limit'] == 0.25
  deviation = math.sqrt((9 + 4 + 1 + 36) / 3)
  assert figures['standard_deviation'] == pytest.approx(deviation)
  assert figures['standard_error'] == pytest.approx(deviation / 2)
  assert 1 < figures['low'] < 4 < figures['high'] < 10
  line = score.describe('stay', figures)
  assert line.startswith('stay: mean 4.0 +- 4.1 (standard error 2.0, 95 %')
  assert '25.0 % at the time limit' in line


def test_a_single_episode_has_no_spread():
  figures = score.summarise([5.0], [False])
  assert figures['standard_deviation'] is None
  assert figures['standard_error'] is None
  assert figures['low'] is None
  assert score.describe('stay', figures) == 'stay: 5.0 (one episode)'
  json.dumps(figures, allow_nan=False)


def test_equal_scores_have_a_spread_of_zero():
  figures = score.summarise([5.0, 5.0], [False, True])
  assert figures['standard_error'] == 0
  assert '5.0 +- 0.0' in score.describe('stay', figures)


def test_finished_episodes_are_not_played_again(tmp_path, capsys):
  first = evaluate.run(config(tmp_path, '--episodes=3'))
  kept = episodes(tmp_path)
  kept[0]['score'] = 1000.0  # Seen again only if it is not played again.
  lines = [json.dumps(each) + '\n' for each in kept]
  half = lines[2][: len(lines[2]) // 2]
  file = tmp_path / 'episodes.jsonl'
  file.write_text(''.join(lines[:2]) + half)
  second = evaluate.run(config(tmp_path, '--episodes=5', '--processes=2'))
  assert second['episodes'] == 5
  found = episodes(tmp_path)
  assert found[:3] == kept
  assert [each['index'] for each in found] == list(range(5))
  third = evaluate.run(config(tmp_path, '--episodes=3'))
  assert third['mean'] == pytest.approx(
    first['mean'] + (1000 - np.float64(first_score(first, kept))) / 3
  )
  assert len(episodes(tmp_path)) == 5
  stages = json.loads((tmp_path / 'stages.json').read_text())
  assert stages['evaluate'] == third
  assert 'stay: mean' in capsys.readouterr().out


def first_score(figures, kept):
  """The first of three scores, from their mean and the others."""
  return 3 * figures['mean'] - sum(each['score'] for each in kept[1:])


def test_episodes_tell_death_from_the_time_limit(tmp_path):
  figures = evaluate.run(config(tmp_path, '--episodes=6'))
  found = episodes(tmp_path)
  for each in found:
    assert each['terminated'] == (each['tics'] < 120)
    assert each['score'] == each['tics']
  limit = [not each['terminated'] for each in found]
  assert figures['share_at_limit'] == np.mean(limit)
  assert 0 < figures['share_at_limit'] < 1
  seeds = [environments.episode_seed(0, index) for index in range(6)]
  assert [each['seed'] for each in found] == seeds


def test_scores_and_limits_stay_in_tics_when_actions_are_held(tmp_path):
  figures = evaluate.run(config(tmp_path, '--episodes=6', '--frame_skip=7'))
  found = episodes(tmp_path)
  for each in found:
    assert each['score'] == each['tics']
    assert each['terminated'] == (each['tics'] < 120)
  assert 0 < figures['share_at_limit'] < 1


def test_flags_are_checked():
  with pytest.raises(faults.UsageError, match="--policy must be .*'dance'"):
    config_flags.resolve(evaluate.Config, ['--policy=dance'])
  with pytest.raises(faults.UsageError, match='--episodes must be .* 1'):
    config_flags.resolve(evaluate.Config, ['--episodes=0'])
  assert config_flags.resolve(evaluate.Config, []).episodes == 200


def test_the_binary_scores_without_tensorflow(tmp_path):
  code = (
    "import runpy, sys; sys.argv = ['evaluate', *sys.argv[1:]]; "
    f"runpy.run_path({str(ROOT / 'bin' / 'evaluate')!r}, None, '__main__'); "
    "print('tensorflow' in sys.modules)"
  )
  done = subprocess.run(
    [
      sys.executable,
      '-c',
      code,
      f'--run_dir={tmp_path / "run"}',
      '--preset=smoke',
      *FLAGS[1:],
    ],
    capture_output=True,
    check=True,
    text=True,
  )
  lines = done.stdout.splitlines()
  assert lines[1].startswith('stay: mean ')
  assert '6 episodes' in lines[1]
  assert lines[-1] == 'False'


def test_help_ends_quietly_when_nobody_reads_it():
  process = subprocess.Popen(
    [sys.executable, 'bin/evaluate', '--help'],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  )
  process.stdout.close()
  _, error = process.communicate()
  assert (process.returncode, error) == (0, b'')
