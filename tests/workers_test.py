"""Parallel play: the same results whatever dies, and nothing left behind."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import processes
import pytest

from nca_tf import environments
from nca_tf.command_line import faults
from nca_tf.environments import policies
from nca_tf.environments import workers
from nca_tf.environments.workers import episode
from nca_tf.environments.workers import pool

OPTIONS = {'time_limit': 150}
SEEDS = (3, 1, 4, 1, 5, 9)
LONG = tuple(range(40))


def play(seeds=SEEDS, policy='random', **options):
  return workers.play(
    'vizdoom', policy, seeds, **{'options': OPTIONS, **options}
  )


def outcomes(results):
  return [(each.index, each.seed, each.score, each.tics) for each in results]


@pytest.fixture(scope='module')
def expected():
  """What one process gives for `LONG`."""
  return outcomes(play(LONG, processes=1))


def worker_pids():
  return [
    pid
    for pid in processes.children(os.getpid())
    if 'worker.serve' in processes.command(pid)
  ]


@pytest.fixture(autouse=True)
def nothing_left():
  """After each test there is no worker and no engine of it any more."""
  yield
  left = worker_pids() + processes.engines(os.getpid())
  assert not processes.wait_until_gone(left)


def test_results_do_not_depend_on_the_number_of_processes(expected):
  assert outcomes(play(LONG, processes=2)) == expected
  assert [seed for _, seed, _, _ in expected] == list(LONG)
  assert len({score for _, _, score, _ in expected}) > 5


def test_recorded_frames_are_those_of_the_game():
  (result,) = play([7], record=True)
  env = environments.make('vizdoom', **OPTIONS)
  policy = policies.make('random', environments.get_spec('vizdoom'))
  own = episode.play(env, policy, 0, 7, record=True)
  observation, _ = env.reset(seed=7)
  env.close()
  assert result.frames == own.frames
  np.testing.assert_array_equal(result.actions, own.actions)
  assert result.actions.dtype == np.int32
  assert result.rewards.dtype == np.float32
  assert result.score == result.tics == len(result.rewards)
  frames = np.frombuffer(zlib.decompress(result.frames), np.uint8)
  frames = frames.reshape(-1, 64, 64, 3)
  assert len(frames) == result.tics + 1
  np.testing.assert_array_equal(frames[0], observation)


def test_recording_changes_no_episode():
  assert outcomes(play(record=True)) == outcomes(play())


def test_continuous_actions_are_recorded_as_floats():
  options = {'time_limit': 20, 'action_kind': 'continuous'}
  (result,) = play([7], record=True, options=options)
  assert result.actions.dtype == np.float32
  assert result.actions.shape == (20,)
  assert np.abs(result.actions).max() <= 1


def test_death_and_time_limit_are_told_apart():
  lives = list(play([1, 2, 3], policy='stay', options={'time_limit': 110}))
  for life in lives:
    assert life.terminated == (life.tics < 110)
  assert {life.terminated for life in lives} == {True, False}


def test_killed_workers_are_replaced(expected):
  results, seen = play(LONG, processes=2), []
  for turn, result in enumerate(results):
    seen.append(result)
    if turn in (2, 9):
      os.kill(worker_pids()[0], signal.SIGKILL)
  assert outcomes(seen) == expected


def test_killed_engines_are_replaced(expected):
  # An engine that dies with a lock in its hand leaves its worker hanging.
  results, seen = play(LONG, processes=2, patience=10), []
  for turn, result in enumerate(results):
    seen.append(result)
    if turn in (2, 9):
      os.kill(processes.engines(os.getpid())[0], signal.SIGKILL)
  assert outcomes(seen) == expected


def test_hung_engines_are_replaced(expected):
  results, seen = play(LONG, processes=2, patience=1.5), []
  for turn, result in enumerate(results):
    seen.append(result)
    if turn == 2:
      os.kill(processes.engines(os.getpid())[0], signal.SIGSTOP)
  assert outcomes(seen) == expected


def test_a_task_that_always_kills_is_given_up(monkeypatch):
  monkeypatch.setattr(pool, '_COMMAND', 'import os; os.abort()')
  with pytest.raises(faults.Fault, match=r'5 workers died .* 3 \(SIGABRT\)$'):
    next(play(processes=1))


def break_workers(tmp_path, monkeypatch, *lines):
  """Runs lines of Python in each worker before it serves."""
  (tmp_path / 'broken.py').write_text('\n'.join(lines))
  monkeypatch.setenv('PYTHONPATH', str(tmp_path))
  patched = pool._COMMAND.replace('; worker', '; import broken; worker')
  assert patched != pool._COMMAND
  monkeypatch.setattr(pool, '_COMMAND', patched)


@pytest.mark.parametrize(
  ('how', 'message'),
  [
    ('os.kill(os.getpid(), signal.SIGBUS)', 'SIGBUS: is /dev/shm full?'),
    ('os.kill(os.getpid(), signal.SIGKILL)', 'SIGKILL: is memory short?'),
    ('os._exit(7)', 'exit status 7'),
    ('os._exit(1)', 'exit status 1: are 60 s of patience too few?'),
  ],
)
def test_how_workers_died_is_said(monkeypatch, how, message):
  monkeypatch.setattr(pool, '_COMMAND', f'import os, signal; {how}')
  with pytest.raises(faults.Fault) as caught:
    next(play(processes=1))
  assert str(caught.value).endswith(f'seed 3 ({message})')


@pytest.mark.parametrize(
  ('line', 'error', 'message'),
  [
    ('take_cover.engine_lib._SHARED_KIB = 2**50', OSError, 'shm-size=1g'),
    ('take_cover._SCENARIO = "none.wad"', environments.GameCrashed, 'none.wad'),
    (
      'def fail(*a, **b): raise type("Odd", (Exception,), {})("no class")\n'
      'take_cover.TakeCover.reset = fail',
      RuntimeError,
      'Odd: no class',
    ),
  ],
)
def test_faults_in_workers_arrive_in_one_line(
  tmp_path, monkeypatch, line, error, message
):
  break_workers(
    tmp_path,
    monkeypatch,
    'from nca_tf.environments.take_cover import take_cover',
    line,
  )
  with pytest.raises(error) as caught:
    next(play(processes=1))
  assert message in str(caught.value) and '\n' not in str(caught.value)


def test_an_engine_that_always_fails_is_reported(tmp_path, monkeypatch):
  break_workers(
    tmp_path,
    monkeypatch,
    'from nca_tf import environments',
    'from nca_tf.environments.take_cover import take_cover',
    'def step(self, action):',
    "  raise environments.GameCrashed('engine died again')",
    'take_cover.TakeCover.step = step',
  )
  with pytest.raises(environments.GameCrashed, match='died again'):
    next(play(processes=1))


def test_workers_run_ahead_by_a_few_episodes_only():
  results = play(range(1000), processes=1, options={'time_limit': 5})
  next(results)
  players = results.gi_frame.f_locals['players']
  time.sleep(0.5)
  answered = 1000 - len(players._pool._waiting)
  assert answered <= 6
  results.close()


def whole_family(pid):
  """Two workers, their guards and engines, once all of them run."""
  while len(processes.engines(pid)) < 2:
    time.sleep(0.02)
  return processes.descendants(pid)


def test_closing_early_ends_everything():
  results = play(LONG, processes=2)
  next(results)
  family = whole_family(os.getpid())
  began = time.monotonic()
  results.close()
  assert not processes.wait_until_gone(family)
  assert time.monotonic() - began < 5


def test_an_interrupt_ends_everything():
  def interrupt():
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)

  began = threading.Thread(target=interrupt)
  with pytest.raises(KeyboardInterrupt):
    with contextlib.closing(play(range(10_000), processes=2)) as results:
      next(results)
      began.start()
      for _ in results:
        pass
  began.join()


OWNER = """
from nca_tf.environments import workers
for result in workers.play('vizdoom', 'random', range(10_000), processes=2):
  print(result.index, flush=True)
"""


@pytest.mark.parametrize('whole_group', [False, True])
def test_nothing_outlives_a_killed_owner(whole_group, tmp_path):
  root = pathlib.Path(environments.__file__).parents[2]
  owner = subprocess.Popen(
    [sys.executable, '-c', OWNER],
    env={**os.environ, 'PYTHONPATH': str(root), 'TMPDIR': str(tmp_path)},
    stdout=subprocess.PIPE,
    start_new_session=True,
  )
  with owner:
    ready = owner.stdout.readline()
    family = whole_family(owner.pid)
    if whole_group:
      os.killpg(owner.pid, signal.SIGKILL)
    else:
      owner.kill()
  assert ready == b'0\n'
  assert not processes.wait_until_gone(family)
  assert list(tmp_path.iterdir()) == []


def test_workers_import_no_tensorflow():
  code = (
    'import sys; from nca_tf.environments import workers; '
    'from nca_tf.environments.take_cover import take_cover; '
    "print('tensorflow' in sys.modules)"
  )
  root = pathlib.Path(environments.__file__).parents[2]
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=root, capture_output=True, check=True
  )
  assert done.stdout == b'False\n'


def test_no_seeds_no_results():
  assert list(play([])) == []


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'processes': -1}, 'processes must be .* of at least 0, got -1'),
    ({'seeds': [1, -2]}, 'seeds must be an integer of at least 0, got -2'),
    ({'policy': 'dance'}, "got 'dance'"),
    (
      {'options': {'time_limit': 0}},
      'time_limit must be .* at least 1 .*got 0',
    ),
  ],
)
def test_wrong_arguments_are_named_before_anything_starts(arguments, message):
  with pytest.raises(ValueError, match=message):
    play(**arguments)
