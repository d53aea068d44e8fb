"""Discrete codes in place of V's latents: prior, posterior and decoder.

Hafner et al., Mastering Atari with Discrete World Models (2021, DreamerV2),
section 2 and appendix C: several categorical variables, straight-through
gradients and a balanced KL; their Mastering Diverse Domains through World
Models (2023, DreamerV3): free nats and a share of uniform probability.
Posterior and decoder see the frame alone, as in STORM (Zhang et al., 2023):
what the cell sees of all steps is known before it runs, so that any cell keeps
its fast unroll. Or they see the cell's output as well, as in Dreamer, and codes
need to hold only what M did not know. Letters: G categoricals, C classes, D the
size of z, F that of the cell's output.
"""

import typing

import keras
import tensorflow as tf
from keras import ops

from nca_tf import checks
from nca_tf import random_tensors
from nca_tf.world_model import mixture

_UNITS = 256  # Of the hidden layer of prior, posterior and decoder.
_UNIFORM = 0.01  # Share of each distribution, so that no class is impossible.
_FREE_NATS = 1.0  # Of each KL, over all categoricals; less is not worth more.
_BALANCE = 0.8  # Share of the KL that moves the prior, not the posterior.


class CategoricalParameters(typing.NamedTuple):
  """Distributions of G categoricals."""

  logits: object  # [..., G, C], normalised
  # [..., F], the cell's output, that a decoder which sees it needs with codes.
  context: object = ()


class Codes(typing.NamedTuple):
  """What M is taught by: codes drawn from the posterior of frames."""

  posterior: CategoricalParameters
  codes: object  # [..., G C], one-hot; gradients go to the posterior


class Network(keras.layers.Layer):
  """Two dense layers, attributes both: a checkpoint does not see into lists."""

  def __init__(self, size, **kwargs):
    """Makes the layers; `size` is that of the last."""
    super().__init__(**kwargs)
    self.hidden = keras.layers.Dense(_UNITS, 'elu', dtype=self.dtype_policy)
    self.output_layer = keras.layers.Dense(size, dtype=self.dtype_policy)

  def build(self, input_shape):
    """Builds both layers."""
    self.hidden.build(input_shape)
    self.output_layer.build((None, _UNITS))
    self.built = True

  def call(self, values):
    """Values [..., N] -> [..., size]."""
    return self.output_layer(self.hidden(values))


@keras.saving.register_keras_serializable('nca_tf')
class CategoricalHead(keras.layers.Layer):
  """Prior over the next codes, and the codec between z and codes.

  It takes the place of a `mixture.MixtureHead`, and draws latents as that does.

    head = CategoricalHead(64)
    prior = head(features)                     # [..., F]
    next_z = head.sample(prior, seed=(1, 2))   # [..., D]
    codes = head.encode(next_z)                # [..., G C]
  """

  normal_size = 1  # It uses none, but TensorFlow gathers no empty rows.

  def __init__(
    self, dimensions, groups=16, classes=16, remembers=False, **kwargs
  ):
    """Makes a head of D `dimensions`, G `groups` and C `classes`.

    Where it `remembers`, posterior and decoder see the cell's output, and all
    that encodes or decodes takes it as `context` [..., F].

    Raises:
      ValueError: a size is no integer of at least 1, or C below 2, or
        `remembers` no boolean.
    """
    super().__init__(**kwargs)
    self.dimensions = checks.integer('dimensions', dimensions, 1)
    self.groups = checks.integer('groups', groups, 1)
    self.classes = checks.integer('classes', classes, 2)
    self.remembers = checks.boolean('remembers', remembers)
    self._prior = Network(self.input_size, dtype=self.dtype_policy)
    self._posterior = Network(self.input_size, dtype=self.dtype_policy)
    self._decoder = Network(self.dimensions, dtype=self.dtype_policy)

  @property
  def input_size(self) -> int:
    """Numbers that the cell sees of a latent: G C."""
    return self.groups * self.classes

  @property
  def uniform_size(self) -> int:
    """Uniform numbers of a draw: G."""
    return self.groups

  def build(self, input_shape):
    """Builds the three networks."""
    size = input_shape[-1]
    more = size if self.remembers else 0
    self._prior.build((None, size))
    self._posterior.build((None, self.dimensions + more))
    self._decoder.build((None, self.input_size + more))
    self.built = True

  def call(self, features):
    """Prior of the next codes: features [..., F] -> CategoricalParameters."""
    context = features if self.remembers else ()
    return self._distribution(self._prior(features), context)

  def posterior(self, z, context=()):
    """Distribution of the codes of latents [..., D]."""
    seen = self._beside(ops.cast(z, self.compute_dtype), context)
    return self._distribution(self._posterior(seen), context)

  def encode(self, z, context=()):
    """The most probable codes of latents [..., D], one-hot [..., G C]."""
    return self.likeliest(self.posterior(z, context))

  def likeliest(self, posterior):
    """The most probable codes of a distribution, one-hot [..., G C]."""
    chosen = ops.argmax(posterior.logits, -1)
    return self._flat(ops.one_hot(chosen, self.classes, dtype=self.dtype))

  def decode(self, codes, context=()):
    """Latents [..., D] of codes, or of their probabilities, [..., G C]."""
    return self._decoder(self._beside(codes, context))

  def perceive(self, z, context=()):
    """What is left of latents [..., D] in their codes."""
    return self.decode(self.encode(z, context), context)

  def draw(self, prior, uniform, normal=None, temperature=1.0):
    """Turns uniform numbers [..., G] into a draw of the next latent, [..., D].

    The arguments are those of `mixture.transform`.
    """
    del normal
    tau = mixture.check_temperature(temperature, prior.logits.dtype)
    chosen = _choose(ops.softmax(prior.logits / tau, -1), uniform)
    one_hot = ops.one_hot(chosen, self.classes, dtype=self.dtype)
    return self.decode(self._flat(one_hot), prior.context)

  def sample(self, prior, seed, temperature=1.0, normal=None):
    """Draws the next latent, [..., D]; arguments as of `mixture.sample`."""
    del normal
    shape = tf.shape(prior.logits)[:-1]
    seed = tf.cast(seed, tf.int32)
    uniform = random_tensors.uniform(seed, shape, prior.logits.dtype)
    return self.draw(prior, uniform, None, temperature)

  def mean(self, prior):
    """The latent of the prior's probabilities, [..., D]."""
    return self.decode(self._flat(ops.exp(prior.logits)), prior.context)

  def negative_log_likelihood(self, prior, targets):
    """Cross-entropy of the codes of latents [..., D], nats per dimension."""
    codes = self.encode(targets, prior.context)
    codes = ops.reshape(codes, ops.shape(prior.logits))
    return -ops.sum(codes * prior.logits, (-2, -1)) / self.dimensions

  def teach(self, z, uniform, context=()):
    """Draws codes of latents [..., D] by uniform numbers [..., G]: Codes."""
    posterior = self.posterior(z, context)
    shares = ops.exp(posterior.logits)
    chosen = ops.one_hot(
      _choose(shares, uniform), self.classes, dtype=shares.dtype
    )
    # Straight through: the gradient of the codes is that of their shares.
    codes = chosen + shares - tf.stop_gradient(shares)
    return Codes(posterior, self._flat(codes))

  def reconstruction(self, codes, z, variance):
    """Nats that the codes leave of latents [..., D] with noise of V, [...].

    The negative logarithm of N(z; decoded, variance), without its constant,
    and how far the decoded latents are from having these codes again: in a
    dream M reads the codes off what it has drawn.
    """
    context = codes.posterior.context
    decoded = self.decode(codes.codes, context)
    error = ops.sum(ops.square(z - decoded) / (2 * variance), -1)
    again = self.posterior(decoded, context).logits
    kept = tf.stop_gradient(ops.reshape(codes.codes, ops.shape(again)))
    return error - ops.sum(kept * again, (-2, -1))

  def get_config(self):
    """Constructor arguments, for `.keras` files."""
    return {
      **super().get_config(),
      'dimensions': self.dimensions,
      'groups': self.groups,
      'classes': self.classes,
      'remembers': self.remembers,
    }

  def _beside(self, values, context):
    """Values, with the cell's output where the head remembers it."""
    if not self.remembers:
      return values
    context = ops.cast(context, self.compute_dtype)
    return ops.concatenate([values, context], -1)

  def _distribution(self, outputs, context):
    shape = (*ops.shape(outputs)[:-1], self.groups, self.classes)
    shares = ops.softmax(ops.reshape(outputs, shape), -1)
    shares = (1 - _UNIFORM) * shares + _UNIFORM / self.classes
    return CategoricalParameters(ops.log(shares), context)

  def _flat(self, codes):
    return ops.reshape(codes, (*ops.shape(codes)[:-2], self.input_size))


def balanced_kl(posterior, prior):
  """KL of the posterior from the prior for the loss, and its value, [...] nats.

  DreamerV2, algorithm 2: most of it moves the prior to the posterior, the rest
  keeps the posterior near what can be predicted. DreamerV3's free nats: below
  one nat neither moves.
  """
  moves_prior = _kl(tf.stop_gradient(posterior.logits), prior.logits)
  moves_posterior = _kl(posterior.logits, tf.stop_gradient(prior.logits))
  loss = _BALANCE * ops.maximum(moves_prior, _FREE_NATS)
  loss += (1 - _BALANCE) * ops.maximum(moves_posterior, _FREE_NATS)
  return loss, tf.stop_gradient(moves_prior)


def _kl(one, other):
  return ops.sum(ops.exp(one) * (one - other), (-2, -1))


def _choose(shares, uniform):
  """Index of a class by the inverse of the distribution function, [..., G]."""
  below = ops.cumsum(shares, -1)[..., :-1]
  return ops.sum(ops.cast(uniform[..., None] >= below, 'int32'), -1)
