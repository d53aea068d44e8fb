"""Recurrent memory and world models for reinforcement learning."""

import os
import pathlib

__version__ = '0.1.0'

# TF-Agents needs tf.keras to be Keras 2; `import keras` stays Keras 3.
os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')
os.environ.setdefault('KERAS_BACKEND', 'tensorflow')
# XLA reports every program it takes from its cache as an error; real errors
# reach Python as exceptions.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')


def _use_compilation_cache():
  """Lets XLA keep compiled programs in the user's cache folder."""
  if 'tf_xla_persistent_cache' in os.environ.get('TF_XLA_FLAGS', ''):
    return
  base = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
  folder = pathlib.Path(base) / 'nca_tf' / 'xla'
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError:
    return  # A read-only home costs compile time, nothing else.
  flags = (
    f'--tf_xla_persistent_cache_directory={folder}',
    '--tf_xla_persistent_cache_device_types=CPU,GPU',
  )
  os.environ['TF_XLA_FLAGS'] = ' '.join(
    [os.environ.get('TF_XLA_FLAGS', ''), *flags]
  ).strip()


_use_compilation_cache()
