"""Mixture-density head: a mixture of Gaussians over the next latent.

Bishop, Mixture Density Networks (1994); Ha and Schmidhuber, World Models
(2018), section 2.2 and appendix A.2.
"""

import typing

import keras
import tensorflow as tf
from keras import ops

from nca_tf import checks
from nca_tf import random_tensors
from nca_tf.world_model.distributions import tfd

_NOISE = 0x5EED
_UNIT_SCALE = 0.5413  # softplus of it is 1: an untrained head is N(0, 1)
MINIMUM_SCALE = 1e-3  # below it the likelihood of one point grows unbounded


class MixtureParameters(typing.NamedTuple):
  """What a MixtureHead returns.

  Per-dimension mixtures (the default) have logits [..., D, K]; a joint mixture
  has logits [..., K], one weight per component for all dimensions.
  """

  logits: object  # [..., D, K] or [..., K]
  loc: object  # [..., D, K]
  scale: object  # [..., D, K], at least MINIMUM_SCALE


@keras.saving.register_keras_serializable('nca_tf')
class MixtureHead(keras.layers.Layer):
  """Dense layer to the parameters of a Gaussian mixture over D dimensions.

  3 * D * K outputs per-dimension, K + 2 * D * K joint (960 and 645 at D = 64,
  K = 5).

    head = MixtureHead(64, components=5)
    parameters = head(features)               # [..., F]
    next_z = sample(parameters, seed=(1, 2))
  """

  def __init__(self, dimensions, components=5, joint=False, **kwargs):
    """Makes a head of D `dimensions` and K `components`.

    Args:
      dimensions: D.
      components: K.
      joint: one mixture weight for all dimensions instead of one each.
      **kwargs: of keras.layers.Layer.

    Raises:
      ValueError: a size is no integer of at least 1, or `joint` no boolean.
    """
    super().__init__(**kwargs)
    self.dimensions = checks.integer('dimensions', dimensions, 1)
    self.components = checks.integer('components', components, 1)
    self.joint = checks.boolean('joint', joint)
    self._size = self.dimensions * self.components
    self._weights = self.components if self.joint else self._size
    self.dense = keras.layers.Dense(
      self._weights + 2 * self._size, dtype=self.dtype_policy
    )

  @property
  def input_size(self) -> int:
    """Numbers that the cell sees of a latent: D."""
    return self.dimensions

  @property
  def uniform_size(self) -> int:
    """Uniform numbers of a draw: D."""
    return self.dimensions

  @property
  def normal_size(self) -> int:
    """Normal numbers of a draw: D."""
    return self.dimensions

  def build(self, input_shape):
    """Builds the one dense layer."""
    self.dense.build(input_shape)
    self.built = True

  def call(self, features):
    """Features [..., F] -> MixtureParameters."""
    outputs = self.dense(features)
    first, second = self._weights, self._weights + self._size
    shape = (*ops.shape(outputs)[:-1], self.dimensions, self.components)
    logits = outputs[..., :first]
    if not self.joint:
      logits = ops.reshape(logits, shape)
    loc = ops.reshape(outputs[..., first:second], shape)
    scale = ops.reshape(outputs[..., second:], shape)
    return MixtureParameters(
      logits, loc, ops.softplus(scale + _UNIT_SCALE) + MINIMUM_SCALE
    )

  def encode(self, z):
    """What the cell sees of latents [..., D]: themselves."""
    return z

  def perceive(self, z):
    """What is left of latents [..., D] in what the cell sees: all."""
    return z

  def draw(self, parameters, uniform, normal, temperature=1.0):
    """As `transform`."""
    return transform(parameters, uniform, normal, temperature)

  def sample(self, parameters, seed, temperature=1.0, normal=None):
    """As the function `sample`."""
    return sample(parameters, seed, temperature, normal)

  def mean(self, parameters):
    """As `mixture_mean`."""
    return mixture_mean(parameters)

  def negative_log_likelihood(self, parameters, targets):
    """As the function of this name."""
    return negative_log_likelihood(parameters, targets)

  def get_config(self):
    """Constructor arguments, for `.keras` files."""
    return {
      **super().get_config(),
      'dimensions': self.dimensions,
      'components': self.components,
      'joint': self.joint,
    }


def mixture(parameters, temperature=1.0):
  """The distribution over the next latent, event shape [D].

  Temperature as in the published code: logits / tau and scale * sqrt(tau). A
  temperature above 1 makes the dream harder to exploit (World Models, 4.3).

  Args:
    parameters: MixtureParameters.
    temperature: tau, a positive scalar or tensor.

  Returns:
    A TFP distribution; batch shape is that of the features.

  Raises:
    ValueError: the temperature is not positive and finite; that of a graph's
      tensor is not known before it runs.
  """
  tau = check_temperature(temperature, parameters.loc.dtype)
  scale = parameters.scale * tf.sqrt(tau)
  choice = tfd.Categorical(logits=parameters.logits / tau)
  if len(parameters.logits.shape) < len(parameters.loc.shape):  # Joint.
    # TFP wants components before dimensions.
    components = tfd.MultivariateNormalDiag(
      ops.swapaxes(parameters.loc, -1, -2), ops.swapaxes(scale, -1, -2)
    )
    return tfd.MixtureSameFamily(choice, components)
  components = tfd.Normal(parameters.loc, scale)
  return tfd.Independent(tfd.MixtureSameFamily(choice, components), 1)


def sample(parameters, seed, temperature=1.0, normal=None):
  """Draws the next latent, [..., D].

  The same numbers with and without XLA, which TFP's sampler does not give.

  Args:
    parameters: MixtureParameters.
    seed: int32 [2], key of the random stream.
    temperature: tau, as in `mixture`.
    normal: source of normal numbers, of `random_tensors`: `normal`, or
      `normal_rows`, with which no row of the batch depends on its size.
  """
  loc = parameters.loc
  shape = tf.shape(loc)[:-1]
  seed = tf.cast(seed, tf.int32)
  uniform = random_tensors.uniform(seed, shape, loc.dtype)
  seed = seed + [_NOISE, 0]  # another stream than the choice's
  noise = (normal or random_tensors.normal)(seed, shape, loc.dtype)
  return transform(parameters, uniform, noise, temperature)


def transform(parameters, uniform, normal, temperature=1.0):
  """Turns given noise into a draw of the next latent, [..., D].

  A component by the inverse of its distribution function, then its Gaussian:
  with the same noise, nearly equal parameters give nearly equal draws.

  Args:
    parameters: MixtureParameters.
    uniform: [..., D] in (0, 1); a joint mixture takes the first dimension's.
    normal: [..., D] standard normal.
    temperature: tau, as in `mixture`.
  """
  logits, loc, scale = parameters
  tau = check_temperature(temperature, loc.dtype)
  if len(logits.shape) < len(loc.shape):
    logits, uniform = logits[..., None, :], uniform[..., :1]
  shares = tf.exp((logits - tf.reduce_max(logits, -1, keepdims=True)) / tau)
  threshold = uniform * tf.reduce_sum(shares, -1)
  chosen_loc, chosen_scale = loc[..., 0], scale[..., 0]
  below = shares[..., 0]
  for component in range(1, loc.shape[-1]):
    later = threshold >= below
    chosen_loc = tf.where(later, loc[..., component], chosen_loc)
    chosen_scale = tf.where(later, scale[..., component], chosen_scale)
    below += shares[..., component]
  return chosen_loc + chosen_scale * tf.sqrt(tau) * normal


def check_temperature(value, dtype):
  """A temperature as a tensor; ValueError where it is known to be wrong."""
  if not tf.is_symbolic_tensor(value):
    value = checks.real('temperature', value, above=0)
  return tf.cast(value, dtype)


def weights(parameters):
  """Mixture weights, [..., D, K], or [..., 1, K] of a joint mixture."""
  shares = ops.softmax(parameters.logits, axis=-1)
  if len(shares.shape) < len(parameters.loc.shape):
    shares = ops.expand_dims(shares, -2)
  return shares


def mixture_mean(parameters):
  """Mean of the mixture, [..., D]."""
  return ops.sum(weights(parameters) * parameters.loc, axis=-1)


def negative_log_likelihood(parameters, targets):
  """Nats per dimension: [..., D] targets -> [...]."""
  targets = tf.cast(targets, parameters.loc.dtype)
  log_prob = mixture(parameters).log_prob(targets)
  return -log_prob / targets.shape[-1]
