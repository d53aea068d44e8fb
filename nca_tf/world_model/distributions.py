"""TensorFlow Probability's distributions, imported beside Keras 3."""

from nca_tf import keras_2

__all__ = ['tfd']

with keras_2.importing():
  import tensorflow_probability as tfp

  # It loads its modules when they are first named.
  tfp.distributions.Normal  # noqa: B018

tfd = tfp.distributions
