"""In V's place where a game shows a vector: the vector itself, standardised.

Nothing is learnt by gradients: mean and deviation are those of the recorded
steps. Letters: B batch, N numbers of an observation.
"""

import keras
import numpy as np
from keras import ops

# Deviation of the posterior. M's mixtures would become ever narrower on numbers
# that have no noise, and its likelihood says nothing then.
NOISE = 0.01
LIMIT = 10.0  # Deviations: M and C never see more than that.


class Standardiser(keras.layers.Layer):
  """A codec of vectors with V's interface; z has their N dimensions.

  vision = Standardiser(4)
  vision.fit(mean, deviation)                  # [4] each
  mean, log_variance = vision.encode(vectors)  # [B, 4] -> [B, 4] each
  vectors = vision.decode(mean)
  """

  takes_frames = False

  def __init__(self, size: int, **kwargs):
    """Takes N; until `fit` z is the vector as it is."""
    super().__init__(trainable=False, **kwargs)
    self.latent_size = size

  @property
  def observation_shape(self) -> tuple[int, ...]:
    """Shape of an observation, (N,)."""
    return (self.latent_size,)

  def build(self, input_shape=None):
    """Makes the two weights."""
    if self.built:
      return

    def weight(name, initializer):
      return self.add_weight(
        shape=(self.latent_size,),
        initializer=initializer,
        trainable=False,
        name=name,
      )

    self.mean = weight('mean', 'zeros')
    self.deviation = weight('deviation', 'ones')
    self.built = True

  def fit(self, mean: np.ndarray, deviation: np.ndarray) -> None:
    """Sets mean and deviation [N]; numbers that never change keep their unit.

    Raises:
      ValueError: A shape is wrong, or a number is not finite.
    """
    for name, value in (('mean', mean), ('deviation', deviation)):
      if np.shape(value) != self.observation_shape:
        raise ValueError(
          f'{name} must be of shape {list(self.observation_shape)}, got '
          f'{list(np.shape(value))}'
        )
      if not np.isfinite(value).all():
        raise ValueError(f'{name} must be finite, got {value}')
    self.mean.assign(mean)
    # A deviation of rounding errors alone is that of a constant.
    tiny = 1e-6 * np.maximum(1, np.abs(mean))
    self.deviation.assign(np.where(deviation > tiny, deviation, 1.0))

  def encode(self, vectors):
    """Posterior of z: vectors [B, N] -> mean, log variance [B, N]."""
    vectors = ops.cast(vectors, self.variable_dtype)
    z = (vectors - self.mean) / self.deviation
    z = ops.clip(z, -LIMIT, LIMIT)
    return z, ops.full_like(z, 2 * np.log(NOISE))

  def decode(self, z):
    """Vectors [B, N] of latents [B, N]."""
    return ops.cast(z, self.variable_dtype) * self.deviation + self.mean
