"""Tests of the progress display."""

import io

import pytest

from nca_tf.runs import progress


class Terminal(io.StringIO):
  def isatty(self):
    return True


class Clock:
  def __init__(self):
    self.now = 100.0

  def __call__(self):
    return self.now


def test_log_gets_a_line_at_the_start_every_10_s_and_at_the_end():
  stream, clock = io.StringIO(), Clock()
  with progress.Progress(
    'vision', 100, 'steps', stream=stream, clock=clock
  ) as bar:
    for step in range(25):
      clock.now += 1
      bar.update(step + 1, loss=0.123456)
  assert stream.getvalue().splitlines() == [
    'vision: 0/100 steps (0 %)',
    'vision: 10/100 steps (10 %), 1 steps/s, 1 min 30 s left, loss 0.1235',
    'vision: 20/100 steps (20 %), 1 steps/s, 1 min 20 s left, loss 0.1235',
    'vision: 25/100 steps (25 %), done in 25.0 s, 1 steps/s, loss 0.1235',
  ]


def run_steps(stream, clock, seconds, done=0):
  """Shows steps of such lengths, after `done` of an earlier process."""
  with progress.Progress(
    'm', 1000, 'steps', done, stream=stream, clock=clock
  ) as bar:
    for step, length in enumerate(seconds, done + 1):
      clock.now += length
      bar.update(step)
  return stream.getvalue().splitlines()


@pytest.mark.parametrize('done', [0, 500])
def test_time_left_does_not_count_the_first_step_which_compiles(done):
  lines = run_steps(io.StringIO(), Clock(), [50.0] + [0.5] * 20, done)
  # After the first step alone nothing is known yet.
  assert lines[1] == f'm: {done + 1}/1000 steps ({(done + 1) // 10} %)'
  left = '8 min 10 s' if not done else '4 min 00 s'
  assert lines[2].endswith(f'2 steps/s, {left} left')
  assert 'done in 1 min 00 s' in lines[-1] and '0.35 steps/s' in lines[-1]


def test_time_left_follows_the_pace_of_the_last_minute():
  lines = run_steps(io.StringIO(), Clock(), [0.5] * 100 + [5.0] * 40)
  shown = [line for line in lines if ' left' in line]
  assert ', 2 steps/s' in shown[2]
  assert ', 0.2 steps/s' in shown[-1]  # All steps together: 0.56.


def test_resumed_work_counts_only_its_own_steps_for_the_rate():
  stream, clock = io.StringIO(), Clock()
  with progress.Progress(
    'vision', 100, 'steps', 50, stream=stream, clock=clock
  ) as bar:
    clock.now += 10
    bar.update(60)
  assert 'vision: 50/100 steps (50 %)' in stream.getvalue()
  assert '60/100 steps (60 %), 1 steps/s, 40.0 s left' in stream.getvalue()


def test_terminal_gets_one_line_that_is_rewritten():
  stream, clock = Terminal(), Clock()
  with progress.Progress('v', 4, 'steps', stream=stream, clock=clock) as bar:
    for step in range(4):
      clock.now += 1
      bar.update(step + 1)
  text = stream.getvalue()
  assert text.count('\n') == 1
  assert text.endswith('\n')
  assert text.count('\r') == 6
  assert all(len(part) < 80 + 4 for part in text.split('\r'))


def test_terminal_is_not_flooded():
  stream, clock = Terminal(), Clock()
  with progress.Progress('v', 1000, 'x', stream=stream, clock=clock) as bar:
    for step in range(1000):
      clock.now += 0.001
      bar.update(step + 1)
  assert stream.getvalue().count('\r') < 15


def test_failure_is_not_called_done():
  stream = io.StringIO()
  with pytest.raises(ValueError, match='stop'):
    with progress.Progress('v', 2, 'x', stream=stream) as bar:
      bar.update(1)
      raise ValueError('stop')
  assert 'v: 1/2 x (50 %), stopped after' in stream.getvalue()
  assert 'done' not in stream.getvalue()


def test_nothing_to_do():
  stream = io.StringIO()
  with progress.Progress('v', 0, 'x', stream=stream):
    pass
  assert 'v: 0/0 x (100 %), done in 0.0 s' in stream.getvalue()


@pytest.mark.parametrize(
  'seconds, text',
  [
    (0, '0.0 s'),
    (59.94, '59.9 s'),
    (59.96, '1 min 00 s'),
    (245, '4 min 05 s'),
    (3599.6, '1 h 00 min'),
    (12000, '3 h 20 min'),
  ],
)
def test_duration(seconds, text):
  assert progress.duration(seconds) == text
