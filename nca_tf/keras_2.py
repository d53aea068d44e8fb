"""Imports packages that need `tf.keras` to be Keras 2, and leaves it Keras 3.

TensorFlow Probability 0.23 and TF-Agents 0.19 cannot be imported unless
`tf.keras` is Keras 2. TensorFlow's own switch for that, TF_USE_LEGACY_KERAS,
holds for the whole process, the user's code included, and only if it is set
before TensorFlow is imported. What this library takes of the two packages does
not use `tf.keras` once it is imported.
"""

import contextlib
import importlib
from collections.abc import Iterator


@contextlib.contextmanager
def importing() -> Iterator[None]:
  """Makes `tf.keras` Keras 2 for the imports within.

  Example:
    >>> with keras_2.importing():
    ...   import tensorflow_probability as tfp
  """
  replacement = importlib.import_module('tf_keras')
  names = ('tensorflow', 'tensorflow.compat.v2')
  modules = [importlib.import_module(name) for name in names]
  kept = [vars(module).get('keras') for module in modules]
  for module in modules:
    module.keras = replacement
  try:
    yield
  finally:
    for module, before in zip(modules, kept, strict=True):
      module.keras = before
