"""C: a linear controller on what V and M know.

Ha and Schmidhuber, World Models (2018), section 2.3: a = tanh(W [z, h, c] + b),
cut into as many equal bins as the game has actions. Where an action has several
numbers, each has such a row of weights; where the order of the actions means
nothing, each action has one and the largest sum acts. Reading the DNC's read
vectors as well was proposed for the DNC and is a matter of `features` here.
Letters: P parameters, S size of a feature, A action size.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from nca_tf import checks


class LinearController:
  """One weight per feature and a bias, as a flat vector of parameters.

  Several rows have such weights, and then a bias, one after the other.

  Bins are in the order of the actions, which therefore has to mean something:
  left, stay, right.

    controller = LinearController({'z': 64, 'h': 256}, actions=3)
    action = controller.act(parameters, features)  # [B, 321], [B, S] -> [B]
  """

  hidden = 0  # Units between the features and the sums.

  def __init__(
    self,
    sizes: Mapping[str, int],
    actions: int,
    action_kind: str = 'discrete',
    components: int = 1,
    ordered: bool = True,
  ):
    """Checks the sizes.

    Args:
      sizes: Features that it reads and their sizes, in the order of the
        parameters.
      actions: Number of discrete actions.
      action_kind: 'discrete' or 'continuous' (the game cuts the number, or
        scales it).
      components: Numbers of a continuous action.
      ordered: Whether the order of discrete actions means something.

    Raises:
      ValueError: There is no feature, or a size, number or kind is wrong.
    """
    if not sizes:
      raise ValueError('sizes must name at least one feature, got none')
    if action_kind not in ('discrete', 'continuous'):
      raise ValueError(
        f"action_kind must be 'discrete' or 'continuous', got {action_kind!r}"
      )
    self.sizes = {
      name: checks.integer(f'size of {name}', size, 1)
      for name, size in sizes.items()
    }
    least = 1 if action_kind == 'discrete' else 0
    self.actions = checks.integer('actions', actions, least)
    self.action_kind = action_kind
    self.components = checks.integer('components', components, least=1)
    if action_kind == 'discrete' and components > 1:
      raise ValueError(
        f"components must be 1 where action_kind is 'discrete', got "
        f'{components}'
      )
    self.ordered = ordered or action_kind == 'continuous'
    self.rows = self.components if self.ordered else actions

  @property
  def size(self) -> int:
    """P, the number of parameters: the weights and then the bias."""
    return self.linear_size

  @property
  def linear_size(self) -> int:
    """Parameters that are weights of features, or biases of their sums."""
    return self.rows * (sum(self.sizes.values()) + 1)

  def initial(self, seed: int) -> np.ndarray:
    """Parameters to begin with, float32 [P]: 0, whatever the seed."""
    del seed
    return np.zeros(self.size, np.float32)

  def act(self, parameters, features):
    """Returns actions [...]: int32, or float32 in (-1, 1) if continuous.

    Those of several components are [..., A]. Arguments and errors are those of
    `activate`.
    """
    return self.decide(self.activate(parameters, features))

  def decide(self, activation):
    """The actions of `act` for the sums of `activate`."""
    if not self.ordered and self.rows > 1:
      return tf.argmax(activation, -1, tf.int32)
    activation = tf.tanh(activation)
    if self.action_kind == 'continuous':
      return tf.cast(activation, tf.float32)
    bins = tf.floor((activation + 1) / 2 * self.actions)
    # tanh rounds to 1 for large arguments.
    return tf.clip_by_value(tf.cast(bins, tf.int32), 0, self.actions - 1)

  def activate(self, parameters, features):
    """Returns the sums W [z, h, c] + b: [...], or [..., rows] of several rows.

    Args:
      parameters: [..., P], or [P] for all rows.
      features: dict of [..., S], at least those of `sizes`.

    Raises:
      ValueError: A feature is missing, or there are not P parameters.
    """
    missing = [name for name in self.sizes if name not in features]
    if missing:
      raise ValueError(
        f'features must have {", ".join(self.sizes)}, '
        f'{", ".join(missing)} is missing'
      )
    inputs = tf.concat([features[name] for name in self.sizes], -1)
    parameters = tf.cast(parameters, inputs.dtype)
    if parameters.shape[-1] not in (None, self.size):
      raise ValueError(
        f'parameters must be of shape [..., {self.size}], '
        f'got {list(parameters.shape)}'
      )
    return self._sum(parameters, inputs)

  def _sum(self, parameters, inputs):
    """The sums for parameters [..., P] and inputs [..., F]."""
    if self.rows > 1:
      rows = self.rows, parameters.shape[-1] // self.rows
      shape = tf.concat([tf.shape(parameters)[:-1], rows], 0)
      parameters = tf.reshape(parameters, shape)
      inputs = inputs[..., None, :]
    weights, bias = parameters[..., :-1], parameters[..., -1]
    return tf.reduce_sum(weights * inputs, -1) + bias

  def encode(self, action, dtype=tf.float32):
    """What M is fed for actions: one-hot [..., A], or the numbers [..., A]."""
    if self.components > 1:
      return tf.cast(action, dtype)
    if self.action_kind == 'continuous':
      return tf.cast(action, dtype)[..., None]
    return tf.one_hot(action, self.actions, dtype=dtype)
