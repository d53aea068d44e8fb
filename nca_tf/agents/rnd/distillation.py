"""An intrinsic reward for observations that were seldom seen.

Burda et al., Exploration by random network distillation (2018). A predictor
learns what a fixed random network makes of observations; where it still fails,
the agent has seldom been. The reward is not an agent of its own: any agent with
streams of values takes it, see `INTRINSIC`.

Letters: B lanes, T steps.
"""

import dataclasses
from collections.abc import Sequence

import keras
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.agents import moments
from nca_tf.agents.ppo import advantages

# Section 2.3 and table 5: death ends no intrinsic return.
EXTRINSIC = advantages.Stream('extrinsic', 0.999, weight=2.0)
INTRINSIC = advantages.Stream('intrinsic', 0.99, weight=1.0, is_episodic=False)


@dataclasses.dataclass(frozen=True)
class Settings:
  """How the predictor learns.

  Attributes:
    outputs: Of both networks.
    units: Of their dense layers; the predictor has two layers more.
    learning_rate: Of the predictor's own Adam.
    share: Part of each minibatch that it learns from, which keeps it from
      learning faster with more lanes (section 3.1).
    epochs: Passes over a window.
    minibatches: Per pass.
    discount: Of the returns whose deviation scales the rewards.
  """

  outputs: int = 64
  units: int = 64
  learning_rate: float = 1e-4
  share: float = 0.25
  epochs: int = 4
  minibatches: int = 4
  discount: float = INTRINSIC.discount


class Distillation(tf.Module):
  """The two networks and the statistics, all of it checkpointed.

  distillation.prime(observations)  # Of random play.
  rewards = distillation.reward(observations)  # [B, T] of [B, T + 1, ...]
  distillation.learn(observations)
  """

  def __init__(
    self,
    shape: Sequence[int],
    lanes: int,
    settings: Settings = Settings(),  # noqa: B008
    seed: int = 0,
  ):
    """Makes both networks for observations of a shape."""
    super().__init__('distillation')
    self.settings = settings
    self._seed = seed
    with random_numbers.weights(seed, 'distillation'):
      self.target = _make_network(shape, settings, deeper=False)
      self.predictor = _make_network(shape, settings, deeper=True)
    self.target.trainable = False
    self.optimizer = keras.optimizers.Adam(settings.learning_rate)
    self.optimizer.build(self.predictor.trainable_variables)
    self.observations = moments.Moments(tuple(shape))
    self.returns = moments.Moments()
    self.running = tf.Variable(tf.zeros([lanes]), trainable=False)
    self.updates = tf.Variable(0, dtype=tf.int32, trainable=False)

  def prime(self, observations: tf.Tensor) -> None:
    """Takes observations [B, T, ...] into the moments alone."""
    self.observations.update(self._flatten(observations))

  def errors(self, observations: tf.Tensor) -> tf.Tensor:
    """Returns the predictor's mean squared errors [N] at [N, ...]."""
    seen = self.observations.normalize(tf.cast(observations, tf.float32), 5.0)
    wanted = tf.stop_gradient(self.target(seen))
    return tf.reduce_mean(tf.square(self.predictor(seen) - wanted), -1)

  def reward(self, observations: tf.Tensor) -> tf.Tensor:
    """Returns the rewards of a window, and follows the running deviation.

    Args:
      observations: [B, T + 1, ...]; the reward of a step is for what it led to.

    Returns:
      [B, T], over the deviation of their discounted sums along time.
    """
    lanes, steps = tf.shape(observations)[0], tf.shape(observations)[1] - 1
    errors = self.errors(self._flatten(observations[:, 1:]))
    rewards = tf.reshape(errors, [lanes, steps])
    discount = self.settings.discount
    sums = tf.scan(
      lambda total, reward: discount * total + reward,
      tf.transpose(rewards),
      tf.identity(self.running),
    )
    self.running.assign(sums[-1])
    self.returns.update(tf.reshape(sums, [-1]))
    return self.returns.scale(rewards)

  def learn(self, observations: tf.Tensor) -> tf.Tensor:
    """Trains the predictor on observations [B, T, ...]; returns its loss."""
    flat = self._flatten(observations)
    self.observations.update(flat)
    settings = self.settings
    rows = tf.shape(flat)[0]
    size = tf.cast(
      settings.share * tf.cast(rows // settings.minibatches, tf.float32),
      tf.int32,
    )
    key = random_numbers.key(self._seed, 'distillation', self.updates)

    def body(index, total):
      draws = tf.random.stateless_uniform(
        [rows],
        key + [0, 7919 * (index + 1)],
        None,
        None,
        tf.int32,
        alg='philox',
      )
      batch = tf.gather(flat, tf.argsort(draws)[:size])
      with tf.GradientTape() as tape:
        loss = tf.reduce_mean(self.errors(batch))
      variables = self.predictor.trainable_variables
      gradients = tape.gradient(loss, [v.value for v in variables])
      self.optimizer.apply(gradients, variables)
      return index + 1, total + loss

    count = settings.epochs * settings.minibatches
    _, total = tf.while_loop(
      lambda index, _: index < count,
      body,
      (tf.constant(0), tf.zeros([])),
      parallel_iterations=1,
    )
    self.updates.assign_add(1)
    return total / count

  def _flatten(self, observations):
    return tf.reshape(observations, [-1, *observations.shape[2:]])


def _make_network(shape, settings, deeper):
  """Returns observations [N, *shape] to features [N, outputs]."""

  def gain():  # One for each layer: it gives equal shapes equal weights.
    return keras.initializers.Orthogonal(2**0.5)

  def dense(size, activation='relu'):
    return keras.layers.Dense(size, activation, kernel_initializer=gain())

  layers = []
  if len(shape) == 3:
    for filters, size, stride in ((16, 8, 4), (32, 4, 2), (32, 3, 1)):
      layers.append(
        keras.layers.Conv2D(
          filters,
          size,
          stride,
          activation='leaky_relu',
          kernel_initializer=gain(),
        )
      )
    layers.append(keras.layers.Flatten())
  else:
    layers += [dense(settings.units), dense(settings.units)]
  if deeper:
    layers += [dense(settings.units), dense(settings.units)]
  layers.append(dense(settings.outputs, None))
  network = keras.Sequential(layers)
  network.build((None, *shape))
  return network
