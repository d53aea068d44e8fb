"""Scripted policies of Take Cover: standing still and walking blindly."""

import itertools
from collections.abc import Iterator

import numpy as np

from nca_tf import checks
from nca_tf.environments import game


def always(spec: game.GameSpec, rng, action: str) -> Iterator:
  """Repeats an action, given by its name."""
  del rng
  return itertools.repeat(_encode(spec, action))


def metronome(spec: game.GameSpec, rng, period: int) -> Iterator:
  """Walks left for half a period of tics, then to and fro for whole ones."""
  del rng
  period = checks.integer('period', period, 1)
  left, right = _encode(spec, 'left'), _encode(spec, 'right')
  yield from [left] * (period // 2)
  while True:
    yield from [right] * period
    yield from [left] * period


def _encode(spec: game.GameSpec, action: str):
  """Returns an action in the kind of action in use."""
  index = spec.action_names.index(action)
  if spec.action_kind == 'continuous':
    return np.float32(index - spec.action_names.index('stay'))
  return index
