"""Scripted policies of Take Cover: standing still and walking blindly."""

import itertools
from collections.abc import Iterator

import numpy as np

from nca_tf import checks
from nca_tf.environments import game
from nca_tf.environments import policies


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


def sweeps(spec: game.GameSpec, rng: np.random.Generator) -> Iterator:
  """Sweeps whose length varies, with random interludes.

  Good controllers sweep from wall to wall: a model whose data hold no sweeps
  cannot tell how deadly they are. Every episode has a mean hold of 50 to 150
  tics, each sweep varies around it, and a quarter of them give way to a random
  action for 1 to 50 tics.
  """
  sides = [_encode(spec, name) for name in ('left', 'right')]
  hold, side = rng.uniform(50, 150), int(rng.integers(2))
  yield from [sides[side]] * int(hold / 2)
  while True:
    side = 1 - side
    if rng.random() < 0.25:
      yield from [policies.draw(spec, rng)] * int(50 ** rng.uniform())
    yield from [sides[side]] * _vary(hold, rng)


def reversals(spec: game.GameSpec, rng: np.random.Generator) -> Iterator:
  """Bouts of quick reversals among walks.

  A search in a dream tries them early, and a model that never saw any takes
  them for a way to live. A walk of 1 to 150 tics is followed by 1 to 10
  reversals every 2 to 50 tics, all scales equally often.
  """
  sides = [_encode(spec, name) for name in ('left', 'right')]
  while True:
    side = int(rng.integers(2))
    yield from [sides[side]] * int(150 ** rng.uniform())
    hold = 2 * 25 ** rng.uniform()
    for _ in range(rng.integers(1, 11)):
      side = 1 - side
      yield from [sides[side]] * _vary(hold, rng)


def _vary(hold: float, rng: np.random.Generator) -> int:
  """Returns tics around a mean hold, at least one."""
  return max(1, int(hold * rng.lognormal(0, 0.25)))


def _encode(spec: game.GameSpec, action: str):
  """Returns an action in the kind of action in use."""
  index = spec.action_names.index(action)
  if spec.action_kind == 'continuous':
    return np.float32(index - spec.action_names.index('stay'))
  return index
