"""V, the vision model: a convolutional variational autoencoder.

Ha and Schmidhuber, World Models (2018), section 2 and appendix A.1; Kingma and
Welling, Auto-Encoding Variational Bayes (2013).
"""

import typing

import keras
import numpy as np
from keras import ops

from nca_tf import checks
from nca_tf.world_model import columns
from nca_tf.world_model import networks

ARCHITECTURES = tuple(networks.NETWORKS)
_LEVELS = 8  # Of red, green and blue, by which colours are told apart.
_HEAVIEST = 20.0  # Weight of a colour before the mean is set to 1.


class VisionLoss(typing.NamedTuple):
  """Terms of V's loss, each a scalar averaged over the batch."""

  total: object
  reconstruction: object  # sum of squares per image
  kl: object  # nats per image, before the floor


def sample_posterior(mean, log_variance, noise):
  """Z ~ N(mean, variance) from standard normal noise, all [..., Z]."""
  return mean + ops.exp(0.5 * log_variance) * noise


def find_colours(frames, levels=_LEVELS):
  """Index of each pixel's colour: uint8 [..., 3] -> int32 [...], < 512."""
  steps = ops.cast(frames, 'int32') // (256 // levels)
  return (steps[..., 0] * levels + steps[..., 1]) * levels + steps[..., 2]


def weigh_colours(frames):
  """Weight of the squared error of each colour, so that rare ones count.

  One over the root of the colour's share of all pixels, at most 20, scaled so
  that the mean over the pixels is 1. A fireball is a few pixels of a colour
  that nothing else has.

  Args:
    frames: uint8 [F, H, W, 3], a sample of the frames to learn from.

  Returns:
    float32 [512], by the index of `find_colours`.
  """
  colours = ops.convert_to_numpy(find_colours(frames)).reshape(-1)
  share = np.bincount(colours, minlength=_LEVELS**3) / max(1, colours.size)
  weights = np.minimum(_HEAVIEST, np.maximum(share, 1e-12) ** -0.5)
  return (weights / np.sum(weights * share)).astype(np.float32)


def vision_loss(
  frames,
  reconstructions,
  mean,
  log_variance,
  free_nats=0.5,
  sharpness=1.0,
  weights=1.0,
):
  """Sum of squared errors plus KL with a floor (doomrnn's objective).

  z leaves out what lowers the squared error by less than the nats that it
  costs: at sharpness 1 a distant fireball, whose place takes some eight nats to
  say and which is a few pixels in size.

  Args:
    frames: [B, H, W, 3] in 0..1.
    reconstructions: like `frames`.
    mean: [B, Z] posterior mean.
    log_variance: [B, Z] posterior log variance.
    free_nats: floor of the KL per latent dimension, in nats; below it an image
      pays nothing, which keeps the posterior from collapsing.
    sharpness: nats per unit of squared error: 1 / (2 s^2) of a Gaussian with
      standard deviation s per value.
    weights: of the squared errors, [B, H, W, 1] or a number.

  Returns:
    VisionLoss of scalars.
  """
  error = weights * ops.square(frames - reconstructions)
  reconstruction = ops.mean(ops.sum(error, axis=(1, 2, 3)))
  # KL(N(mean, variance) || N(0, 1)) in nats, [B].
  terms = 1 + log_variance - ops.square(mean) - ops.exp(log_variance)
  kl = -0.5 * ops.sum(terms, axis=-1)
  floor = free_nats * mean.shape[-1]
  total = sharpness * reconstruction + ops.mean(ops.maximum(kl, floor))
  return VisionLoss(total, reconstruction, ops.mean(kl))


@keras.saving.register_keras_serializable('nca_tf')
class VisionModel(keras.Model):
  """Convolutional VAE over RGB frames, 64x64 but for 'columns'.

  'reference' is doomrnn's network, 4,446,915 parameters at 64 latents; 'light'
  has half the channels and same-padded convolutions, a tenth of the parameters
  and a third of the cost per image. 'columns' takes frames of 32x128 and gives
  a sixteenth of z to each eight columns of pixels: a small thing then has its
  place by where in z it stands, and need not be told apart from all others.

    vision = VisionModel(latent_size=64, architecture='light')
    mean, log_variance = vision.encode(frames)  # [B, 64, 64, 3] -> [B, 64]
    frames = vision.decode(mean)                # [B, 64] -> [B, 64, 64, 3]
  """

  takes_frames = True  # And not vectors, as `standardiser.Standardiser`.

  def __init__(self, latent_size=64, architecture='reference', **kwargs):
    """Makes the encoder and the decoder.

    Args:
      latent_size: dimensions of z; of 'columns' a multiple of 16.
      architecture: 'reference', 'light' or 'columns'.
      **kwargs: of keras.Model.

    Raises:
      ValueError: an unknown architecture, or a size that it cannot have.
    """
    super().__init__(**kwargs)
    if architecture not in ARCHITECTURES:
      raise ValueError(
        f'architecture must be one of {ARCHITECTURES}, got {architecture!r}'
      )
    self.latent_size = checks.integer('latent_size', latent_size, 1)
    self.architecture = architecture
    self.network = network = networks.NETWORKS[architecture]
    if self.latent_size % network.columns:
      raise ValueError(
        f'latent_size must be a multiple of {network.columns}, got '
        f'{latent_size}'
      )
    if network.columns > 1:
      self.encoder = columns.encoder(network)
      self.decoder = columns.decoder(network)
    else:
      self.encoder, self.decoder = _encoder(network), _decoder(network)
    # The posterior and the loss stay in full precision under mixed policies.
    full = self.dtype_policy.variable_dtype
    each = self.latent_size // network.columns
    self.to_mean = keras.layers.Dense(each, dtype=full)
    self.to_log_variance = keras.layers.Dense(each, dtype=full)

  @property
  def observation_shape(self) -> tuple[int, int, int]:
    """Height, width and channels of its frames."""
    return self.network.frame_shape

  def build(self, input_shape=None):
    """Builds every variable, whatever batch comes first."""
    if self.built:
      return
    self.encoder.build((None, *self.observation_shape))
    features = self.encoder.compute_output_shape(
      (None, *self.observation_shape)
    )
    self.to_mean.build(features)
    self.to_log_variance.build(features)
    self.decoder.build((None, self.latent_size))
    self.built = True

  def encode(self, frames):
    """Posterior of z: frames [B, H, W, 3] in 0..1 -> mean, log variance."""
    features = self.encoder(frames)  # [B, F], or [B, columns, F]
    posterior = self.to_mean(features), self.to_log_variance(features)
    if self.network.columns == 1:
      return posterior
    return tuple(ops.reshape(x, (-1, self.latent_size)) for x in posterior)

  def decode(self, z):
    """Frames in 0..1, [B, H, W, 3], of latents [B, Z]."""
    return ops.cast(self.decoder(z), self.variable_dtype)

  def call(self, frames):
    """Reconstructs frames from the posterior mean."""
    return self.decode(self.encode(frames)[0])

  def get_config(self):
    """Constructor arguments, for `.keras` files."""
    return {
      **super().get_config(),
      'latent_size': self.latent_size,
      'architecture': self.architecture,
    }


def _encoder(network):
  convolutions = [
    keras.layers.Conv2D(
      filters, 4, strides=2, padding=network.padding, activation='relu'
    )
    for filters in network.encoder
  ]
  return keras.Sequential(
    [*convolutions, keras.layers.Flatten()], name='encoder'
  )


def _decoder(network):
  layers = [
    keras.layers.Dense(1024, activation=network.activation),
    keras.layers.Reshape(network.shape),
  ]
  for filters, size in network.decoder:
    last = len(layers) == len(network.decoder) + 1
    layers.append(
      keras.layers.Conv2DTranspose(
        filters,
        size,
        strides=2,
        padding=network.padding,
        activation='sigmoid' if last else 'relu',
      )
    )
  return keras.Sequential(layers, name='decoder')
