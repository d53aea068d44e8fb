"""Generalised advantage estimation over windows of several episodes.

Schulman et al., High-dimensional continuous control using generalized advantage
estimation (2016), equation 16. A window is laid out as TF-Agents does: each
episode ends with a boundary step, which has the last observation, no reward and
an action that nobody takes. The value of that observation is what a time limit
is bootstrapped with; after a death the discount is 0.

Letters: B lanes, T steps, S streams.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf


class Stream(NamedTuple):
  """A reward with a value function of its own.

  Attributes:
    name: 'extrinsic' or 'intrinsic'.
    discount: Gamma.
    weight: Of its advantages in the policy's objective.
    is_episodic: Whether its return ends with the episode. An agent that looks
      for novelty is not deterred by a death that costs it nothing else (Burda
      et al., Exploration by random network distillation, 2018, section 2.3).
  """

  name: str
  discount: float
  weight: float = 1.0
  is_episodic: bool = True


def estimate(
  streams: Sequence[Stream],
  rewards: tf.Tensor,
  values: tf.Tensor,
  discounts: tf.Tensor,
  is_boundary: tf.Tensor,
  trace_decay: float,
) -> tf.Tensor:
  """Estimates the advantages of all steps of a window.

  Args:
    streams: S of them.
    rewards: [B, T, S], for the action of each step.
    values: [B, T + 1, S], of each observation and of the one after the window.
    discounts: [B, T], 0 where the action ended the episode, else 1.
    is_boundary: bool [B, T].
    trace_decay: Lambda.

  Returns:
    [B, T, S]; 0 at boundary steps of episodic streams.
  """
  dtype = values.dtype
  gamma = tf.constant([stream.discount for stream in streams], dtype)
  is_episodic = tf.constant([stream.is_episodic for stream in streams])
  one = tf.ones([], dtype)
  # What the future counts, and whether the step is one of the stream.
  follows = tf.where(
    is_episodic, tf.cast(discounts, dtype)[..., None], one
  )  # [B, T, S]
  counts = tf.where(
    is_episodic, 1 - tf.cast(is_boundary, dtype)[..., None], one
  )
  errors = rewards + gamma * follows * values[:, 1:] - values[:, :-1]
  decay = gamma * tf.cast(trace_decay, dtype) * follows
  steps = [
    tf.transpose(part, [1, 0, 2]) for part in (errors * counts, decay * counts)
  ]

  def body(later, step):
    error, decay = step
    return error + decay * later

  found = tf.scan(body, steps, tf.zeros_like(values[:, 0]), reverse=True)
  return tf.transpose(found, [1, 0, 2])
