"""Recurrent memory and world models for reinforcement learning."""

import importlib
import os
import pathlib
import sys
import warnings

__version__ = '0.1.0'

os.environ.setdefault('KERAS_BACKEND', 'tensorflow')
# XLA reports every program it takes from its cache as an error; real errors
# reach Python as exceptions.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# The graphs of Keras 3.12, the last one for Python 3.10, end TensorFlow 2.21 in
# a segmentation fault when oneDNN rewrites them (bin/compare_predictions).
if sys.version_info < (3, 11):
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')


_CACHE_ROOM = 2**30  # Bytes free for compiled programs.


def _use_compilation_cache():
  """Lets XLA keep compiled programs in the user's cache folder.

  XLA fails when it cannot write there. A home that is read-only, full or named
  with a space must cost compile time, nothing else.
  """
  if 'tf_xla_persistent_cache' in os.environ.get('TF_XLA_FLAGS', ''):
    return
  try:
    base = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    folder = pathlib.Path(base) / 'nca_tf' / 'xla'
    folder.mkdir(parents=True, exist_ok=True)
    disk = os.statvfs(folder)
  except (OSError, RuntimeError):  # RuntimeError: the user has no home.
    return
  is_full = disk.f_bavail * disk.f_frsize < _CACHE_ROOM
  if is_full or not os.access(folder, os.W_OK) or len(str(folder).split()) > 1:
    return
  flags = (
    f'--tf_xla_persistent_cache_directory={folder}',
    '--tf_xla_persistent_cache_device_types=CPU,GPU',
  )
  os.environ['TF_XLA_FLAGS'] = ' '.join(
    [os.environ.get('TF_XLA_FLAGS', ''), *flags]
  ).strip()


_use_compilation_cache()


# Modules that stood elsewhere before, and where they are now.
_MOVED = {
  'bootstrap': 'nca_tf.command_line.bootstrap',
  'config_flags': 'nca_tf.command_line.config_flags',
  'faults': 'nca_tf.command_line.faults',
  'flag_parser': 'nca_tf.command_line.flag_parser',
  'statistics': 'nca_tf.agents.running_moments',
}


def __getattr__(name):
  """Returns a module by the name that it had in the first version."""
  if name not in _MOVED:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  warnings.warn(
    f'nca_tf.{name} is {_MOVED[name]} now', DeprecationWarning, stacklevel=2
  )
  return importlib.import_module(_MOVED[name])
