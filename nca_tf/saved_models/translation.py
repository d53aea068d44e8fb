"""Between a game and an agent: what the one shows and what the other does.

Agents learn in Gymnasium's spaces. Games of the library show frames or vectors,
an index as a vector that is 1 there, and take numbers from -1 to 1.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from nca_tf import environments


def find_kind(spec) -> str:
  """Returns the kind of action of an agent's action spec."""
  if spec.dtype.is_floating:
    return 'continuous'
  return 'multi_discrete' if spec.shape.rank else 'discrete'


def find_frames(info: Mapping[str, Any], spec: tf.TensorSpec) -> tf.TensorSpec:
  """Returns what the game of an agent shows, in a batch.

  Args:
    info: `env` and `options` of the game.
    spec: What the agent sees of it; also the result where the library has no
      such game, or shows something else of it.
  """
  own = tf.TensorSpec([None, *spec.shape], spec.dtype, name='frames')
  try:
    game = environments.get_spec(info['env'], **info['options'])
    shape, dtype = [None, *game.observation_shape], game.observation_dtype
    frames = tf.TensorSpec(shape, dtype, name='frames')
    observe(tf.zeros([1, *shape[1:]], dtype), spec)
  except (ImportError, ValueError):
    return own
  return frames


def observe(frames: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
  """Returns what an agent sees, [B, ...] of its spec, of a game's frames.

  Raises:
    ValueError: The game shows something else.
  """
  if not spec.shape.rank:
    if frames.shape.rank == 1:
      return frames
    return tf.argmax(frames, -1, output_type=spec.dtype)
  wanted, given = spec.shape, frames.shape[1:]
  if given.rank == 3 and wanted == [*given[:2], 1]:  # Grey, in three colours.
    frames = frames[..., :1]
  elif given.num_elements() != wanted.num_elements():
    raise ValueError(
      f'frames must be of as many numbers as the observations {wanted} of the '
      f'agent, got {given}'
    )
  return tf.cast(tf.reshape(frames, [-1, *wanted]), spec.dtype)


def answer(action: tf.Tensor, spec) -> tf.Tensor:
  """Returns actions of a spec as a game takes them.

  Indices stay as they are. Numbers are scaled from their limits to -1..1, those
  beyond are cut off, and a single one is [B].
  """
  if not spec.dtype.is_floating:
    return action
  low, high = (
    tf.constant(limit, spec.dtype, spec.shape)
    for limit in (spec.minimum, spec.maximum)
  )
  share = (action - low) / (high - low)
  scaled = tf.clip_by_value(2 * share - 1, -1, 1)
  return scaled[:, 0] if spec.shape.num_elements() == 1 else scaled
