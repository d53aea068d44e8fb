"""Tests of run folders."""

import dataclasses
import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.runs import run_folder


@dataclasses.dataclass(frozen=True)
class Config(config_flags.Common):
  steps: int = config_flags.option(4, 'Steps.')
  sizes: tuple[int, ...] = config_flags.option((3, 4), 'Sizes.')


def open_folder(path, *argv):
  config = config_flags.resolve(Config, [f'--run_dir={path}', *argv])
  return run_folder.RunFolder.open(config, 'play', 'game-0')


def list_files(path):
  return sorted(str(file.relative_to(path)) for file in path.rglob('*'))


def test_new_folder_holds_configuration_and_versions(tmp_path):
  with open_folder(tmp_path / 'a' / 'b', '--steps=5') as folder:
    found = json.loads((folder.path / 'config.json').read_text())
    assert found['binary'] == 'play'
    assert found['config']['steps'] == 5
    assert found['config']['sizes'] == [3, 4]
    assert found['config']['threads'] == 0
    assert found['versions']['tensorflow'].startswith('2.21')
    assert 'git_revision' in found
    for name in ('checkpoints', 'tensorboard', 'export', 'figures'):
      assert getattr(folder, name) == folder.path / name
      assert getattr(folder, name).is_dir()


def test_default_path(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with open_folder(''):
    assert (tmp_path / 'runs' / 'play' / 'game-0' / 'config.json').is_file()


def test_stages_last(tmp_path):
  with open_folder(tmp_path) as folder:
    assert not folder.is_finished('vision')
    folder.finish('vision', {'loss': np.float32(0.5), 'list': np.arange(2)})
    folder.finish('model')
  with open_folder(tmp_path) as folder:
    assert folder.is_finished('vision')
    assert folder.info('vision') == {'loss': 0.5, 'list': [0, 1]}
    assert folder.info('model') == {}
    with pytest.raises(ValueError, match="one of .*'model'.*, got 'dream'"):
      folder.info('dream')


def test_resuming_keeps_the_configuration_file(tmp_path):
  open_folder(tmp_path).close()
  before = (tmp_path / 'config.json').read_bytes()
  open_folder(tmp_path, '--threads=2', '--jit=off').close()
  assert (tmp_path / 'config.json').read_bytes() == before


def test_other_configuration_is_refused_with_the_difference(tmp_path):
  open_folder(tmp_path).close()
  before = list_files(tmp_path)
  with pytest.raises(faults.UsageError) as caught:
    open_folder(tmp_path, '--steps=5', '--sizes=1')
  assert 'steps: folder has 4, command has 5' in str(caught.value)
  assert 'sizes: folder has [3, 4], command has [1]' in str(caught.value)
  assert 'seed' not in str(caught.value)
  assert list_files(tmp_path) == before


def test_other_binary_is_refused(tmp_path):
  open_folder(tmp_path).close()
  config = config_flags.resolve(Config, [f'--run_dir={tmp_path}'])
  with pytest.raises(faults.UsageError, match='binary: folder has play, .*run'):
    run_folder.RunFolder.open(config, 'run', 'game-0')


def test_folder_of_an_older_version_is_refused(tmp_path):
  open_folder(tmp_path).close()
  for name in ('config.json', 'config.copy.json'):
    found = json.loads((tmp_path / name).read_text())
    del found['config']['steps']
    found['config']['old'] = 1
    (tmp_path / name).write_text(json.dumps(found))
  with pytest.raises(
    faults.UsageError,
    match='steps: folder has nothing, command has 5; '
    'old: folder has 1, command has nothing',
  ):
    open_folder(tmp_path, '--steps=5')


def test_folder_with_other_files_is_refused(tmp_path):
  (tmp_path / 'holiday.jpg').touch()
  with pytest.raises(faults.UsageError, match="'holiday.jpg' but no config"):
    open_folder(tmp_path)
  assert list_files(tmp_path) == ['holiday.jpg']


def test_file_in_place_of_the_folder_is_refused(tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(faults.UsageError, match='must be a folder, got the file'):
    open_folder(tmp_path / 'file')


@pytest.mark.parametrize(
  'text', ['', '{"config": ', '[]', '{}', '{"config": 3}', '\0']
)
def test_damaged_configuration_is_one_line(tmp_path, text):
  (tmp_path / 'config.json').write_text(text)
  with pytest.raises(faults.Fault, match='config.json is damaged') as caught:
    open_folder(tmp_path)
  assert '\n' not in str(caught.value)
  assert list_files(tmp_path) == ['config.json']


def test_damaged_stages_are_found_out_again(tmp_path, capsys):
  with open_folder(tmp_path) as folder:
    folder.finish('vision')
  (tmp_path / 'stages.json').write_text('{"vision"')
  with open_folder(tmp_path) as folder:
    assert not folder.is_finished('vision')
    folder.finish('model')
  error = capsys.readouterr().err
  assert re.fullmatch(
    r'warning: .*stages\.json is damaged \(.*\); it is stages\.json\.dam.*\n',
    error,
  )
  assert (tmp_path / 'stages.json.damaged').read_text() == '{"vision"'
  with open_folder(tmp_path) as folder:
    assert folder.is_finished('model')


def test_stages_that_are_no_objects_are_not_finished(tmp_path):
  open_folder(tmp_path).close()
  (tmp_path / 'stages.json').write_text('{"vision": 3, "model": {"a": 1}}')
  with open_folder(tmp_path) as folder:
    assert not folder.is_finished('vision')
    assert folder.info('model') == {'a': 1}


@pytest.mark.parametrize('damage', ['', '{"config": ', '[]', '{}', '\0', None])
def test_the_copy_of_the_configuration_counts(tmp_path, damage, capsys):
  open_folder(tmp_path, '--steps=5').close()
  file = tmp_path / 'config.json'
  whole = file.read_bytes()
  file.unlink() if damage is None else file.write_text(damage)
  with pytest.raises(faults.UsageError, match='steps: folder has 5, command'):
    open_folder(tmp_path)
  open_folder(tmp_path, '--steps=5').close()
  assert file.read_bytes() == whole
  assert 'its copy, config.copy.json, counts' in capsys.readouterr().err


@pytest.mark.parametrize('changed', ['"steps": 5', '"stepc": 4', '"steps": 0'])
@pytest.mark.parametrize('file', ['config.json', 'config.copy.json'])
def test_of_two_configurations_that_of_the_command_counts(
  file, changed, tmp_path, capsys
):
  open_folder(tmp_path).close()
  before = (tmp_path / file).read_text()
  (tmp_path / file).write_text(before.replace('"steps": 4', changed))
  open_folder(tmp_path).close()
  said = capsys.readouterr().err
  assert ('config.json is damaged (step' in said) == (file == 'config.json')
  assert (tmp_path / file).read_text() == before


def test_an_option_that_came_later_stood_at_its_default(tmp_path):
  open_folder(tmp_path).close()
  for name in ('config.json', 'config.copy.json'):
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text.replace('"steps": 4,', ''))
  with pytest.raises(faults.UsageError, match='steps: folder has nothing'):
    open_folder(tmp_path, '--steps=5')
  open_folder(tmp_path).close()


def test_a_folder_of_an_older_version_gets_a_copy(tmp_path):
  open_folder(tmp_path).close()
  (tmp_path / 'config.copy.json').unlink()
  open_folder(tmp_path).close()
  copy = (tmp_path / 'config.copy.json').read_bytes()
  assert copy == (tmp_path / 'config.json').read_bytes()


@pytest.mark.parametrize(
  'number', [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL]
)
def test_a_file_system_without_locks_is_used(
  number, tmp_path, monkeypatch, capsys
):
  def refuse(*unused):
    raise OSError(number, os.strerror(number))

  monkeypatch.setattr(fcntl, 'flock', refuse)
  with open_folder(tmp_path) as folder:
    folder.finish('vision')
  error = capsys.readouterr().err
  assert error.startswith(f'warning: {tmp_path} is on a file system without')
  assert error.count('\n') == 1


def test_another_fault_of_the_lock_names_it(tmp_path, monkeypatch):
  def refuse(*unused):
    raise OSError(errno.EIO, os.strerror(errno.EIO))

  monkeypatch.setattr(fcntl, 'flock', refuse)
  with pytest.raises(OSError, match=r'run\.lock'):
    open_folder(tmp_path)


def test_folders_that_cannot_be_are_refused_unwritten(tmp_path):
  (tmp_path / 'file').touch()
  (tmp_path / 'dangling').symlink_to(tmp_path / 'nothing')
  (tmp_path / 'circle').symlink_to(tmp_path / 'circle')
  before = list_files(tmp_path)
  for name, message in (
    ('file/below', 'must be below a folder, got .*file/below, but .*file is'),
    ('dangling', 'symbolic link .*dangling, which leads nowhere'),
    ('circle', 'symbolic link .*circle, which leads nowhere'),
    (os.fsdecode(b'r\xfcn'), 'must be in UTF-8'),
    ('a\0b', 'must have no zero byte'),
  ):
    config = Config(run_dir=f'{tmp_path}/{name}')
    with pytest.raises(faults.UsageError, match=message) as caught:
      run_folder.RunFolder.open(config, 'play', 'game-0')
    assert '\n' not in str(caught.value)
  with pytest.raises(faults.UsageError, match="home of a user .*'~nobody_i"):
    open_folder('~nobody_is_called_so/run')
  with pytest.raises(OSError, match='File name too long'):
    open_folder(tmp_path / ('a' * 300))
  assert list_files(tmp_path) == before


def test_start_killed_before_the_configuration_is_taken_up(tmp_path):
  (tmp_path / 'run.lock').write_text('1')
  (tmp_path / 'config.json.partial').write_text('{"conf')
  with open_folder(tmp_path):
    assert json.loads((tmp_path / 'config.json').read_text())['config']


def test_second_user_is_refused_until_the_first_closes(tmp_path):
  first = open_folder(tmp_path)
  with pytest.raises(faults.Fault, match=f'in use by .*pid {os.getpid()}'):
    open_folder(tmp_path)
  first.close()
  open_folder(tmp_path).close()


def test_killed_process_leaves_no_lock(tmp_path):
  program = (
    'import sys; from nca_tf.command_line import config_flags as c\n'
    'from nca_tf.runs import run_folder as r\n'
    'config = c.resolve(c.Common, ["--run_dir=" + sys.argv[1]])\n'
    'folder = r.RunFolder.open(config, "play", "game-0")\n'
    'folder.finish("vision")\n'
    'print("open", flush=True); sys.stdin.read()'
  )
  child = subprocess.Popen(
    [sys.executable, '-c', program, str(tmp_path)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
  )
  config = config_flags.resolve(config_flags.Common, [f'--run_dir={tmp_path}'])
  with child:
    assert child.stdout.readline() == b'open\n'
    with pytest.raises(faults.Fault, match=f'pid {child.pid}'):
      run_folder.RunFolder.open(config, 'play', 'game-0')
    child.send_signal(signal.SIGKILL)
    child.wait()
  with run_folder.RunFolder.open(config, 'play', 'game-0') as folder:
    assert folder.is_finished('vision')


def test_failed_write_keeps_the_stages_of_before(tmp_path):
  with open_folder(tmp_path) as folder:
    folder.finish('vision', {'loss': 1})
    with pytest.raises(TypeError, match='must hold JSON: got object'):
      folder.finish('model', {'loss': object()})
    assert folder.info('vision') == {'loss': 1}
    assert not folder.is_finished('model')
