"""The compiled memory access: `access_gradient` as two TensorFlow operations.

g++ compiles native_access.cc at the first use into the user's cache folder,
which takes about 15 s of CPU time. Where that is not possible, `is_usable` is
false and the log says why. NCA_TF_NATIVE=off turns it off.
"""

import fcntl
import functools
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile

import tensorflow as tf
from absl import logging
from tensorflow.python.ops import control_flow_util

from nca_tf.memory import access

SOURCES = tuple(
  pathlib.Path(__file__).with_name(name)
  for name in ('native_access.cc', 'native_access.h', 'native_addressing.h')
)
# The kernel's loops over the heads are unrolled for as many.
MOST_HEADS = 8
# Sums may be reordered, which vectorisation needs; NaN and infinity are kept.
_FLAGS = (
  '-O3 -march=native -fno-math-errno -fno-trapping-math -fno-signed-zeros '
  '-fassociative-math -shared -fPIC -w'
).split()


def is_usable(read_heads: int = 1) -> bool:
  """Whether the operations can run here: compiled, on a CPU, and without XLA.

  XLA cannot call operations from a library; it compiles the pure form instead.
  """
  if read_heads > MOST_HEADS or tf.config.list_physical_devices('GPU'):
    return False
  if not tf.executing_eagerly():
    graph = tf.compat.v1.get_default_graph()
    if control_flow_util.GraphOrParentsInXlaContext(graph):
      return False
  return load() is not None


@functools.cache
def load():
  """The module of operations, or None."""
  if os.environ.get('NCA_TF_NATIVE') == 'off':
    return None
  try:
    return tf.load_op_library(str(build()))
  except (OSError, subprocess.SubprocessError, tf.errors.OpError) as error:
    reason = getattr(error, 'stderr', None) or error
    logging.warning(
      'the DNC runs without its compiled memory access: %s',
      str(reason).strip().splitlines()[:1],
    )
    return None


def build(folder: pathlib.Path | None = None) -> pathlib.Path:
  """Compiles the library unless it is there.

  Args:
    folder: of such libraries; `nca_tf/native` in the user's cache.

  Returns:
    The library's file.

  Raises:
    OSError: there is no compiler, or the folder cannot be written.
    subprocess.SubprocessError: the compiler fails.
  """
  compiler = shutil.which(os.environ.get('CXX', 'g++'))
  if compiler is None:
    raise FileNotFoundError('there is no g++; CXX may name another compiler')
  cache = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
  folder = folder or pathlib.Path(cache, 'nca_tf', 'native')
  folder.mkdir(parents=True, exist_ok=True)
  command = [compiler, *_FLAGS, *tf.sysconfig.get_compile_flags()]
  command.append(str(SOURCES[0]))
  links = tf.sysconfig.get_link_flags()
  text = [*command, *links, tf.__version__, _processor()]
  text += [source.read_text() for source in SOURCES]
  name = hashlib.sha256('\n'.join(text).encode()).hexdigest()[:16]
  library = folder / f'access-{name}.so'
  with open(library.with_suffix('.lock'), 'w') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not library.exists():
      logging.info('compiling the memory access, once, into %s', library)
      with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = pathlib.Path(scratch) / library.name
        subprocess.run(
          [*command, '-o', str(made), *links],
          check=True,
          capture_output=True,
          text=True,
        )
        made.rename(library)
  return library


def _processor():
  """The processor's features, on which -march=native depends."""
  try:
    lines = pathlib.Path('/proc/cpuinfo').read_text().splitlines()
  except OSError:
    return platform.processor()
  wanted = ('model name', 'flags')
  return '\n'.join(sorted({line for line in lines if line.startswith(wanted)}))


def forward(raw, keep, state: access.AccessState, settings, order=None):
  """As `access_gradient.forward`."""
  words, after, order = load().nca_dnc_forward(
    raw=raw,
    keep=_optional(keep, raw.dtype),
    state=list(state),
    order=_optional(order, tf.int32),
    read_heads=settings.read_heads,
    paper=settings.convention == 'paper',
  )
  return words, access.AccessState(*after), order


def backward(raw, keep, before, after, order, d_reads, d_after, settings):
  """As `access_gradient.backward`."""
  d_raw, d_state = load().nca_dnc_backward(
    raw=raw,
    keep=_optional(keep, raw.dtype),
    state=list(before),
    after=list(after[:4]),
    order=order,
    d_words=d_reads,
    d_after=list(d_after),
    read_heads=settings.read_heads,
    paper=settings.convention == 'paper',
  )
  return d_raw, access.AccessState(*d_state)


def _optional(tensor, dtype):
  return tf.zeros([0], dtype) if tensor is None else tensor
