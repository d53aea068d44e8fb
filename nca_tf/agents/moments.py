"""Running moments as variables of a graph, for agents' normalisation.

`running_moments` has the formulae, in NumPy.
"""

import tensorflow as tf


class Moments(tf.Module):
  """Count, mean and variance of a stream, float64, checkpointed with an agent.

  Until there are values, `normalize` and `scale` change nothing.
  """

  def __init__(
    self,
    shape: tuple[int, ...] = (),
    name: str = 'moments',
    constant: float = 1.0,
  ):
    """Makes empty moments of values of a shape.

    Args:
      shape: Of a value.
      name: Of the module.
      constant: Deviation of elements that never changed. With a small one they
        are far out as soon as they do.
    """
    super().__init__(name)
    self._constant = constant
    self.count = tf.Variable(tf.zeros([], tf.float64), trainable=False)
    self.mean = tf.Variable(tf.zeros(shape, tf.float64), trainable=False)
    self.squares = tf.Variable(tf.zeros(shape, tf.float64), trainable=False)

  def update(self, batch: tf.Tensor) -> None:
    """Adds values [N, *shape]."""
    batch = tf.cast(batch, tf.float64)
    count = tf.cast(tf.shape(batch)[0], tf.float64)
    mean = tf.reduce_mean(batch, 0)
    squares = tf.reduce_sum(tf.square(batch - mean), 0)
    total = self.count + count
    delta = mean - self.mean
    share = count / tf.maximum(total, 1.0)
    self.squares.assign_add(squares + tf.square(delta) * self.count * share)
    self.mean.assign_add(delta * share)
    self.count.assign(total)

  @property
  def deviation(self) -> tf.Tensor:
    """Standard deviation; 1 without values, `constant` of equal ones."""
    variance = self.squares / tf.maximum(self.count, 1.0)
    constant = tf.constant(self._constant, variance.dtype)
    constant = tf.where(self.count > 0, constant, tf.ones_like(constant))
    return tf.where(variance > 0, tf.sqrt(variance), constant)

  def scale(self, values: tf.Tensor) -> tf.Tensor:
    """Divides by the deviation."""
    return values / tf.cast(self.deviation, values.dtype)

  def normalize(self, values: tf.Tensor, clip: float) -> tf.Tensor:
    """Subtracts the mean, divides by the deviation, clips."""
    centred = values - tf.cast(self.mean, values.dtype)
    return tf.clip_by_value(self.scale(centred), -clip, clip)
