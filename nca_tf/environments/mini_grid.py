"""MiniGrid's games as vectors: what the agent sees, without the text.

Chevalier-Boisvert et al., Minigrid & Miniworld (2023). Their observations are
dictionaries of a view [H, W, 3], indices of an object, its colour and its
state; of a direction; and of a text that never changes in a game of this
family. Here they are the view alone, one-hot, float32 [H W 20].
"""

import gymnasium
import numpy as np

FAMILY = 'MiniGrid-'
_COUNTS = (11, 6, 3)  # Objects, colours, states.


def owns(identifier: str) -> bool:
  """Whether an id of Gymnasium's is of this family, with or without package."""
  return identifier.rpartition(':')[2].startswith(FAMILY)


class View(gymnasium.ObservationWrapper):
  """One-hot views of a game, with the limit of steps that it has itself."""

  def __init__(self, env: gymnasium.Env):
    """Takes a game whose observations have an 'image'."""
    limit = getattr(env.unwrapped, 'max_steps', None)
    if limit:
      env = gymnasium.wrappers.TimeLimit(env, limit)
    super().__init__(env)
    cells = int(np.prod(env.observation_space['image'].shape[:2]))
    size = sum(_COUNTS)
    first = np.cumsum([0, *_COUNTS[:-1]])
    self._first = np.arange(cells)[:, None] * size + first  # [H W, 3]
    self.observation_space = gymnasium.spaces.Box(
      0, 1, (cells * size,), np.float32
    )

  def observation(self, observation):
    """Returns the vector of a dictionary."""
    indices = observation['image'].reshape(-1, len(_COUNTS))
    found = np.zeros(self.observation_space.shape, np.float32)
    found[(self._first + indices).ravel()] = 1
    return found
