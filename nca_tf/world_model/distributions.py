"""TensorFlow Probability's distributions, imported beside Keras 3.

TensorFlow Probability 0.23, which TF-Agents 0.19 pins, cannot be imported
unless `tf.keras` is Keras 2. TensorFlow's own switch for that holds for the
whole process, the user's code included; here `tf.keras` is Keras 2 only while
the package is being imported. Its distributions do not use it afterwards.
"""

import contextlib
import importlib
import sys

__all__ = ['tfd']


@contextlib.contextmanager
def _keras_2():
  """Makes `tf.keras` Keras 2 for a while."""
  keras_2 = importlib.import_module('tf_keras')
  names = ('tensorflow', 'tensorflow.compat.v2')
  modules = [importlib.import_module(name) for name in names]
  kept = [vars(module).get('keras') for module in modules]
  for module in modules:
    module.keras = keras_2
  try:
    yield
  finally:
    for module, before in zip(modules, kept, strict=True):
      module.keras = before


if 'tensorflow_probability' in sys.modules:  # A program's own import worked.
  import tensorflow_probability as tfp
else:
  with _keras_2():
    import tensorflow_probability as tfp

    # It loads its modules when they are first named.
    tfp.distributions.Normal  # noqa: B018

tfd = tfp.distributions
