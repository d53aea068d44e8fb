"""The library of the compiled memory access: where it is, and how it is made.

A compiler makes it at the first use, in the user's cache folder, and whoever
comes later finds it there. Where that folder cannot be used (no home, no right
to write, no room, a name that is not UTF-8) each process makes its own in a
temporary folder. Where nothing can be made, one line on stderr says why.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile

import tensorflow as tf

from nca_tf import files

SOURCES = tuple(
  pathlib.Path(__file__).with_name(name)
  for name in ('native_access.cc', 'native_access.h', 'native_addressing.h')
)
# Sums may be reordered, which vectorisation needs; NaN and infinity are kept.
# Eigen's header for half precision does not compile where the processor has
# AVX512-FP16 (TensorFlow 2.21, g++ 12): it must not be seen to have it.
_FLAGS = (
  '-O3 -march=native -U__AVX512FP16__ -fno-math-errno -fno-trapping-math '
  '-fno-signed-zeros -fassociative-math -shared -fPIC -w'
).split()
_ROOM = 2**26  # Bytes free: the compiler's own files and the library.


def folders():
  """Contexts that give folders for the library, the better one first."""
  return _users_folder(), _temporary_folder()


def find_compiler() -> list[str]:
  """The command of the C++ compiler: CXX, or g++.

  Raises:
    LookupError: there is none; the message says what to install.
  """
  given = os.environ.get('CXX', '')
  try:
    command = shlex.split(given) or ['g++']
  except ValueError:  # A quotation that isn't closed.
    command = [given]
  found = shutil.which(command[0])
  if found is None:
    raise LookupError(
      f'there is no C++ compiler ({command[0]}); install the package g++, or '
      'let CXX name another one'
    )
  return [found, *command[1:]]


def build(compiler: list[str], folder: pathlib.Path, reasons=()):
  """Compiles the library unless the folder has it.

  Args:
    compiler: from `find_compiler`.
    folder: of such libraries.
    reasons: why no other folder is used, to be said.

  Returns:
    The library's file.

  Raises:
    OSError: the folder cannot be read or written, is full, or has a name that
      is not UTF-8, which TensorFlow cannot take.
    subprocess.SubprocessError: the compiler fails.
  """
  if os.fsencode(folder) != str(folder).encode(errors='replace'):
    raise OSError(errno.EILSEQ, 'Not a name in UTF-8', str(folder))
  command = [*compiler, *_FLAGS, *tf.sysconfig.get_compile_flags()]
  command.append(str(SOURCES[0]))
  links = tf.sysconfig.get_link_flags()
  text = [*command, *links, tf.__version__, _processor()]
  text += [source.read_text(encoding='utf-8') for source in SOURCES]
  name = hashlib.sha256('\n'.join(text).encode(errors='replace')).hexdigest()
  library = folder / f'access-{name[:16]}.so'
  if _is_whole(library):  # Before anything is written: it may be read-only.
    return library
  folder.mkdir(parents=True, exist_ok=True)
  _check_folder(folder)
  with _locked(library.with_suffix('.lock')) as alone:
    if not _is_whole(library):
      _announce(reasons)
      if alone:  # What a killed compilation has left.
        for left in folder.glob(f'{library.stem}-*'):
          shutil.rmtree(left, ignore_errors=True)
      _compile(command, links, library)
  return library


def _compile(command, links, library):
  """Makes the library, whole or not at all."""
  with tempfile.TemporaryDirectory(
    prefix=f'{library.stem}-', dir=library.parent, ignore_cleanup_errors=True
  ) as scratch:
    made = pathlib.Path(scratch, library.name)
    done = subprocess.run(
      [*command, '-o', str(made), *links],
      env={**os.environ, 'LC_ALL': 'C', 'TMPDIR': scratch},
      stdin=subprocess.DEVNULL,
      capture_output=True,
      text=True,
      errors='replace',
    )
    full = 'No space left on device', 'Disk quota exceeded'
    if any(words in done.stderr for words in full):
      raise OSError(errno.ENOSPC, full[0], str(library.parent))
    done.check_returncode()
    data = made.read_bytes()
  files.write_whole(library, data)
  files.write_whole(_digest_file(library), _digest(data))


def _is_whole(library):
  """Whether the library is there as it was made: it runs in this process."""
  try:
    expected = _digest_file(library).read_text(encoding='utf-8')
    return _digest(library.read_bytes()) == expected
  except (FileNotFoundError, UnicodeError):
    return False


def _digest_file(library):
  return library.with_suffix('.sha256')


def _digest(data):
  return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def _users_folder():
  """`nca_tf/native` in the user's cache folder."""
  cache = os.environ.get('XDG_CACHE_HOME', '')
  if not os.path.isabs(cache):
    cache = os.path.join(os.path.expanduser('~'), '.cache')
  if not os.path.isabs(cache):
    raise OSError('the user has no home')
  yield pathlib.Path(cache, 'nca_tf', 'native')


@contextlib.contextmanager
def _temporary_folder():
  """A folder that is gone once the library is loaded."""
  with tempfile.TemporaryDirectory(
    prefix='nca_tf-', ignore_cleanup_errors=True
  ) as folder:
    yield pathlib.Path(folder)


def _check_folder(folder):
  """Raises `OSError` where a compilation would be in vain."""
  disk = os.statvfs(folder)
  if disk.f_bavail * disk.f_frsize < _ROOM:
    raise OSError(errno.ENOSPC, 'No space left on device', str(folder))
  if disk.f_flag & os.ST_NOEXEC:
    raise OSError(errno.EPERM, 'Mounted without leave to execute', str(folder))


@contextlib.contextmanager
def _locked(path):
  """Keeps others from compiling meanwhile, and gives whether it could."""
  with open(path, 'w', encoding='utf-8') as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX)
      alone = True
    except OSError:  # Some network file systems have none.
      alone = False
    yield alone


def _processor():
  """The processor's features, on which -march=native depends."""
  try:
    text = pathlib.Path('/proc/cpuinfo').read_text(errors='replace')
  except OSError:
    return platform.processor()
  wanted = ('model name', 'flags')
  lines = text.splitlines()
  return '\n'.join(sorted({line for line in lines if line.startswith(wanted)}))


def _announce(reasons):
  what = "compiling the DNC's memory access, about 25 s of CPU time"
  if not reasons:
    say(f'{what}, once on this machine')
    return
  say(
    f'{what}, for this process alone: {"; ".join(reasons)}; XDG_CACHE_HOME may '
    'name a folder that keeps it'
  )


def describe(error):
  """The line of what went wrong: a compiler first says where it is."""
  lines = (getattr(error, 'stderr', None) or str(error)).strip().splitlines()
  told = [line for line in lines if 'error:' in line] or lines
  text = told[0] if told else type(error).__name__
  return text.encode(errors='backslashreplace').decode()


def say(text):
  """Prints a line on stderr."""
  print(f'nca_tf: {text}', file=sys.stderr, flush=True)
