"""The convolutions of agents against Keras' layers on scaled images."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nca_tf.agents import convolutions


@pytest.mark.parametrize(
  ('shape', 'dtype', 'largest'),
  [
    ((40, 40, 3), 'uint8', 255),
    ((7, 7, 3), 'uint8', 255),
    ((36, 50, 1), 'float32', 1),
  ],
)
def test_images_of_any_scale_are_those_from_0_to_1(shape, dtype, largest):
  layers = convolutions.make('relu')
  convolutions.fit(layers, shape)
  random = np.random.default_rng(0)
  images = (random.random((5, *shape)) * largest).astype(dtype)
  scaled = tf.constant(images / largest, tf.float32)
  expected = keras.Sequential(layers)(scaled)
  with tf.GradientTape() as tape:
    found = convolutions.apply(layers, tf.cast(images, tf.float32), largest)
    loss = tf.reduce_sum(found**2)
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
  variables = [v.value for layer in layers for v in layer.trainable_variables]
  gradients = tape.gradient(loss, variables)
  with tf.GradientTape() as tape:
    loss = tf.reduce_sum(keras.Sequential(layers)(scaled) ** 2)
  for ours, theirs in zip(
    gradients, tape.gradient(loss, variables), strict=True
  ):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
