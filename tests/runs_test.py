"""Runs: stages done once, reports published whole."""

import dataclasses
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nca_tf.analysis import canvas
from nca_tf.analysis import table
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.runs import report as report_lib
from nca_tf.runs import run as run_lib


@dataclasses.dataclass(frozen=True)
class Config(config_flags.Common):
  steps: int = config_flags.option(4, 'Steps.')


def start(path, *argv, **options):
  config = config_flags.resolve(Config, [f'--run_dir={path}', *argv])
  return run_lib.start(config, 'play', 'game-0', 'a game', **options)


def tabulate():
  view = table.Table(['what', 'value'])
  view.add('a|b', 0.5)
  return view


def draw():
  figure = canvas.new_figure(200, 100)
  figure.subplots().plot([0, 1])
  return figure


def read_tags(folder):
  """Tags of a folder's TensorBoard events."""
  return [
    value.tag
    for file in folder.iterdir()
    for event in tf.compat.v1.train.summary_iterator(str(file))
    for value in event.summary.value
  ]


@pytest.fixture
def float32():
  yield
  keras.config.set_floatx('float32')
  keras.config.set_dtype_policy('float32')


@pytest.mark.parametrize(
  ('name', 'folder'),
  [
    ('vizdoom-dnc-0', 'vizdoom-dnc-0'),
    ('agent-1.15-0', 'agent-1.15-0'),
    ('gym:ale_py:ALE/Pong-v5,mode=1-0', 'gym-ale_py-ALE-Pong-v5-mode-1-0'),
    ('gym:../../x-v0', 'gym-..-..-x-v0'),
  ],
)
def test_the_folders_name_holds_what_a_file_may(
  name, folder, tmp_path, monkeypatch, float32
):
  monkeypatch.chdir(tmp_path)
  with run_lib.start(Config(), 'play', name, computes=False) as run:
    assert run.path.resolve() == tmp_path / 'runs' / 'play' / folder


def test_start_says_where_and_sets_the_precision(tmp_path, capsys, float32):
  with start(tmp_path / 'run', '--precision=float64') as run:
    assert keras.config.floatx() == 'float64'
    assert run.config.precision == 'float64'
    assert run.path == tmp_path / 'run'
    with pytest.raises(faults.Fault, match='in use by another process'):
      start(tmp_path / 'run', '--precision=float64')
  line = f'play: a game, in {tmp_path / "run"}\n'
  assert capsys.readouterr().out == line


def test_closed_run_puts_the_precision_back(tmp_path, float32):
  with start(tmp_path / 'outer', '--precision=float64'):
    with start(tmp_path / 'inner', '--precision=mixed_bfloat16'):
      assert keras.config.dtype_policy().name == 'mixed_bfloat16'
    assert keras.config.floatx() == 'float64'
    assert keras.config.dtype_policy().name == 'float64'
  with pytest.raises(KeyError), start(tmp_path / 'b', '--precision=float64'):
    raise KeyError
  assert keras.config.floatx() == 'float32'
  assert keras.config.dtype_policy().name == 'float32'


def test_run_without_tensorflow_reports_without_it(tmp_path):
  program = (
    'import sys; from nca_tf.command_line import config_flags as c\n'
    'from nca_tf.runs import report, run\n'
    'config = c.resolve(c.Common, ["--run_dir=" + sys.argv[1]])\n'
    'with run.start(config, "play", "game-0", computes=False) as r:\n'
    '  r.stage("game", lambda: {"score": 1})\n'
    '  r.publish(report.Report(head="Score", numbers=[1]))\n'
    'print("tensorflow" in sys.modules)'
  )
  done = subprocess.run(
    [sys.executable, '-c', program, str(tmp_path)],
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout == f'play: in {tmp_path}\nScore\n\nFalse\n'
  assert (tmp_path / 'summary.md').read_text() == 'Score\n'
  assert not list((tmp_path / 'tensorboard').iterdir())


def test_stage_is_done_once_and_returns_what_json_has(tmp_path):
  calls = []

  def work():
    calls.append(1)
    return {'loss': np.float32(0.5), 'sizes': (1, 2), 3: np.arange(2)}

  expected = {'loss': 0.5, 'sizes': [1, 2], '3': [0, 1]}
  with start(tmp_path) as run:
    assert run.stage('train', work) == expected  # Not as `work` returned it.
    assert run.stage('train', work) == expected
    assert run.stage('empty', lambda: None) == {}
  with start(tmp_path) as run:
    assert run.stage('train', work) == expected
    assert run.stage('empty', work) == {}
  assert len(calls) == 1


def test_failed_stage_runs_again(tmp_path):
  def fail():
    raise faults.Fault('no engine')

  done = []
  works = {'one': lambda: done.append(1), 'two': fail, 'three': done.clear}
  with start(tmp_path) as run, pytest.raises(faults.Fault, match='no engine'):
    run.stages(works)
  with start(tmp_path) as run:
    assert run.is_finished('one')
    assert not run.is_finished('two') and not run.is_finished('three')
    found = run.stages({**works, 'two': lambda: {'score': 3}})
  assert found == {'one': {}, 'two': {'score': 3}, 'three': {}}
  assert list(found) == ['one', 'two', 'three']


def test_publish_writes_text_markdown_json_figures_and_tensorboard(
  tmp_path, capsys
):
  view = tabulate()
  report = report_lib.Report(
    {'First': view, '': view},
    'Below.',
    'Above.',
    {'mean': np.float64(0.5)},
    iter([('curve', draw())]),
  )
  text = f'Above.\n\nFirst\n\n{view.text()}\n\n{view.text()}\n\nBelow.\n'
  markdown = (
    f'Above.\n\n## First\n\n{view.markdown()}\n{view.markdown()}\nBelow.\n'
  )
  with start(tmp_path) as run:
    capsys.readouterr()
    run.publish(report, 'results', 'results.json', step=7)
    assert capsys.readouterr().out == text + '\n'
    assert sorted(read_tags(run.tensorboard)) == ['figures/curve', 'results']
  assert (tmp_path / 'results.txt').read_text() == text
  assert (tmp_path / 'results.md').read_text() == markdown
  assert json.loads((tmp_path / 'results.json').read_text()) == {'mean': 0.5}
  with Image.open(tmp_path / 'figures' / 'curve.png') as picture:
    assert picture.size == (200, 100)
  assert not list(tmp_path.glob('**/*.partial'))


def test_empty_report_has_no_numbers(tmp_path, capsys):
  assert report_lib.Report().text() == report_lib.Report().markdown() == ''
  with start(tmp_path) as run:
    run.publish(report_lib.Report())
  assert (tmp_path / 'summary.md').read_text() == ''
  assert (tmp_path / 'summary.txt').read_text() == ''
  assert not (tmp_path / 'scores.json').exists()


def test_failed_report_keeps_the_one_before(tmp_path):
  with start(tmp_path) as run:
    run.publish(report_lib.Report(head='old', numbers=[1]))
    with pytest.raises(TypeError, match='must hold JSON: got object'):
      run.publish(report_lib.Report(head='new', numbers=[object()]))
  assert json.loads((tmp_path / 'scores.json').read_text()) == [1]
  assert (tmp_path / 'summary.md').read_text() == 'old\n'


def test_goodbye_ends_with_what_comes_next(tmp_path, capsys):
  with start(tmp_path) as run:
    capsys.readouterr()
    run.goodbye(Next='bin/evaluate', Saved_models=str(run.export))
    lines = capsys.readouterr().out.splitlines()
    run.goodbye()
  assert [line.split(':')[0] for line in lines] == [
    'Saved models',
    'Figures',
    'Look at it',
    'Next',
  ]
  assert lines[0] == f'Saved models: {tmp_path / "export"}'
  assert lines[1] == f'Figures:      {tmp_path / "figures"}'
  assert lines[2].endswith(f'--logdir={tmp_path / "tensorboard"}')
  assert lines[3] == 'Next:         bin/evaluate'
  assert 'Next' not in capsys.readouterr().out
