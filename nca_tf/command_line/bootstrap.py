"""Makes the environment that a binary needs, on the first call in a clone.

`ensure()` uses the standard library only. Called by a Python outside the
environment it makes `.venv` in the checkout, installs the tested set of
packages and the library, and starts the binary again inside it. Later calls
compare one hash and start at once.

constraints.txt names every package, those of packages too, and pip installs
them without resolving anything: TF-Agents asks for versions of pygame and
typing_extensions for which Python 3.12 and later have no wheel, and works with
newer ones. No resolver accepts that without an option of its own.

Two files in `.venv` tell a complete environment from a broken one.
`nca_tf.stamp` is written last and identifies what was installed.
`nca_tf.installing` exists in a new environment until then; a call that finds
it starts from an empty folder. Packages are added to an environment that
somebody else made; it is never deleted.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pathlib
import shutil
import sys
import time

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_VERSIONS = ((3, 11), (3, 12), (3, 13), (3, 10))  # In order of preference.
_SUPPORTED = 'Python 3.10 to 3.13'
_GUARD = 'NCA_TF_BOOTSTRAP_PROCESS'
_HEARTBEAT = 15.0  # Seconds between two lines while pip works.
_INPUTS = ('setup.py', 'constraints.txt')
_PROBE = 'import ensurepip, sys, venv; print(sys.version_info[:2])'


class _Failure(Exception):
  """One line for the user."""


def ensure(root=_ROOT):
  """Returns inside an environment that has everything the library needs.

  Returns at once when the process runs in the checkout's `.venv`, in another
  virtual environment that has TensorFlow, or from an installed wheel. Otherwise
  it makes or updates `.venv` if necessary and runs the same command again with
  its Python, in this process. Ends the process with one line and status 1 on
  failure. `root` is the checkout.
  """
  if not is_needed(root):
    return
  try:
    if os.environ.get(_GUARD) == str(os.getpid()):
      raise _Failure(
        f'{_python(root)} does not run inside its environment; remove '
        f'{root / ".venv"} and run the command again'
      )
    if not is_ready(root):
      with _locked(root) as lock:
        if not is_ready(root):
          _install(root, lock)
  except KeyboardInterrupt:
    _leave('interrupted; the same command installs again', 130)
  except _Failure as failure:
    _leave(failure, 1)
  except OSError as error:
    _leave(f'cannot make {root / ".venv"}: {error}', 1)
  os.environ[_GUARD] = str(os.getpid())
  sys.stdout.flush()
  sys.stderr.flush()
  python = str(_python(root))
  arguments = getattr(sys, 'orig_argv', [sys.executable, *sys.argv])
  os.execv(python, [python, *arguments[1:]])


def is_needed(root):
  """Tells whether the command must run in the checkout's `.venv` instead."""
  if not all((root / name).is_file() for name in _INPUTS):
    return False  # An installed wheel: pip has installed the rest.
  prefix = pathlib.Path(sys.prefix).resolve()
  if prefix == (root / '.venv').resolve():
    return False
  is_environment = sys.prefix != sys.base_prefix
  is_environment |= (prefix / 'conda-meta').is_dir()
  return not (is_environment and importlib.util.find_spec('tensorflow'))


def is_ready(root):
  """Tells whether `.venv` is complete and made from the present files."""
  try:
    stamp = (root / '.venv' / 'nca_tf.stamp').read_text(encoding='utf-8')
  except OSError:
    return False
  return stamp == fingerprint(root) and os.access(_python(root), os.X_OK)


def fingerprint(root):
  """Returns what identifies an environment: requirements and place."""
  digest = hashlib.sha256(str(root).encode())
  for name in _INPUTS:
    digest.update((root / name).read_bytes())
  return digest.hexdigest()


def find_python():
  """Returns a Python that the stack supports, or raises `_Failure`."""
  candidates = [sys.executable] if sys.version_info[:2] in _VERSIONS else []
  names = [f'python{major}.{minor}' for major, minor in _VERSIONS]
  for name in (*names, 'python3', 'python'):
    for folder in os.environ.get('PATH', os.defpath).split(os.pathsep):
      candidates.append(os.path.join(folder, name))
  for candidate in dict.fromkeys(candidates):
    if os.access(candidate, os.X_OK) and _probe(candidate) in _VERSIONS:
      return candidate
  here = '.'.join(map(str, sys.version_info[:2]))
  raise _Failure(
    f'needs {_SUPPORTED} with its venv module on PATH (Debian: apt install '
    f'python3-venv), got Python {here} in {sys.executable}'
  )


def _python(root):
  return root / '.venv' / 'bin' / 'python'


def _probe(python):
  """Returns a Python's version, or None when it cannot make environments."""
  import subprocess  # Later calls of a binary do not need it.

  try:
    output = subprocess.check_output(
      [python, '-c', _PROBE], stderr=subprocess.DEVNULL, text=True, timeout=60
    )
    return tuple(map(int, output.strip(' ()\n').split(',')))
  except (OSError, subprocess.SubprocessError, ValueError):
    return None


def _install(root, lock):
  """Makes `.venv`, or brings it up to date, and stamps it."""
  folder = root / '.venv'
  mark = folder / 'nca_tf.installing'
  began = time.monotonic()
  if mark.exists():
    _say('an earlier installation did not finish; starting again')
    _empty(folder, keep=mark)
  is_new = not _python(root).exists()
  python = find_python() if is_new else str(_python(root))
  if not is_new and _probe(python) not in _VERSIONS:
    raise _Failure(
      f'{folder} has no usable {_SUPPORTED}; remove it and run the command '
      'again'
    )
  stamp = fingerprint(root)
  (folder / 'nca_tf.stamp').unlink(missing_ok=True)
  if is_new:
    folder.mkdir(exist_ok=True)
    mark.touch()
    _say(f'first call: making {folder} with {python}')
    _wait([python, '-m', 'venv', str(folder)], root, lock)
  _say('installing TensorFlow and the rest, about 3 GB and 2 to 8 minutes')
  pip = [str(_python(root)), '-m', 'pip', 'install', '-q']
  pip += ['--disable-pip-version-check', '--no-deps']
  _wait([*pip, '-r', 'constraints.txt'], root, lock)
  _wait([*pip, '-e', '.'], root, lock)
  # A torn stamp is no fingerprint: the next call would install again.
  (folder / 'nca_tf.stamp').write_text(stamp, encoding='utf-8')
  mark.unlink(missing_ok=True)
  _say(f'installed in {time.monotonic() - began:.0f} s')


def _empty(folder, keep):
  """Removes everything in a folder except one file."""
  for entry in folder.iterdir():
    if entry.is_dir() and not entry.is_symlink():
      shutil.rmtree(entry)
    elif entry != keep:
      entry.unlink()


@contextlib.contextmanager
def _locked(root):
  """Holds the checkout's lock; a second process waits here.

  The lock is on the folder itself, so it leaves no file. pip inherits it: if
  this process is killed, the next one waits until pip has ended as well.
  """
  lock = os.open(root, os.O_RDONLY)
  try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    _say('another command is installing; waiting for it')
    fcntl.flock(lock, fcntl.LOCK_EX)
  except OSError:
    pass  # A file system without locks: two first calls may collide.
  try:
    yield lock
  finally:
    os.close(lock)


def _wait(command, root, lock):
  """Runs a command, with a line every 15 s; `_Failure` when it fails."""
  import subprocess
  import tempfile

  began = time.monotonic()
  with tempfile.TemporaryFile('w+', errors='replace') as log:
    process = subprocess.Popen(
      command,
      cwd=root,
      stdin=subprocess.DEVNULL,
      stdout=log,
      stderr=subprocess.STDOUT,
      pass_fds=(lock,),
    )
    try:
      while True:
        try:
          status = process.wait(_HEARTBEAT)
          break
        except subprocess.TimeoutExpired:
          _say(f'still installing, {time.monotonic() - began:.0f} s')
    except BaseException:
      process.terminate()
      process.wait()
      raise
    if status:
      log.seek(0)
      raise _Failure(_shorten(log.read(), command, status))


def _shorten(log, command, status):
  """Returns the lines of pip's output that say what failed."""
  lines = [line.strip() for line in log.splitlines() if line.strip()]
  errors = [line for line in lines if line.startswith('ERROR')] or lines
  chosen = list(dict.fromkeys(errors[-2:]))
  retries = [line for line in lines if 'connection broken by' in line]
  if retries:  # Without a network all other errors follow from that.
    cause = retries[-1].split('connection broken by')[1]
    cause = cause.rsplit("')': /", 1)[0].rsplit('>: ', 1)[-1].strip()
    chosen = ['no connection to the package index,', cause[:200]]
  text = ' '.join(chosen)[:600] or f'status {status}'
  return f'cannot install ({" ".join(command[1:4])}): {text}'


def _say(text):
  print(f'{_name()}: {text}', file=sys.stderr, flush=True)


def _leave(text, status):
  _say(text)
  sys.exit(status)


def _name():
  return pathlib.Path(sys.argv[0]).name or 'nca_tf'
