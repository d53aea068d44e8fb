"""V as a codec between recorded frames and latents, NumPy in and out.

Of a game of vectors V is a `standardiser.Standardiser`, and what is called
frames here are those vectors, float32 [F, N].
"""

import numpy as np
import tensorflow as tf


def scale(frames, dtype):
  """Frames uint8 -> 0..1."""
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
    self._batch = batch
    self._encode = tf.function(
      lambda frames: encode(vision, frames), autograph=False
    )
    self._decode = tf.function(lambda z: decode(vision, z), autograph=False)

  def encode(self, frames):
    """Posterior mean and log variance, [F, Z] each."""
    parts = [self._encode(part) for part in self._batches(frames)]
    means, log_variances = zip(*parts, strict=True)
    return self._join(means, frames), self._join(log_variances, frames)

  def decode(self, z):
    """Frames uint8 [F, 64, 64, 3] of latents [F, Z]."""
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
