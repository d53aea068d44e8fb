"""Scripted policies of any game: the baselines and collectors of rollouts.

Source: Ha & Schmidhuber 2018; the README has the scores of each policy in Take
Cover. A game's own policies are beside the game; its spec names all of them.

Example:
  >>> policy = make('random', environments.get_spec('vizdoom'))
  >>> policy.reset(numpy.random.default_rng(1))
  >>> action = policy.act(observation)
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from nca_tf import checks
from nca_tf.environments import game

_LONGEST_HOLD = 10
_LONGEST_WANDER = 300


class Policy:
  """Follows a stream of actions and never looks.

  `reset(rng)` starts an episode; `act(observation)` gives its next action: an
  index, or for a game with continuous actions a float32 in [-1, 1] or, of
  several components, an array of them.
  """

  blind = True

  def __init__(self, stream: Callable[..., Iterator], frame_skip: int):
    """Takes a function rng -> an action for each tic, and tics per step."""
    self._stream = stream
    self._frame_skip = checks.integer('frame_skip', frame_skip, 1)
    self._actions = None

  def reset(self, rng: np.random.Generator):
    """Starts an episode, which `rng` determines."""
    self._actions = itertools.islice(
      self._stream(rng), 0, None, self._frame_skip
    )

  def act(self, observation):
    """Returns the next action."""
    del observation
    if self._actions is None:
      raise RuntimeError('call reset(rng) before act(observation)')
    return next(self._actions)

  def __getstate__(self):
    """Returns what another process or a copy needs before an episode."""
    if self._actions is not None:
      raise TypeError(
        f'{type(self).__name__} cannot be pickled or copied in an episode: '
        'make another one with policies.make, and reset it'
      )
    return self.__dict__


@dataclasses.dataclass(frozen=True)
class Script:
  """An entry of `GameSpec.policies`: spec -> policy."""

  # A function (spec, rng, *parameters) -> an action for each tic
  stream: Callable[..., Iterator]
  parameters: tuple = ()  # Of the stream

  def __call__(self, spec: game.GameSpec) -> Policy:
    """Makes the policy for a game."""
    return Policy(functools.partial(self._play, spec), spec.frame_skip)

  def _play(self, spec: game.GameSpec, rng: np.random.Generator) -> Iterator:
    return self.stream(spec, rng, *self.parameters)


def draw(spec: game.GameSpec, rng: np.random.Generator):
  """Returns a random action, of the kind in use."""
  # The game cuts continuous actions at +-1/3: each third is equally likely.
  if spec.action_kind == 'continuous':
    size = None if spec.components == 1 else spec.components
    return np.float32(rng.uniform(-1, 1, size))
  return int(rng.integers(spec.actions))


def random(spec: game.GameSpec, rng: np.random.Generator) -> Iterator:
  """Holds each random action for U{1..10} tics, as the published collector."""
  while True:
    action = draw(spec, rng)
    for _ in range(rng.integers(1, _LONGEST_HOLD + 1)):
      yield action


def wander(spec: game.GameSpec, rng: np.random.Generator) -> Iterator:
  """Holds each random action for 1 to 300 tics, all scales equally often.

  It crosses a room from wall to wall and stands still at times, which the
  published collector hardly does: a model of its episodes knows neither.
  """
  while True:
    action = draw(spec, rng)
    for _ in range(int(_LONGEST_WANDER ** rng.uniform())):
      yield action


def random_per_tic(spec: game.GameSpec, rng: np.random.Generator) -> Iterator:
  """Draws a new action in each tic."""
  while True:
    yield draw(spec, rng)


def one_of(
  spec: game.GameSpec, rng: np.random.Generator, *streams: Callable
) -> Iterator:
  """Plays each episode by one of several streams, all equally often."""
  return streams[rng.integers(len(streams))](spec, rng)


def make(name: str, spec: game.GameSpec):
  """Makes the policy of a game that `spec.policies` has under a name.

  Returns:
    A policy: `reset(rng)`, `act(observation)`, and `blind`, whether it ignores
    the observation.

  Raises:
    ValueError: The game has no such policy.
  """
  if not isinstance(name, str) or name not in spec.policies:
    raise ValueError(f'name must be one of {spec.policy_names}, got {name!r}')
  return spec.policies[name](spec)
