"""Kinds of actions, and the distributions that a policy has over them."""

import math
from typing import Any

import gymnasium
import numpy as np
import tensorflow as tf

from nca_tf.agents import spaces as spaces_lib
from nca_tf.agents.tf_agents import tensor_spec
from nca_tf.agents.tf_agents import tfd


class Discrete:
  """One of n actions; parameters are logits [..., n]."""

  def __init__(self, count: int):
    """Takes n."""
    self.size = count
    self.spec = tensor_spec.BoundedTensorSpec(
      (), tf.int32, 0, count - 1, name='action'
    )

  def distribution(self, parameters: tf.Tensor) -> Any:
    """Returns TFP's distribution over actions, int32 [...]."""
    return tfd.Categorical(logits=parameters, dtype=tf.int32)


class MultiDiscrete:
  """One of n_i actions for each i; parameters are all logits side by side."""

  def __init__(self, counts: tuple[int, ...]):
    """Takes all n_i."""
    self.counts = tuple(counts)
    self.size = sum(counts)
    self.spec = tensor_spec.BoundedTensorSpec(
      (len(counts),), tf.int32, 0, np.array(counts) - 1, name='action'
    )

  def distribution(self, parameters: tf.Tensor) -> Any:
    """Returns a distribution over actions, int32 [..., i]."""
    most = max(self.counts)
    parts = [
      tf.pad(
        part,
        [[0, 0]] * (len(part.shape) - 1) + [[0, most - part.shape[-1]]],
        constant_values=part.dtype.min / 2,  # Never drawn.
      )
      for part in tf.split(parameters, self.counts, -1)
    ]
    logits = tf.stack(parts, -2)
    return tfd.Independent(tfd.Categorical(logits=logits, dtype=tf.int32), 1)


class Continuous:
  """A box; parameters are a mean and the logarithm of a deviation for each.

  Draws may lie outside the box; environments get them clipped, and their
  densities stay those of the Gaussian.
  """

  def __init__(self, low: np.ndarray, high: np.ndarray):
    """Takes the box's finite bounds, [i]."""
    self.size = 2 * math.prod(low.shape)
    self.spec = tensor_spec.BoundedTensorSpec(
      low.shape, tf.float32, low, high, name='action'
    )
    self._centre = (low + high) / 2
    self._scale = (high - low) / 2

  def distribution(self, parameters: tf.Tensor) -> Any:
    """Returns a distribution over actions, float32 [..., i]."""
    mean, deviation = tf.split(parameters, 2, -1)
    deviation = tf.exp(tf.clip_by_value(deviation, -5.0, 2.0))
    return tfd.MultivariateNormalDiag(
      self._centre + self._scale * mean, self._scale * deviation
    )


def make(space: gymnasium.Space) -> Discrete | MultiDiscrete | Continuous:
  """Returns the kind of actions of a Gymnasium space.

  Raises:
    ValueError: The space is of another kind, or a box without bounds.
  """
  spaces_lib.check_actions(space)
  if isinstance(space, gymnasium.spaces.Discrete):
    return Discrete(int(space.n))
  if isinstance(space, gymnasium.spaces.MultiDiscrete):
    return MultiDiscrete(tuple(map(int, space.nvec)))
  return Continuous(
    *(part.astype(np.float32) for part in (space.low, space.high))
  )
