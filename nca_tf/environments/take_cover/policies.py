"""Scripted policies of Take Cover: standing still and walking blindly.

The numbers of each are in the README.
"""

from collections.abc import Iterator

import numpy as np

from nca_tf.environments import game
from nca_tf.environments import policies

_PERIOD = 120  # Tics in which the metronome crosses its range once.


def _move(spec: game.GameSpec, name: str):
  """Returns an action by its name, in the kind of action in use."""
  index = spec.action_names.index(name)
  if spec.action_kind == 'continuous':
    return np.float32(index - spec.action_names.index('stay'))
  return index


@policies.script
def metronome(spec: game.GameSpec, rng: np.random.Generator) -> Iterator:
  """Moves half a period to the left, then whole periods to and fro."""
  del rng
  left, right = _move(spec, 'left'), _move(spec, 'right')
  yield from [left] * (_PERIOD // 2)
  while True:
    yield from [right] * _PERIOD
    yield from [left] * _PERIOD


@policies.script
def stay(spec: game.GameSpec, rng: np.random.Generator) -> Iterator:
  """Stands still."""
  del rng
  while True:
    yield _move(spec, 'stay')


@policies.script
def always_left(spec: game.GameSpec, rng: np.random.Generator) -> Iterator:
  """Walks to the left."""
  del rng
  while True:
    yield _move(spec, 'left')


@policies.script
def always_right(spec: game.GameSpec, rng: np.random.Generator) -> Iterator:
  """Walks to the right."""
  del rng
  while True:
    yield _move(spec, 'right')
