"""Faults of the machine end in one line, and the same command goes on."""

import contextlib
import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys

import pytest
import tensorflow as tf

from nca_tf import files
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.runs import run_folder

PROGRAM = """
import time
from nca_tf.command_line import config_flags
from nca_tf.runs import run_folder

def run(config):
  with run_folder.RunFolder.open(config, 'play', 'game-0') as folder:
    print('opened', flush=True)
    for number in range(40):
      if not folder.is_finished(f'stage {number}'):
        folder.finish(f'stage {number}', {'number': number})
        time.sleep(0.01)
        print('finished', number, flush=True)
  print('goodbye')

config_flags.main('Doc.', config_flags.Common, run)
"""
STAGES = {f'stage {number}': {'number': number} for number in range(40)}


@contextlib.contextmanager
def start(folder, **options):
  """A process that finishes 40 stages."""
  options = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, **options}
  command = [sys.executable, '-c', PROGRAM, f'--run_dir={folder}']
  path = os.pathsep.join(filter(None, sys.path))
  environment = {**os.environ, 'PYTHONPATH': path}
  with subprocess.Popen(
    command, text=True, env=environment, **options
  ) as process:
    yield process


def call(folder, **options):
  """The exit status of the whole of it, and what it wrote to stderr."""
  with start(folder, **options) as process:
    error = process.communicate()[1]
  return process.returncode, error


def assert_goes_on(folder):
  assert call(folder) == (0, '')
  assert json.loads((folder / 'stages.json').read_text()) == STAGES


@pytest.mark.parametrize(
  ('number', 'line'),
  [
    (signal.SIGTERM, '-c: SIGTERM; the same command resumes\n'),
    (signal.SIGHUP, '-c: SIGHUP; the same command resumes\n'),
    (signal.SIGINT, '-c: interrupted; the same command resumes\n'),
    (signal.SIGKILL, ''),
  ],
)
def test_a_signal_ends_it_in_one_line(number, line, tmp_path):
  with start(tmp_path) as process:
    while process.stdout.readline() != 'finished 3\n':
      assert process.poll() is None
    process.send_signal(number)
    assert process.communicate()[1] == line
  killed = number == signal.SIGKILL
  assert process.returncode == (-number if killed else 128 + number)
  found = json.loads((tmp_path / 'stages.json').read_text())
  assert len(found) in range(4, 40)
  assert_goes_on(tmp_path)


def test_a_signal_that_the_caller_ignores_is_ignored(tmp_path):
  def ignore():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

  with start(tmp_path, preexec_fn=ignore) as process:
    while process.stdout.readline() != 'finished 3\n':
      assert process.poll() is None
    process.send_signal(signal.SIGHUP)
    assert process.communicate()[1] == ''
  assert process.returncode == 0
  assert_goes_on(tmp_path)


@pytest.mark.parametrize(
  'closed', [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)]
)
def test_closed_streams_are_done_without(closed, tmp_path):
  def close():
    for number in closed:
      os.close(number)

  # The parent's pipe is closed as well, in the child alone.
  status, error = call(tmp_path, preexec_fn=close)
  assert (status, error) == (0, '')
  assert_goes_on(tmp_path)
  assert (tmp_path / 'run.lock').read_text().isdecimal()


def test_a_pipe_that_nobody_reads_ends_it_in_one_line(tmp_path):
  with start(tmp_path) as process:
    process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
  assert process.returncode == 1
  assert error == '-c: nobody reads the output any more; the same command ' + (
    'resumes\n'
  )
  assert_goes_on(tmp_path)


@pytest.mark.parametrize('stream', ['stdout', 'stderr'])
def test_a_full_disk_under_the_output_is_one_line(stream, tmp_path):
  with open('/dev/full', 'w') as full:
    status, error = call(tmp_path, **{stream: full})
  if stream == 'stdout':
    assert status == 1
    assert re.fullmatch('-c: No space left on device; free some.*\n', error)
  else:
    assert status == 0
  assert_goes_on(tmp_path)


@pytest.mark.parametrize(
  ('kind', 'limit', 'message'),
  [
    (resource.RLIMIT_FSIZE, 0, 'File too large: .*run.lock; allow larger'),
    (
      resource.RLIMIT_FSIZE,
      1200,
      'File too large: .*stages.json; allow larger',
    ),
    (resource.RLIMIT_NOFILE, 3, 'Too many open files.*; allow more open files'),
  ],
)
def test_a_limit_of_the_shell_is_one_line(
  kind, limit, message, tmp_path, capsys
):
  def run(config):
    hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit, hard[1]))
    try:
      with run_folder.RunFolder.open(config, 'play', 'game-0') as folder:
        for number in range(99):
          folder.finish(f'stage {number}', {'number': number})
    finally:
      resource.setrlimit(kind, hard)

  with pytest.raises(SystemExit) as caught:
    config_flags.main(
      '', config_flags.Common, run, ['bin/x', f'--run_dir={tmp_path / "run"}']
    )
  assert caught.value.code == 1
  assert re.fullmatch(f'x: {message}.*\n', capsys.readouterr().err)
  if limit == 1200:  # What was finished before is still finished.
    assert run_folder.read_stages(tmp_path / 'run')


def main_line(error, capsys):
  """The line and the exit status that an exception ends a binary with."""

  def run(config):
    raise error

  with pytest.raises(SystemExit) as caught:
    config_flags.main('', config_flags.Common, run, ['bin/x'])
  out = capsys.readouterr()
  assert out.err.count('\n') == 1 and not out.out
  return out.err, caught.value.code


def system_error(name):
  number = getattr(errno, name)
  return OSError(number, os.strerror(number), 'runs/a')


def tensorflow_error(name):
  number = getattr(errno, name)
  return tf.errors.UnknownError(None, None, f'runs/a; {os.strerror(number)}')


_RESUMES = 'the same command resumes'
_FAULTS = (
  ('ENOSPC', f'No space left on device.*free some space; {_RESUMES}'),
  ('EDQUOT', f'quota exceeded.*free some space; {_RESUMES}'),
  ('EROFS', 'Read-only file system.*another --run_dir'),
  ('EACCES', 'Permission denied.*another --run_dir'),
  ('EPERM', 'not permitted.*another --run_dir'),
  ('ENAMETOOLONG', 'name too long.*shorter name'),
  ('ELOOP', 'symbolic links.*in a circle'),
  ('EMFILE', r'Too many open files.*ulimit -n'),
  ('ENFILE', f'Too many open files in system.*{_RESUMES}'),
  ('EIO', f'Input/output error.*the disk fails; {_RESUMES}'),
  ('ENOMEM', f'Cannot allocate memory.*free some memory; {_RESUMES}'),
  ('EEXIST', 'File exists.*a folder belongs there'),
  ('ENOTDIR', 'Not a directory.*a folder belongs there'),
  ('ENOENT', 'No such file or directory: runs/a'),
)


@pytest.mark.parametrize('make', [system_error, tensorflow_error])
@pytest.mark.parametrize(
  ('name', 'message'), _FAULTS, ids=[name for name, _ in _FAULTS]
)
def test_a_fault_and_its_cure_are_one_line(make, name, message, capsys):
  line, status = main_line(make(name), capsys)
  if make is tensorflow_error and name == 'ENOENT':
    message = 'runs/a; No such file'
  assert re.search(message, line) and 'runs/a' in line
  assert status == 1


def test_full_memory_is_one_line(capsys):
  line, status = main_line(MemoryError(), capsys)
  assert line == f'x: the memory is full; free some memory; {_RESUMES}\n'
  assert status == 1


@pytest.mark.parametrize(
  'error',
  [
    ValueError('a bug'),
    tf.errors.InvalidArgumentError(None, None, 'a bug'),
    tf.errors.InternalError(None, None, 'a bug'),
  ],
  ids=lambda error: type(error).__name__,
)
def test_bugs_keep_their_traceback(error):
  def run(config):
    raise error

  with pytest.raises(type(error), match='a bug'):
    config_flags.main('', config_flags.Common, run, ['bin/x'])
  assert faults.explain(error) is None


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    (os.fsdecode(b'r\xfcn'), r"--run_dir must be in UTF-8, got 'r\\udcfcn'"),
    ('a\0b', "--run_dir must have no zero byte, got 'a"),
    ('~nobody_is_called_so/a', "without ~, got '~nobody_is_called_so/a'"),
    ('/dev/null', '--run_dir must be a folder, got the file /dev/null'),
    ('/dev/null/a', '--run_dir must be below a folder, got /dev/null/a'),
  ],
)
def test_names_that_no_folder_has_are_refused(flag, message, capsys):
  def run(config):
    run_folder.RunFolder.open(config, 'play', 'game-0')

  with pytest.raises(SystemExit) as caught:
    config_flags.main('', config_flags.Common, run, ['x', f'--run_dir={flag}'])
  assert caught.value.code == 2
  error = capsys.readouterr().err
  assert re.search(message, error) and error.count('\n') == 1


@pytest.mark.parametrize('name', ['ENOSPC', 'EDQUOT', 'EIO', 'EROFS'])
@pytest.mark.parametrize('step', ['fsync', 'replace'])
@pytest.mark.parametrize('when', [0, 3])
def test_a_write_that_fails_loses_nothing(
  name, step, when, tmp_path, monkeypatch
):
  """The first two writes are of the configuration, the others of stages."""
  config = config_flags.Common(run_dir=str(tmp_path / 'run'))
  real, calls = getattr(os, step), []

  def fail(*arguments):
    calls.append(arguments)
    if len(calls) > when:
      number = getattr(errno, name)
      raise OSError(number, os.strerror(number))
    return real(*arguments)

  def run():
    with run_folder.RunFolder.open(config, 'play', 'game-0') as folder:
      for number in range(40):
        if not folder.is_finished(f'stage {number}'):
          folder.finish(f'stage {number}', {'number': number})

  with monkeypatch.context() as patch:
    patch.setattr(os, step, fail)
    with pytest.raises(OSError) as caught:
      run()
  file = 'stages.json' if when else 'config.json'
  assert caught.value.filename == str(tmp_path / 'run' / file)
  assert faults.explain(caught.value).count(str(tmp_path)) == 1
  if when:
    assert run_folder.read_stages(tmp_path / 'run') == {
      'stage 0': {'number': 0}
    }
  run()
  assert run_folder.read_stages(tmp_path / 'run') == STAGES
  assert not list((tmp_path / 'run').glob(f'*{files.PARTIAL}'))
