"""Arrays that a caller gave, checked: x0, sigma0, candidates, fitness."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from nca_tf import checks
from nca_tf.evolution.settings import Settings


def floats(
  name: str, values: Any, shape: tuple[int, ...] | None = None
) -> np.ndarray:
  """Returns numbers as a float64 array, NaN and infinities among them.

  Args:
    name: Of the argument, for the message.
    values: Numbers, or None for NaN, nested or not. Text is refused.
    shape: Theirs; any without it.

  Raises:
    ValueError: No numbers, or another shape.
  """
  try:
    array = np.asarray(values)
    if array.dtype.kind in 'cmMSU' or any(
      isinstance(value, str | bytes | complex)
      for value in (array.flat if array.dtype.kind == 'O' else ())
    ):
      raise TypeError(f'{array.dtype} has other values')
    array = array.astype(np.float64)
  except (TypeError, ValueError) as error:
    reason = ' '.join(str(error).split())
    raise ValueError(f'{name} must be numbers ({reason[:100]})') from error
  if shape is not None and array.shape != shape:
    raise ValueError(f'{name} must be of shape {shape}, got {array.shape}')
  return array


def finite(name: str, values: Any, n: int | None = None) -> np.ndarray:
  """Returns numbers as a float64 vector, or raises `ValueError`: see `floats`.

  NaN and infinities are refused; `n` is the length, any without it.
  """
  array = floats(name, values, None if n is None else (n,))
  if array.ndim != 1:
    raise ValueError(f'{name} must be a vector, got shape {array.shape}')
  if not np.all(np.isfinite(array)):
    place = int(np.argmin(np.isfinite(array)))
    raise ValueError(f'{name} must be finite, got {array[place]} at {place}')
  return array


def start(settings: Settings, x0) -> tf.Tensor:
  """Returns the first mean, [n], checked."""
  if tf.is_symbolic_tensor(x0):
    if x0.shape != (settings.n,):
      raise ValueError(f'x0 must be of shape ({settings.n},), got {x0.shape}')
    return tf.cast(x0, settings.dtype)
  x0 = finite('x0', x0, settings.n)
  with np.errstate(over='ignore'):
    mean = x0.astype(settings.dtype)
  if not np.all(np.isfinite(mean)):
    largest = x0[np.argmax(np.abs(x0))]
    raise ValueError(f'x0 must be finite in {settings.dtype}, got {largest}')
  return tf.constant(mean)


def first_step(settings: Settings, sigma0) -> tf.Tensor:
  """Returns the first step size, checked."""
  if tf.is_symbolic_tensor(sigma0):
    return tf.cast(sigma0, settings.dtype)
  sigma0 = checks.real('sigma0', sigma0, above=0)
  limits = np.finfo(settings.dtype)
  least, most = float(limits.tiny), float(limits.max)
  if not least <= sigma0 <= most:
    raise ValueError(
      f'sigma0 must be from {least:.3g} to {most:.3g} in {settings.dtype}, got '
      f'{sigma0}'
    )
  return tf.constant(sigma0, settings.dtype)


def fitness(settings: Settings, values, x) -> tf.Tensor:
  """Returns fitness as floats of shape [P], +inf where x is not finite."""
  shape = (settings.popsize,)
  try:
    values = tf.convert_to_tensor(values, dtype_hint=tf.float64)
  except (TypeError, ValueError) as error:
    raise ValueError(f'fitness must be numbers of shape {shape}') from error
  if values.dtype.is_integer or values.dtype == tf.bool:
    values = tf.cast(values, tf.float64)
  if not values.dtype.is_floating:
    raise ValueError(f'fitness must be numbers, got {values.dtype.name}')
  if not values.shape.is_compatible_with(shape):
    raise ValueError(
      f'fitness must be of shape {shape}, got {tuple(values.shape)}'
    )
  if not values.shape.is_fully_defined():  # As of tf.numpy_function.
    values = tf.ensure_shape(values, shape)
  is_whole = tf.reduce_all(tf.math.is_finite(x), 1)
  return tf.where(is_whole, values, math.inf)
