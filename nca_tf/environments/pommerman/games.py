"""G games of Pommerman behind one interface, whichever engine plays them."""

import dataclasses

import numpy as np

from nca_tf import checks
from nca_tf.environments.pommerman import original
from nca_tf.environments.pommerman.engine import engine
from nca_tf.environments.pommerman.engine import observation
from nca_tf.environments.pommerman.engine.outcome import Outcome
from nca_tf.environments.pommerman.engine.variants import Variant


class NativeGames:
  """Games on our engine, side by side."""

  def __init__(self, variant: Variant, games: int):
    """Takes the rules and G; `reset` starts the games."""
    self.variant = variant
    self._games = checks.integer('games', games, 1)
    self._state = None

  def reset(self, rng: np.random.Generator) -> dict:
    """Starts all games on new boards; returns observations [G, A, ...]."""
    self._state = engine.reset(self.variant, self._games, rng)
    return observation.observe(self._state)

  def restart(self, where: np.ndarray, rng: np.random.Generator) -> dict:
    """Starts games [G] bool on new boards; returns all observations."""
    engine.restart(self._state, where, rng)
    return observation.observe(self._state)

  def step(self, actions: np.ndarray, messages=None) -> Outcome:
    """Plays a step, as `engine.step`, and observes."""
    return engine.step(self._state, actions, messages, observe=True)

  def show(self) -> dict:
    """Returns observations without fog."""
    clear = dataclasses.replace(self.variant, view=None)
    return observation.observe(dataclasses.replace(self._state, variant=clear))


class PackageGames:
  """Games on the original's engine, one after the other."""

  def __init__(self, variant: Variant, games: int):
    """Makes the games; ImportError where the package is not installed."""
    self.variant = variant
    games = checks.integer('games', games, 1)
    self._games = [original.make_game(variant) for _ in range(games)]
    self._seen = [None] * games

  def __reduce__(self):
    """Makes new games of the same kind: the original's cannot be copied."""
    if self._seen[0] is not None:
      raise TypeError(
        "games of engine 'package' cannot be pickled or copied once they have "
        "begun: make others with the same options, or take engine 'native'"
      )
    return PackageGames, (self.variant, len(self._games))

  def reset(self, rng: np.random.Generator) -> dict:
    """Starts all games on new boards; returns observations [G, A, ...]."""
    return self.restart(np.ones(len(self._games), bool), rng)

  def restart(self, where: np.ndarray, rng: np.random.Generator) -> dict:
    """Starts games [G] bool on new boards; returns all observations."""
    for number in np.flatnonzero(where):
      original.seed(int(rng.integers(2**32)))
      self._seen[number] = self._games[number].reset()
    return self._observe()

  def step(self, actions: np.ndarray, messages=None) -> Outcome:
    """Plays a step."""
    moves = actions.tolist()
    if messages is not None:
      moves = np.concatenate([actions[..., None], messages], -1).tolist()
    rewards, done = [], []
    for number, game in enumerate(self._games):
      self._seen[number], reward, over, _ = game.step(moves[number])
      rewards.append(reward)
      done.append(over)
    return Outcome(np.array(rewards), np.array(done), self._observe())

  def show(self) -> dict:
    """Returns observations without fog."""
    seen = [original.show(game) for game in self._games]
    return original.stack(seen, self.variant)

  def _observe(self):
    return original.stack(self._seen, self.variant)


ENGINES = {'native': NativeGames, 'package': PackageGames}


def make(name: str, variant: Variant, games: int):
  """Makes games on an engine: 'native', our own, or 'package', the original.

  Raises:
    ImportError: The original is wanted and not installed.
    ValueError: There is no such engine.
  """
  if not isinstance(name, str) or name not in ENGINES:
    raise ValueError(
      f'engine must be one of {", ".join(ENGINES)}, got {name!r}'
    )
  return ENGINES[name](variant, games)
