"""Trains V on recorded frames."""

import functools

import keras
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf import random_tensors
from nca_tf.world_model import codec
from nca_tf.world_model import vision as vision_lib


class VisionTrainer:
  """Adam on V's loss, one batch of frames per step.

  trainer = VisionTrainer(vision, frames.batch, seed=0, learning_rate=1e-4)
  loop.fit('vision', trainer.step, 1000, checkpoints=..., log=...)
  """

  def __init__(
    self,
    vision,
    batch,
    *,
    seed,
    learning_rate,
    sharpness=1.0,
    colour_weights=None,
    jit=False,
  ):
    """Builds the optimiser.

    Args:
      vision: a VisionModel.
      batch: function of the step, returns frames uint8 [B, H, W, 3].
      seed: of the posterior noise.
      learning_rate: Adam's.
      sharpness: of the loss, nats per unit of squared error.
      colour_weights: of the squared errors by colour, [512], see
        `vision.weigh_colours`; None weighs all alike.
      jit: compile with XLA; on CPU this gains nothing for convolutions.
    """
    vision.build()
    self._vision = vision
    self._batch = batch
    self._seed = seed
    self._sharpness = sharpness
    self._colour_weights = colour_weights
    self.optimizer = keras.optimizers.Adam(learning_rate)
    self.optimizer.build(vision.trainable_variables)
    self._train = tf.function(self._update, autograph=False, jit_compile=jit)
    self._evaluate = tf.function(
      functools.partial(self._losses, 'held-out vision'), autograph=False
    )

  def step(self, index):
    """Trains once; returns loss, reconstruction (per image) and kl (nats)."""
    frames = tf.constant(self._batch(index))
    return self._train(frames, tf.constant(index, tf.int32))

  def evaluate(self, frames):
    """The same terms on held-out frames, uint8 [K, H, W, 3]."""
    loss = self._evaluate(tf.constant(frames), tf.constant(0, tf.int32))
    return loss._asdict()

  def _losses(self, purpose, frames, index):
    weights = 1.0
    if self._colour_weights is not None:
      colours = vision_lib.find_colours(frames)
      weights = tf.gather(self._colour_weights, colours)[..., None]
    frames = codec.scale(frames, self._vision.variable_dtype)
    mean, log_variance = self._vision.encode(frames)
    key = random_numbers.key(self._seed, purpose, index)
    noise = random_tensors.normal(key, tf.shape(mean), mean.dtype)
    z = vision_lib.sample_posterior(mean, log_variance, noise)
    reconstruction = self._vision.decode(z)
    return vision_lib.vision_loss(
      frames,
      reconstruction,
      mean,
      log_variance,
      self._vision.network.free_nats,
      self._sharpness,
      weights,
    )

  def _update(self, frames, index):
    with tf.GradientTape() as tape:
      loss = self._losses('vision', frames, index)
    variables = self._vision.trainable_variables
    gradients = tape.gradient(loss.total, variables)
    self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return {**loss._asdict(), 'gradient_norm': tf.linalg.global_norm(gradients)}
