"""A controller that follows the policy gradient: its noise, and its game.

Letters: L lanes, T steps, N numbers of an observation, P parameters, R rows of
weights of the controller.
"""

from collections.abc import Mapping
from typing import Any

import gymnasium
import keras
import numpy as np
import tensorflow as tf

from nca_tf import random_tensors
from nca_tf.agents.tf_agents import tensor_spec
from nca_tf.agents.tf_agents import tfd
from nca_tf.world_model import controller as controller_lib
from nca_tf.world_model import dream as dream_lib

_UNIFORM = 0.002  # Share of actions that are drawn regardless.
_TEMPERATURE = 0.5  # First one of the noise.
_CRITIC = 128  # Units of what estimates values.


class NoisyActions:
  """Distributions around what a LinearController does.

  Parameters of a distribution are the controller's R sums and the logarithm of
  a temperature. Where the temperature goes to 0 the controller itself is left,
  so that its weights act without the noise as they are:

  - actions in an order: logistic noise on the one sum, cut into the same bins;
  - actions without one: the softmax of the sums;
  - continuous: Gaussian noise on the action, whose deviation is the
    temperature.
  """

  def __init__(self, controller: controller_lib.LinearController):
    """Takes the controller whose actions vary."""
    self._controller = controller
    self.size = controller.rows + 1
    if controller.action_kind == 'continuous':
      shape, dtype, low, high = (controller.components,), tf.float32, -1, 1
    else:
      shape, dtype, low, high = (), tf.int32, 0, controller.actions - 1
    self.spec = tensor_spec.BoundedTensorSpec(
      shape, dtype, low, high, name='action'
    )
    if controller.ordered and controller.actions:
      edges = np.arange(1, controller.actions) * 2 / controller.actions - 1
      self._edges = np.arctanh(edges).astype(np.float32)

  def distribution(self, parameters: tf.Tensor) -> Any:
    """Returns TFP's distribution over actions for parameters [..., R + 1]."""
    sums, temperature = parameters[..., :-1], tf.exp(parameters[..., -1:])
    if self._controller.action_kind == 'continuous':
      return tfd.MultivariateNormalDiag(
        tf.tanh(sums), temperature * tf.ones_like(sums)
      )
    if not self._controller.ordered:
      return tfd.Categorical(logits=sums / temperature, dtype=tf.int32)
    above = tf.sigmoid((sums - self._edges) / temperature)  # P(action > k)
    ends = tf.ones_like(sums), above, tf.zeros_like(sums)
    above = tf.concat(ends, -1)
    shares = above[..., :-1] - above[..., 1:]
    shares = (1 - _UNIFORM) * shares + _UNIFORM / self._controller.actions
    return tfd.Categorical(probs=shares, dtype=tf.int32)


@keras.saving.register_keras_serializable('nca_tf')
class DreamActor(keras.layers.Layer):
  """A controller's weights and a critic, as `agents.network.ActorCritic` is.

  Attributes:
    weights_of_controller: float32 [P].
    log_temperature: Of the noise, [1].
  """

  cell, streams = None, 1

  def __init__(self, controller: controller_lib.LinearController, **kwargs):
    """Takes the controller that the weights are of."""
    super().__init__(**kwargs)
    self._controller = controller
    self._critic = [
      keras.layers.Dense(_CRITIC, 'elu'),
      keras.layers.Dense(1, kernel_initializer=keras.initializers.Zeros()),
    ]

  def build(self, observation_shape):
    """Makes the weights, all 0; the shape is [N]."""
    self.weights_of_controller = self.add_weight(
      shape=(self._controller.size,), initializer='zeros', name='controller'
    )
    self.log_temperature = self.add_weight(
      shape=(1,),
      initializer=keras.initializers.Constant(np.log(_TEMPERATURE)),
      name='log_temperature',
    )
    size = observation_shape[0]
    for layer in self._critic:
      layer.build((None, size))
      size = layer.units
    self.built = True

  def initial_state(self, lanes) -> list:
    """Returns the state of its memory: it has none."""
    del lanes
    return []

  def step(self, observation, is_first, state):
    """One step; returns parameters [L, R + 1], values [L, 1] and the state."""
    del is_first
    return *self._read(observation), state

  def call(self, observation, is_first, state):
    """T steps; returns parameters [L, T, R + 1] and values [L, T, 1]."""
    del is_first, state
    return self._read(observation)

  def _read(self, observation):
    sizes = self._controller.sizes
    parts = tf.split(observation, list(sizes.values()), -1)
    sums = self._controller.activate(
      tf.convert_to_tensor(self.weights_of_controller),
      dict(zip(sizes, parts, strict=True)),
    )
    if self._controller.rows == 1:
      sums = sums[..., None]
    noise = tf.zeros_like(sums[..., :1]) + self.log_temperature
    value = observation
    for layer in self._critic:
      value = layer(value)
    return tf.concat([sums, noise], -1), value


class DreamGame:
  """A dream as an environment of `agents.collector`.

  A lane dies by a draw of the dream's probability of the end. Its reward is
  minus that probability, which is as right as a draw of -1 and less noisy, or
  what M predicts where the game has rewards.
  """

  def __init__(
    self,
    dream: dream_lib.Dream,
    controller: controller_lib.LinearController,
  ):
    """Takes the dream, and the controller that reads and plays in it."""
    self._dream = dream
    self._controller = controller
    self.time_limit = dream.horizon
    shape = (sum(controller.sizes.values()),)
    self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, shape)

  def reset(self, lanes, seed):
    """Starts lanes from recorded first frames: state and observation [L, N]."""
    state, features = self._dream.reset(lanes, seed)
    return state, self._join(features)

  def step(self, state, action, seed):
    """Plays a step in all lanes, as `agents.collector` wants it."""
    controller = self._controller
    if controller.action_kind == 'continuous':
      action = tf.clip_by_value(action, -1.0, 1.0)
    else:
      action = controller.encode(action)
    state, prediction = self._dream.advance(state, action, seed)
    death = self._dream.done_probability(prediction)
    drawn = random_tensors.uniform(seed + [5, 0], tf.shape(death), death.dtype)
    reward = -death if prediction.reward is None else prediction.reward
    is_over = state.steps >= self.time_limit
    observation = self._join(self._dream.observe(state))
    return state, observation, reward, drawn < death, is_over

  def _join(self, features: Mapping[str, tf.Tensor]):
    return tf.concat([features[name] for name in self._controller.sizes], -1)
