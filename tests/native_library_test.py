"""The compiled memory access on machines with faults: a folder, or one line.

A small script stands for the compiler, and nothing is loaded, so that each
fault costs no more than a process.
"""

import errno
import fcntl
import os
import pathlib
import pwd
import stat
import subprocess
import tempfile
import types

import pytest
import tensorflow as tf

from nca_tf import memory
from nca_tf.memory.unrolled import native
from nca_tf.memory.unrolled import native_library
from nca_tf.memory.unrolled import unroll

# Writes a library to the path after -o, and a line for each of its calls.
COMPILER = """#!/bin/sh
echo "$TMPDIR" >> {calls}
{fault}
while [ "$1" != -o ]; do shift; done
echo library > "$2"
"""


@pytest.fixture(name='machine')
def make_machine(tmp_path, monkeypatch):
  """A home, a folder for temporary files and a compiler, all in order."""
  home, temporary = tmp_path / 'home', tmp_path / 'temporary'
  home.mkdir()
  temporary.mkdir()
  machine = types.SimpleNamespace(
    home=home,
    cache=home / '.cache',
    temporary=temporary,
    calls=tmp_path / 'calls',
    compiler=tmp_path / 'compiler',
    loaded=[],
    set=monkeypatch.setenv,
    unset=lambda name: monkeypatch.delenv(name, raising=False),
    patch=monkeypatch.setattr,
  )
  write_compiler(machine)
  machine.unset('XDG_CACHE_HOME')
  machine.unset('NCA_TF_NATIVE')
  machine.set('HOME', str(home))
  machine.set('CXX', str(machine.compiler))
  machine.patch(tempfile, 'tempdir', str(temporary))

  def load(path):
    assert pathlib.Path(path).read_text() == 'library\n'
    machine.loaded.append(pathlib.Path(path))
    return 'operations'

  machine.patch(tf, 'load_op_library', load)
  native.load.cache_clear()
  yield machine
  native.load.cache_clear()


def write_compiler(machine, fault=''):
  text = COMPILER.format(calls=machine.calls, fault=fault)
  machine.compiler.write_text(text)
  machine.compiler.chmod(0o755)


def count_compilations(machine):
  calls = machine.calls
  return len(calls.read_text().splitlines()) if calls.exists() else 0


def use_disk(machine, full=(), flags=0):
  """Makes the disks below these folders full, or gives all these flags."""

  def statvfs(path):
    is_full = any(pathlib.Path(path).is_relative_to(one) for one in full)
    blocks = 0 if is_full else 2**30
    return types.SimpleNamespace(f_bavail=blocks, f_frsize=1, f_flag=flags)

  machine.patch(os, 'statvfs', statvfs)


def no_passwd_entry(machine):
  def getpwuid(uid):
    raise KeyError(f'uid not found: {uid}')

  machine.unset('HOME')
  machine.patch(pwd, 'getpwuid', getpwuid)


def home_is_read_only(machine):
  make = pathlib.Path.mkdir

  def mkdir(path, *arguments, **options):
    if path.is_relative_to(machine.home):
      raise OSError(errno.EROFS, 'Read-only file system', str(path))
    make(path, *arguments, **options)

  machine.patch(pathlib.Path, 'mkdir', mkdir)


def cache_is_a_file(machine):
  machine.cache.write_text('')


def cache_is_not_utf8(machine):
  machine.set(
    'XDG_CACHE_HOME', os.fsdecode(os.fsencode(machine.home) + b'/\xff')
  )


def disk_is_full(machine):
  use_disk(machine, full=[machine.home])


def disk_fills_up(machine):
  fault = f'case "$TMPDIR" in {machine.home}*) '
  fault += 'echo "x.s: No space left on device" >&2; exit 1;; esac'
  write_compiler(machine, fault)


def quota_is_used_up(machine):
  fault = f'case "$TMPDIR" in {machine.home}*) '
  fault += 'echo "x.s: Disk quota exceeded" >&2; exit 1;; esac'
  write_compiler(machine, fault)


@pytest.mark.parametrize(
  ('fault', 'reason'),
  (
    (no_passwd_entry, 'the user has no home'),
    (home_is_read_only, 'Read-only file system'),
    (cache_is_a_file, 'Not a directory'),
    (cache_is_not_utf8, 'Not a name in UTF-8'),
    (disk_is_full, 'No space left on device'),
    (disk_fills_up, 'No space left on device'),
    (quota_is_used_up, 'No space left on device'),
  ),
)
def test_a_folder_that_fails_costs_a_compilation(fault, reason, machine, capfd):
  fault(machine)
  assert native.load() == native.load() == 'operations'
  assert machine.loaded[0].is_relative_to(machine.temporary)
  assert not list(machine.temporary.iterdir())  # It is gone again.
  *_, line = capfd.readouterr().err.splitlines()
  assert line.startswith("nca_tf: compiling the DNC's memory access, about 25 ")
  assert f'{reason}' in line
  assert line.endswith('XDG_CACHE_HOME may name a folder that keeps it')
  assert not list(machine.home.rglob('*.so'))


def no_locks(machine):
  def flock(file, operation):
    raise OSError(errno.ENOLCK, 'No locks available')

  machine.patch(fcntl, 'flock', flock)


def a_relative_cache(machine):
  machine.set('XDG_CACHE_HOME', 'cache')


def a_compiler_behind_a_wrapper(machine):
  machine.set('CXX', f'env {machine.compiler}')


def nothing(machine):
  pass


@pytest.mark.parametrize(
  'fault', (nothing, no_locks, a_relative_cache, a_compiler_behind_a_wrapper)
)
def test_one_compilation_serves_all_processes(fault, machine, capfd):
  fault(machine)
  for _ in range(3):
    native.load.cache_clear()  # As in another process.
    assert native.load() == 'operations'
  (library,) = set(machine.loaded)
  assert library.is_relative_to(machine.cache)
  assert count_compilations(machine) == 1
  (line,) = capfd.readouterr().err.splitlines()
  assert line.startswith("nca_tf: compiling the DNC's memory access, about 25 ")
  assert line.endswith('once on this machine')


def test_what_is_there_serves_from_a_read_only_folder(machine, capfd):
  native.load()
  home_is_read_only(machine)
  opened = open

  def open_to_read(path, mode='r', *arguments, **options):
    if pathlib.Path(path).is_relative_to(machine.home) and 'w' in mode:
      raise OSError(errno.EROFS, 'Read-only file system', str(path))
    return opened(path, mode, *arguments, **options)

  machine.patch('builtins.open', open_to_read)
  capfd.readouterr()
  native.load.cache_clear()
  assert native.load() == 'operations'
  assert machine.loaded[0] == machine.loaded[1]
  assert not capfd.readouterr().err


@pytest.mark.parametrize('data', (b'', b'libr', b'l1brary\n', None))
def test_a_damaged_library_is_made_again(data, machine):
  native.load()
  (library,) = machine.loaded
  (digest,) = library.parent.glob('*.sha256')
  if data is None:
    digest.write_bytes(b'\xff')
  else:
    library.write_bytes(data)
  native.load.cache_clear()
  assert native.load() == 'operations'
  assert count_compilations(machine) == 2


def test_what_a_killed_compilation_left_is_removed(machine):
  native.load()
  (library,) = machine.loaded
  library.unlink()
  left = library.parent / f'{library.stem}-abc'
  left.mkdir()
  (left / library.name).write_text('libr')
  (library.parent / f'{library.name}.partial').write_text('libr')
  native.load.cache_clear()
  assert native.load() == 'operations'
  kinds = sorted(path.suffix for path in library.parent.iterdir())
  assert kinds == ['.lock', '.sha256', '.so']


def no_compiler(machine):
  machine.set('CXX', str(machine.home / 'missing'))


def no_name_of_a_compiler(machine):
  machine.set('CXX', "'g++")


def compiler_fails(machine):
  write_compiler(
    machine,
    "printf 'In file included from a.h:1,\\n"
    "a.h:2: error: \\351 is no C++\\nand more' >&2; exit 1",
  )


def compiler_is_killed(machine):
  write_compiler(machine, 'kill -9 $$')


def compiler_is_no_program(machine):
  machine.compiler.write_text('')
  machine.compiler.chmod(0o755)
  machine.compiler.write_bytes(b'\x7fELF')


def no_disk_has_room(machine):
  use_disk(machine, full=[machine.home, machine.temporary])


def nothing_may_run(machine):
  use_disk(machine, flags=os.ST_NOEXEC)


def no_folder_for_temporary_files(machine):
  def mkdtemp(*arguments, **options):
    raise FileNotFoundError(errno.ENOENT, 'No usable temporary directory')

  no_passwd_entry(machine)
  machine.patch(tempfile, 'mkdtemp', mkdtemp)


def library_does_not_load(machine):
  def load(path):
    raise tf.errors.NotFoundError(None, None, f'{path}: undefined symbol')

  machine.patch(tf, 'load_op_library', load)


@pytest.mark.parametrize(
  ('fault', 'reason', 'compilations'),
  (
    (no_compiler, 'install the package g++, or let CXX name another one', 0),
    (no_name_of_a_compiler, 'install the package g++, or let CXX', 0),
    (compiler_fails, 'access: a.h:2: error: \ufffd is no C++', 1),
    (compiler_is_killed, 'SIGKILL', 1),
    (compiler_is_no_program, 'Exec format error', 0),
    (no_disk_has_room, 'No space left on device', 0),
    (nothing_may_run, 'Mounted without leave to execute', 0),
    (no_folder_for_temporary_files, 'No usable temporary directory', 0),
    (library_does_not_load, 'undefined symbol', 1),
  ),
)
def test_without_it_there_is_one_line(
  fault, reason, compilations, machine, capfd
):
  fault(machine)
  assert not native.is_usable()
  assert not native.is_usable()
  lines = capfd.readouterr().err.splitlines()
  (line,) = [line for line in lines if 'compiling' not in line]
  assert line.startswith('nca_tf: the DNC trains about 2.3 times slower, with')
  assert reason in line
  assert count_compilations(machine) == compilations
  assert not list(machine.temporary.iterdir())


def test_half_precision_in_the_processor_does_no_harm():
  """Eigen's header for it does not compile."""
  compiler = native_library.find_compiler()
  half = [*compiler, '-mavx512fp16']
  known = subprocess.run(
    [*half, '-x', 'c++', '-E', os.devnull], capture_output=True
  )
  command = [
    *(compiler if known.returncode else half),
    *native_library._FLAGS,
    *tf.sysconfig.get_compile_flags(),
    '-fsyntax-only',
    str(native_library.SOURCES[0]),
  ]
  assert not subprocess.run(command, capture_output=True).stderr


def test_switched_off_it_says_nothing(machine, capfd):
  machine.set('NCA_TF_NATIVE', 'off')
  assert not native.is_usable()
  assert not capfd.readouterr().err


@pytest.mark.parametrize('kernel', ('pure', 'plain'))
def test_other_kernels_ask_for_no_compiler(kernel, machine, capfd):
  no_compiler(machine)
  cell = memory.DNCCell(2, memory_slots=2, word_size=2, read_heads=1)
  layer = memory.DNC(cell, kernel=kernel)
  assert layer(tf.ones([1, 2, 3]), training=True).shape == (1, 4)
  if kernel == 'pure':
    state = cell.get_initial_state(1)
    unroll.unroll(cell, tf.ones([1, 2, 3]), state, kernel=kernel)
  assert 'nca_tf' not in capfd.readouterr().err
  native.load()
  assert 'install the package g++' in capfd.readouterr().err


def test_the_library_may_be_read_by_others_but_written_by_none(machine):
  native.load()
  mode = machine.loaded[0].stat().st_mode
  assert not mode & (stat.S_IWGRP | stat.S_IWOTH)
  assert native_library.find_compiler() == [str(machine.compiler)]
