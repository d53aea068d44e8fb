"""C with a hidden layer beside its weights: W x + V tanh(U x + d) + b.

A linear controller is the part that x goes through unchanged, so that it can
lead to this one and be compared with it. Letters: P parameters, N hidden units,
F features in all, R rows of weights.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from nca_tf import checks
from nca_tf import random_numbers
from nca_tf.world_model import controller


class HiddenController(controller.LinearController):
  """As a LinearController, with N hidden units beside the weights.

  The flat vector of parameters has those of the linear controller first, then
  U [N, F], d [N] and V [R, N].

    controller = HiddenController({'z': 64, 'h': 256}, 3, hidden=32)
  """

  def __init__(
    self, sizes: Mapping[str, int], actions: int, *given: Any, hidden: int
  ):
    """Takes the arguments of a LinearController, and N.

    Raises:
      ValueError: N is no integer of at least 1, or as of a LinearController.
    """
    super().__init__(sizes, actions, *given)
    self.hidden = checks.integer('hidden', hidden, 1)

  @property
  def size(self) -> int:
    """P, the number of parameters."""
    return self.linear_size + self.hidden * (self._features + 1 + self.rows)

  @property
  def _features(self):
    return sum(self.sizes.values())

  def initial(self, seed: int) -> np.ndarray:
    """Parameters to begin with, float32 [P]: U is drawn, the rest is 0."""
    rng = random_numbers.generator(seed, 'hidden units of a controller')
    found = np.zeros(self.size, np.float32)
    count = self.hidden * self._features
    first = self.linear_size
    drawn = rng.standard_normal(count) / np.sqrt(self._features)
    found[first : first + count] = drawn
    return found

  def _sum(self, parameters, inputs):
    shape = (
      [self.hidden, self._features],
      [self.hidden],
      [self.rows, self.hidden],
    )
    counts = [int(np.prod(each)) for each in shape]
    linear, *parts = tf.split(parameters, [self.linear_size, *counts], -1)
    inward, bias, outward = (
      tf.reshape(part, tf.concat([tf.shape(part)[:-1], each], 0))
      for part, each in zip(parts, shape, strict=True)
    )
    units = tf.tanh(tf.einsum('...nf,...f->...n', inward, inputs) + bias)
    added = tf.einsum('...rn,...n->...r', outward, units)
    if self.rows == 1:
      added = added[..., 0]
    return super()._sum(linear, inputs) + added
