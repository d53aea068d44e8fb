"""Tests of the first call in a clone, with stand-ins for venv and pip."""

import os
import pathlib
import signal
import subprocess
import sys
import time
from importlib import metadata

import pytest
from packaging import requirements
from packaging import utils

from nca_tf.command_line import bootstrap

ROOT = pathlib.Path(__file__).resolve().parent.parent

# The interpreter outside any environment; in 3.10 no variable names it.
PYTHON = os.path.realpath(sys.executable)
BINARY = """
import pathlib, sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from nca_tf.command_line import bootstrap
bootstrap.ensure()
print(pathlib.Path(sys.prefix).name, *sys.argv[1:])
"""
# Links the interpreter instead of copying pip, which takes seconds.
VENV = """
import os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
(folder / 'bin').mkdir(parents=True)
(folder / 'bin' / 'python').symlink_to(sys.executable)
home = os.path.dirname(os.path.realpath(sys.executable))
(folder / 'pyvenv.cfg').write_text(f'home = {home}')
"""
PIP = """
import os, pathlib, sys, time
with open('pip.log', 'a') as log:
  print(*sys.argv[1:], file=log)
time.sleep(float(os.environ.get('PIP_STUB_SLEEP', 0)))
if os.environ.get('PIP_STUB_FAILS') == 'offline':
  print("WARNING: Retrying (Retry(total=0)) after connection broken by 'New("
        "<object>: [Errno -3] Failure in name resolution')': /simple/pip/")
if os.environ.get('PIP_STUB_FAILS'):
  print('noise')
  sys.exit('ERROR: No matching distribution found for absl-py')
"""


class Checkout:
  """A clone whose environment takes no time to make."""

  def __init__(self, path):
    self.root = path / 'clone'
    self.stubs = path / 'stubs'
    source = pathlib.Path(bootstrap.__file__).read_text(encoding='utf-8')
    for file, text in (
      (self.root / 'nca_tf' / '__init__.py', ''),
      (self.root / 'nca_tf' / 'command_line' / '__init__.py', ''),
      (self.root / 'nca_tf' / 'command_line' / 'bootstrap.py', source),
      (self.root / 'setup.py', ''),
      (self.root / 'constraints.txt', ''),
      (self.root / 'bin' / 'play', BINARY),
      (self.stubs / 'venv' / '__init__.py', ''),
      (self.stubs / 'venv' / '__main__.py', VENV),
      (self.stubs / 'pip' / '__init__.py', ''),
      (self.stubs / 'pip' / '__main__.py', PIP),
    ):
      file.parent.mkdir(parents=True, exist_ok=True)
      file.write_text(text, encoding='utf-8')

  def start(self, *arguments, python=PYTHON, **variables):
    """Starts the binary with a Python outside any environment."""
    environment = {
      **os.environ,
      'PYTHONPATH': str(self.stubs),
      **{name: str(value) for name, value in variables.items()},
    }
    return subprocess.Popen(
      [str(python), 'bin/play', *arguments],
      cwd=self.root,
      env=environment,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )

  def call(self, *arguments, **variables):
    """Returns the binary's status, stdout and stderr."""
    with self.start(*arguments, **variables) as process:
      out, err = process.communicate(timeout=50)
    return process.returncode, out, err

  @property
  def environment(self):
    return self.root / '.venv'

  def pip_calls(self):
    log = self.root / 'pip.log'
    return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def checkout(tmp_path):
  return Checkout(tmp_path)


def test_first_call_installs_once_and_goes_on_with_its_arguments(checkout):
  status, out, err = checkout.call('--seed=3', 'a b')
  assert (status, out) == (0, '.venv --seed=3 a b\n')
  assert 'play: first call: making' in err
  assert 'play: installing' in err
  assert checkout.pip_calls() == [
    'install -q --disable-pip-version-check --no-deps -r constraints.txt',
    'install -q --disable-pip-version-check --no-deps -e .',
  ]
  assert checkout.call() == (0, '.venv\n', '')
  assert len(checkout.pip_calls()) == 2


def test_changed_requirements_are_installed_into_the_same_environment(checkout):
  checkout.call()
  (checkout.environment / 'mine').touch()
  (checkout.root / 'constraints.txt').write_text('numpy==2.3.5\n')
  status, out, err = checkout.call()
  assert (status, out) == (0, '.venv\n')
  assert 'first call' not in err
  assert len(checkout.pip_calls()) == 4
  assert (checkout.environment / 'mine').exists()


def test_moved_checkout_is_installed_again(checkout, tmp_path):
  checkout.call()
  checkout.root = checkout.root.rename(tmp_path / 'elsewhere')
  assert checkout.call()[0] == 0
  assert len(checkout.pip_calls()) == 4


def test_failed_installation_is_short_and_does_not_pass_as_complete(checkout):
  status, out, err = checkout.call(PIP_STUB_FAILS=1)
  assert (status, out) == (1, '')
  assert err.splitlines()[2:] == [
    'play: cannot install (-m pip install): '
    'ERROR: No matching distribution found for absl-py'
  ]
  status, out, err = checkout.call()
  assert (status, out) == (0, '.venv\n')
  assert 'an earlier installation did not finish' in err


def test_missing_network_is_told(checkout):
  status, _, err = checkout.call(PIP_STUB_FAILS='offline')
  assert status == 1
  last = err.splitlines()[-1]
  assert 'no connection to the package index' in last
  assert last.endswith('[Errno -3] Failure in name resolution')


def test_killed_installation_is_thrown_away_once_pip_has_ended(checkout):
  with checkout.start(PIP_STUB_SLEEP=2) as process:
    wait_for(checkout.pip_calls)
    (checkout.environment / 'half').touch()
    began = time.monotonic()
    process.send_signal(signal.SIGKILL)
    status, out, err = checkout.call()
    assert time.monotonic() - began > 1
  assert (status, out) == (0, '.venv\n')
  assert 'another command is installing; waiting' in err
  assert 'an earlier installation did not finish' in err
  assert not (checkout.environment / 'half').exists()
  assert checkout.call() == (0, '.venv\n', '')


def test_interrupted_installation_is_one_line(checkout):
  with checkout.start(PIP_STUB_SLEEP=20) as process:
    wait_for(checkout.pip_calls)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
  assert process.returncode == 130
  assert err.endswith('play: interrupted; the same command installs again\n')
  assert not (checkout.environment / 'nca_tf.stamp').exists()


def test_two_first_calls_install_once(checkout):
  with checkout.start(PIP_STUB_SLEEP=1) as first:
    wait_for(checkout.pip_calls)
    with checkout.start() as second:
      assert first.communicate(timeout=50)[0] == '.venv\n'
      assert second.communicate(timeout=50)[0] == '.venv\n'
  assert len(checkout.pip_calls()) == 2


def test_environment_of_somebody_else_is_kept(checkout):
  folder = checkout.environment
  (folder / 'bin').mkdir(parents=True)
  (folder / 'bin' / 'python').symlink_to(PYTHON)
  home = pathlib.Path(PYTHON).parent
  (folder / 'pyvenv.cfg').write_text(f'home = {home}')
  (folder / 'mine').touch()
  assert checkout.call(PIP_STUB_FAILS=1)[0] == 1
  assert checkout.call()[:2] == (0, '.venv\n')
  assert (folder / 'mine').exists()


def test_environment_that_is_none_ends_with_one_line(checkout):
  checkout.call()
  (checkout.environment / 'pyvenv.cfg').unlink()
  status, _, err = checkout.call()
  assert status == 1
  assert err.count('\n') == 1
  assert 'does not run inside its environment; remove' in err


def test_environment_is_left_alone_by_its_own_python(checkout):
  checkout.call()
  (checkout.root / 'setup.py').write_text('# New.')
  python = checkout.environment / 'bin' / 'python'
  assert checkout.call(python=python) == (0, '.venv\n', '')


def test_installed_wheel_needs_nothing(tmp_path):
  assert not bootstrap.is_needed(tmp_path)


def test_other_environment_with_tensorflow_is_used(checkout, monkeypatch):
  monkeypatch.setattr(sys, 'prefix', str(checkout.stubs))
  monkeypatch.setattr(sys, 'base_prefix', '/usr')
  monkeypatch.syspath_prepend(str(checkout.stubs))
  (checkout.stubs / 'tensorflow.py').touch()
  assert not bootstrap.is_needed(checkout.root)
  monkeypatch.setattr(sys, 'base_prefix', str(checkout.stubs))
  assert bootstrap.is_needed(checkout.root)  # The system's own Python.


def test_python_of_another_version_looks_for_the_right_one(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(sys, 'version_info', (3, 14, 0))
  for name, text in (
    ('python3.11', 'echo "no such version" >&2; exit 127'),
    ('python3.10', 'echo "(3, 10)"'),
  ):
    file = tmp_path / name
    file.write_text(f'#!/bin/sh\n{text}\n')
    file.chmod(0o755)
  monkeypatch.setenv('PATH', str(tmp_path))
  assert bootstrap.find_python() == str(tmp_path / 'python3.10')


def test_no_fitting_python_is_one_line(checkout, monkeypatch, capsys):
  monkeypatch.setattr(sys, 'version_info', (3, 9, 2))
  monkeypatch.setattr(sys, 'prefix', '/usr')
  monkeypatch.setattr(sys, 'base_prefix', '/usr')
  monkeypatch.setenv('PATH', '')
  with pytest.raises(SystemExit) as caught:
    bootstrap.ensure(checkout.root)
  assert caught.value.code == 1
  err = capsys.readouterr().err
  assert err.count('\n') == 1
  assert 'needs Python 3.10 to 3.13' in err
  assert 'got Python 3.9' in err
  assert not checkout.environment.exists()


@pytest.mark.parametrize('minor', [10, 11, 12, 13])
def test_each_supported_python_is_taken_as_it_is(monkeypatch, minor):
  monkeypatch.setattr(sys, 'version_info', (3, minor, 0))
  monkeypatch.setattr(bootstrap, '_probe', lambda python: (3, minor))
  assert bootstrap.find_python() == sys.executable


def read_versions(**environment):
  """Returns {package: version} of constraints.txt for a Python."""
  lines = (ROOT / 'constraints.txt').read_text(encoding='utf-8').splitlines()
  wanted = [
    requirements.Requirement(line)
    for line in lines
    if line and not line.startswith('#')
  ]
  found = {}
  for entry in wanted:
    if entry.marker is None or entry.marker.evaluate(environment):
      name = utils.canonicalize_name(entry.name)
      assert name not in found, f'{name} is named twice'
      (found[name],) = (specifier.version for specifier in entry.specifier)
  return found


def test_constraints_name_one_version_of_the_same_packages_for_each_python():
  names = [
    set(read_versions(python_version=f'3.{minor}'))
    for minor in (10, 11, 12, 13)
  ]
  # 3.11 has these two in its library, and pandas' stand-in is of scikit-learn.
  assert names[0] - names[1] == {'exceptiongroup', 'tomli'}
  assert names[1] - names[0] == {'narwhals'}
  assert names[1] == names[2] == names[3]


def test_constraints_are_complete():
  """Pip resolves nothing: what a package needs must be among them."""
  versions = read_versions()
  needed = {}
  for name, version in versions.items():
    assert metadata.version(name) == version
    for line in metadata.requires(name) or ():
      needed.setdefault(line, name)
  needed |= dict.fromkeys(metadata.requires('nca_tf'), 'nca_tf')
  faults = set()
  for line, by in needed.items():
    need = requirements.Requirement(line)
    extras = ('', 'test') if by == 'nca_tf' else ('',)
    if need.marker and not any(
      need.marker.evaluate({'extra': e}) for e in extras
    ):
      continue
    found = versions.get(utils.canonicalize_name(need.name), 'none')
    if not need.specifier.contains(found, prereleases=True):
      faults.add((by, need.name))
  # These are older than Python 3.12, and newer ones serve TF-Agents as well.
  tolerated = {('tf-agents', 'pygame'), ('tf-agents', 'typing-extensions')}
  assert faults <= (tolerated if sys.version_info >= (3, 12) else set())


def wait_for(condition):
  deadline = time.monotonic() + 20
  while not condition():
    assert time.monotonic() < deadline, 'nothing happened for 20 s'
    time.sleep(0.02)
