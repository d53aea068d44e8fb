"""Scripted policies: the baselines and the collectors of rollouts.

Source: Ha & Schmidhuber 2018; the numbers of each policy in Take Cover are in
the README. All are blind: they never look at the observation.

Example:
  >>> policy = make('random', environments.get_spec('vizdoom'))
  >>> policy.reset(numpy.random.default_rng(1))
  >>> action = policy.act(observation)
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from nca_tf.environments import game

_LONGEST_HOLD = 10
_LONGEST_WANDER = 300
_PERIOD = 120  # Tics from one end of the metronome's way to the other.
_LEFT, _STAY, _RIGHT = 0, 1, 2


def _random(rng: np.random.Generator, draw: Callable) -> Iterator:
  """Holds each random action for U{1..10} tics, as the published collector."""
  while True:
    action = draw()
    for _ in range(rng.integers(1, _LONGEST_HOLD + 1)):
      yield action


def _wander(rng: np.random.Generator, draw: Callable) -> Iterator:
  """Holds each random action for 1 to 300 tics, all scales equally often.

  It crosses the room from wall to wall and stands still at times, which the
  published collector hardly does: a model of its episodes knows neither.
  """
  while True:
    action = draw()
    for _ in range(int(_LONGEST_WANDER ** rng.uniform())):
      yield action


def _random_per_tic(rng: np.random.Generator, draw: Callable) -> Iterator:
  """Draws a new action at each step."""
  del rng
  while True:
    yield draw()


def _metronome(spec: game.GameSpec) -> Iterator:
  """Moves half a period to one side, then whole periods to and fro."""
  left, right = _moves(spec, _LEFT), _moves(spec, _RIGHT)
  yield from [left] * (_PERIOD // 2)
  while True:
    yield from [right] * _PERIOD
    yield from [left] * _PERIOD


def _always(action) -> Iterator:
  while True:
    yield action


def _moves(spec: game.GameSpec, index: int):
  """Returns the action that means `index` in the game's kind of action."""
  if spec.action_kind == 'continuous':
    return np.float32(index - _STAY)
  return index


class Policy:
  """A policy that follows a stream of actions and never looks.

  `reset(rng)` starts an episode; `act(observation)` gives its next action: an
  index, or a float32 in [-1, 1] for a game with continuous actions.
  """

  blind = True

  def __init__(self, name: str, spec: game.GameSpec):
    self._name = name
    self._spec = spec
    self._actions = None

  def reset(self, rng: np.random.Generator):
    """Starts an episode, which `rng` determines."""
    # The scripts are written in tics; a step shows every frame_skip-th action.
    self._actions = itertools.islice(
      self._stream(rng), 0, None, self._spec.frame_skip
    )

  def act(self, observation):
    """Returns the next action."""
    del observation
    if self._actions is None:
      raise RuntimeError('call reset(rng) before act(observation)')
    return next(self._actions)

  def _stream(self, rng: np.random.Generator) -> Iterator:
    spec = self._spec

    def draw():
      # Cut at +-1/3, the uniform number gives each third the same chance.
      if spec.action_kind == 'continuous':
        return np.float32(rng.uniform(-1, 1))
      return int(rng.integers(spec.actions))

    return {
      'random': lambda: _random(rng, draw),
      'wander': lambda: _wander(rng, draw),
      'random_per_tic': lambda: _random_per_tic(rng, draw),
      'metronome': lambda: _metronome(spec),
      'stay': lambda: _always(_moves(spec, _STAY)),
      'always_left': lambda: _always(_moves(spec, _LEFT)),
      'always_right': lambda: _always(_moves(spec, _RIGHT)),
    }[self._name]()


def make(name: str, spec: game.GameSpec) -> Policy:
  """Makes a scripted policy for a game.

  Args:
    name: One of `spec.policies`.
    spec: The game.

  Raises:
    ValueError: The game has no such policy.
  """
  if name not in spec.policies:
    raise ValueError(
      f'name must be one of {", ".join(spec.policies)}, got {name!r}'
    )
  return Policy(name, spec)
