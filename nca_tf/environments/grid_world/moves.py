"""A step on a grid with walls, in the graph."""

import numpy as np
import tensorflow as tf

MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))  # Up, down, left, right.


def move(walls: np.ndarray, place: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
  """Moves each lane, unless a wall or the border is in the way.

  Args:
    walls: Bool [size, size].
    place: Row and column, int32 [B, 2].
    action: Index of `MOVES`, [B].

  Returns:
    The places after the step, int32 [B, 2].
  """
  moved = place + tf.gather(tf.constant(MOVES, tf.int32), action)
  moved = tf.clip_by_value(moved, 0, len(walls) - 1)
  is_wall = tf.gather_nd(tf.constant(walls), moved)
  return tf.where(is_wall[:, None], place, moved)
