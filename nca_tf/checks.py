"""Numbers that a caller gave, checked and made plain Python numbers.

A NumPy scalar from a sweep, a 0-d array or a TensorFlow constant is as good as
a Python number, but JSON, Keras' configurations and C know only the latter: a
public constructor passes each of its numbers through this module first.
"""

import math
import numbers
import operator
from typing import Any


def integer(
  name: str, value: Any, least: int | None = None, most: int | None = None
) -> int:
  """Returns an integer of a range.

  Args:
    name: Of the argument, for the message.
    value: A Python or NumPy integer, or a 0-d array of one. Booleans, floats
      (2.0 as well) and text are refused.
    least: The smallest that is allowed.
    most: The largest that is allowed.

  Raises:
    ValueError: The value is no integer, or out of range.
  """
  number = _unwrap(value)
  is_integer = isinstance(number, numbers.Integral)
  if is_integer and not isinstance(number, bool):
    number = operator.index(number)
    if (least is None or number >= least) and (most is None or number <= most):
      return number
  raise ValueError(
    f'{name} must be an integer{_range(least, most)}, got {shorten(value)}'
  )


def real(
  name: str,
  value: Any,
  least: float | None = None,
  most: float | None = None,
  above: float | None = None,
  below: float | None = None,
) -> float:
  """Returns a finite number of a range.

  Args:
    name: Of the argument, for the message.
    value: A Python or NumPy number, or a 0-d array of one. Booleans, NaN,
      infinities and text are refused.
    least: The smallest that is allowed.
    most: The largest that is allowed.
    above: What it must be larger than.
    below: What it must be smaller than.

  Raises:
    ValueError: The value is no finite number, or out of range.
  """
  number = _unwrap(value)
  if isinstance(number, numbers.Real) and not isinstance(number, bool):
    try:
      number = float(number)
    except OverflowError:
      number = math.inf
    if (
      math.isfinite(number)
      and (least is None or number >= least)
      and (most is None or number <= most)
      and (above is None or number > above)
      and (below is None or number < below)
    ):
      return number
  raise ValueError(
    f'{name} must be a finite number{_range(least, most, above, below)}, got '
    f'{shorten(value)}'
  )


def boolean(name: str, value: Any) -> bool:
  """Returns a Python or NumPy boolean, or raises `ValueError`."""
  found = _unwrap(value)
  if not isinstance(found, bool):
    raise ValueError(f'{name} must be True or False, got {shorten(value)}')
  return found


def _unwrap(value):
  """Returns what a NumPy scalar, a 0-d array or an eager tensor holds."""
  if getattr(value, 'shape', None) == () and hasattr(value, '__array__'):
    try:
      return value.__array__().item()
    except Exception:  # A symbolic tensor of a graph has no value.
      return value
  return value


def _range(least=None, most=None, above=None, below=None):
  limits = (
    ('of at least', least),
    ('above', above),
    ('of at most', most),
    ('below', below),
  )
  found = [f'{words} {limit}' for words, limit in limits if limit is not None]
  return ' ' + ' and '.join(found) if found else ''


def shorten(value: Any) -> str:
  """Returns how a message shows a value: in one line of 60 characters."""
  text = ' '.join(repr(value).split())
  return text if len(text) <= 60 else f'{text[:57]}...'
