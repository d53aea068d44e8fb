"""Other libraries to compare with: an environment and a process of theirs."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from nca_tf.command_line import faults

_STAMP = 'installed'
_SERVER = pathlib.Path(__file__).with_name('peer_server.py')
# The measurement is of one core: no library may start further threads.
_ONE_THREAD = {
  'JAX_PLATFORMS': 'cpu',
  'MKL_NUM_THREADS': '1',
  'OMP_NUM_THREADS': '1',
  'OPENBLAS_NUM_THREADS': '1',
  'XLA_FLAGS': '--xla_cpu_multi_thread_eigen=false',
}


def install(requirements: Sequence[str], base: pathlib.Path | None = None):
  """Makes a virtual environment with some packages, unless there is one.

  Args:
    requirements: For pip, with versions, e.g. `['cma==4.5.0']`.
    base: Folder of such environments; by default one in the user's cache.

  Returns:
    The environment's Python.

  Raises:
    faults.Fault: It cannot be made, for example without a network.
  """
  cache = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
  base = base or pathlib.Path(cache, 'nca_tf', 'peers')
  text = ' '.join([*requirements, *map(str, sys.version_info[:2])])
  folder = base / hashlib.sha256(text.encode()).hexdigest()[:12]
  python = folder / 'bin' / 'python'
  base.mkdir(parents=True, exist_ok=True)
  with open(folder.with_suffix('.lock'), 'w') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if (folder / _STAMP).exists():
      return python
    shutil.rmtree(folder, ignore_errors=True)
    print(
      f'first call: installing {", ".join(requirements)} in {folder}, a minute '
      'or two',
      flush=True,
    )
    _call([sys.executable, '-m', 'venv', str(folder)], 'make the environment')
    pip = [str(python), '-m', 'pip', 'install', '-q']
    _call([*pip, '--disable-pip-version-check', *requirements], 'install')
    (folder / _STAMP).write_text(text)
  return python


def _call(command, purpose):
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  if done.returncode:
    lines = [
      line for line in done.stderr.splitlines() if line.startswith('ERROR')
    ] or done.stderr.splitlines()[-1:]
    raise faults.Fault(
      f'cannot {purpose} of the peers ({" ".join(lines)[:400]}); '
      '--peers=false measures without them'
    )


def start(
  requirements: Sequence[str], script: pathlib.Path, is_wanted: bool
) -> contextlib.AbstractContextManager:
  """Returns the process of a script with packages of its own.

  Where it is not wanted, what stands for None in a `with`.
  """
  if not is_wanted:
    return contextlib.nullcontext()
  return PeerProcess(install(requirements), script)


class PeerProcess(contextlib.AbstractContextManager):
  """A process that runs a script's functions on request, see `peer_server`.

      with peers_lib.PeerProcess(python, 'peers.py') as peers:
        values = peers.ask('values', objective={'name': 'sphere'}, x=[[1.0]])

  It inherits the cores that this process may use, and has one thread.
  """

  def __init__(self, python, script: pathlib.Path):
    """Starts the script with an environment's Python."""
    self._errors = tempfile.TemporaryFile('w+', errors='replace')
    self._process = subprocess.Popen(
      [str(python), str(_SERVER), str(script)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=self._errors,
      env={**os.environ, **_ONE_THREAD},
      text=True,
    )

  def ask(self, call: str, **arguments: Any) -> Any:
    """Calls a function of the script, with arguments for JSON.

    Raises:
      faults.Fault: The process has ended; the message has the last line of its
        stderr.
    """
    with contextlib.suppress(BrokenPipeError):
      request = json.dumps({'call': call, **arguments})
      self._process.stdin.write(request + '\n')
      self._process.stdin.flush()
    answer = self._process.stdout.readline()
    if not answer:
      self._process.wait()
      self._errors.seek(0)
      last = self._errors.read().strip().splitlines()[-1:]
      raise faults.Fault(f"the peers' process ended: {' '.join(last)}")
    return json.loads(answer)['answer']

  def __exit__(self, *unused) -> None:
    try:
      self._process.communicate(timeout=5)  # Closes its stdin first.
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.communicate()
    self._errors.close()
