"""V as a codec between recorded frames and latents, NumPy in and out.

Of a game of vectors V is a `standardiser.Standardiser`, and what is called
frames here are those vectors, float32 [F, N].
"""

import numpy as np
import tensorflow as tf

from nca_tf import checks


def scale(frames, dtype):
  """Frames uint8 -> 0..1; ValueError for others, as they may be scaled."""
  if tf.as_dtype(frames.dtype) != tf.uint8:
    found = tf.as_dtype(frames.dtype).name
    raise ValueError(f'frames must be uint8, 0 to 255, got {found}')
  return tf.cast(frames, dtype) / 255


def quantise(frames):
  """Frames in 0..1 -> uint8, as they were recorded."""
  return tf.cast(tf.round(tf.clip_by_value(frames, 0, 1) * 255), tf.uint8)


def encode(vision, frames):
  """Mean and log variance, [B, Z] each, of frames as a game gives them."""
  if vision.takes_frames:
    frames = scale(frames, tf.as_dtype(vision.variable_dtype))
  return vision.encode(frames)


def decode(vision, z):
  """Frames of latents [B, Z], as a game gives them."""
  decoded = vision.decode(z)
  if vision.takes_frames:
    return quantise(decoded)
  return tf.cast(decoded, tf.float32)


class Codec:
  """Encodes and decodes any number of frames in batches of one shape.

  codec = Codec(vision)
  mean, log_variance = codec.encode(frames)  # uint8 [F, 64, 64, 3] -> [F, Z]
  frames = codec.decode(mean)                # uint8 again
  """

  def __init__(self, vision, batch=256):
    """Compiles nothing yet; `batch` frames go through V at once."""
    self._batch = checks.integer('batch', batch, 1)
    self._latent_size = vision.latent_size
    self._shape = vision.observation_shape
    self._kind = np.uint8 if vision.takes_frames else np.float32
    self._dtype = vision.variable_dtype
    self._encode = tf.function(
      lambda frames: encode(vision, frames), autograph=False
    )
    self._decode = tf.function(lambda z: decode(vision, z), autograph=False)

  def encode(self, frames):
    """Posterior mean and log variance, [F, Z] each.

    Raises:
      ValueError: frames are not what V takes, uint8 [F, 64, 64, 3].
    """
    frames = _check_rows('frames', frames, self._shape)
    if not len(frames):
      nothing = np.zeros([0, self._latent_size], self._dtype)
      return nothing, nothing
    parts = [self._encode(part) for part in self._batches(frames)]
    means, log_variances = zip(*parts, strict=True)
    return self._join(means, frames), self._join(log_variances, frames)

  def decode(self, z):
    """Frames uint8 [F, 64, 64, 3] of latents [F, Z].

    Raises:
      ValueError: z is of another shape.
    """
    z = _check_rows('z', z, (self._latent_size,))
    if not len(z):
      return np.zeros([0, *self._shape], self._kind)
    return self._join([self._decode(part) for part in self._batches(z)], z)

  def _batches(self, array):
    """Equal batches, the last one filled up with its first row."""
    for start in range(0, len(array), self._batch):
      part = array[start : start + self._batch]
      missing = self._batch - len(part)
      filling = np.repeat(part[:1], missing, axis=0)
      yield tf.constant(np.concatenate([part, filling]))

  def _join(self, parts, like):
    return np.concatenate([part.numpy() for part in parts])[: len(like)]


def _check_rows(name, array, shape):
  """An array of rows of a shape, or ValueError."""
  array = np.asarray(array)
  if array.shape[1:] != tuple(shape) or not array.ndim:
    wanted = ', '.join(map(str, ['F', *shape]))
    raise ValueError(
      f'{name} must be of shape [{wanted}], got {list(array.shape)}'
    )
  return array
