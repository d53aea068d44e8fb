"""Scripted players of Pommerman, for all games at once.

players = opponents.make('simple', variant)
actions = players.act(state, rng)  # [G, A]; observations do as well
players.reset(outcome.done)
"""

import numpy as np

from nca_tf import checks
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.variants import Variant
from nca_tf.environments.pommerman.opponents import sight
from nca_tf.environments.pommerman.opponents import simple_agent

_BOMB_SHARE = 0.08


class BlindAgents:
  """Draws every action of every agent from the same distribution."""

  def __init__(self, shares):
    """Takes the shares of the actions STOP to LAY_BOMB, which sum to 1."""
    shares = [checks.real('each of shares', share, 0, 1) for share in shares]
    if len(shares) != variants.ACTIONS or abs(sum(shares) - 1) > 1e-6:
      raise ValueError(
        f'shares must be {variants.ACTIONS} numbers that sum to 1, got {shares}'
      )
    self._sums = np.cumsum(shares)[:-1]

  def reset(self, where: np.ndarray | None = None):
    """Does nothing: these remember nothing."""

  def act(self, seen, rng: np.random.Generator, who=None) -> np.ndarray:
    """Chooses actions, as `simple_agent.SimpleAgents.act`."""
    shape = sight.shape(seen)
    actions = np.searchsorted(self._sums, rng.random(shape), 'right')
    return actions if who is None else actions * who


_EVEN = [1 / variants.ACTIONS] * variants.ACTIONS
_MOVING = [0, *[(1 - _BOMB_SHARE) / 4] * 4, _BOMB_SHARE]
_MAKERS = {
  'random': lambda variant: BlindAgents(_EVEN),
  'mostly_moving': lambda variant: BlindAgents(_MOVING),
  'simple': simple_agent.SimpleAgents,
}


def names() -> tuple[str, ...]:
  """Returns the names of all scripted players."""
  return tuple(_MAKERS)


def check_name(name: str) -> str:
  """Returns the name of scripted players, or raises ValueError."""
  if not isinstance(name, str) or name not in _MAKERS:
    raise ValueError(f'name must be one of {", ".join(_MAKERS)}, got {name!r}')
  return name


def make(name: str, variant: Variant):
  """Makes the players of all games of a variant.

  Args:
    name: 'random' (all six actions alike), 'mostly_moving' (moves at random, 8
      bombs in 100 actions) or 'simple'.
    variant: The rules.

  Returns:
    An object with the `act` and `reset` of `simple_agent.SimpleAgents`.

  Raises:
    ValueError: There is no such player.
  """
  return _MAKERS[check_name(name)](variant)
