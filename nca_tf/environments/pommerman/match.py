"""G games of one learner against scripted players."""

import typing
from collections.abc import Sequence

import numpy as np

from nca_tf import checks
from nca_tf.environments import game
from nca_tf.environments.pommerman import games as games_lib
from nca_tf.environments.pommerman import opponents
from nca_tf.environments.pommerman import views
from nca_tf.environments.pommerman.engine import outcome as outcome_lib
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.variants import Variant


class Turn(typing.NamedTuple):
  """What a step gave to the learner, in G games."""

  reward: np.ndarray  # [G] float64
  terminated: np.ndarray  # [G] bool, the game is decided, or its agent dead
  truncated: np.ndarray  # [G] bool, no step is left


class Match:
  """Plays one agent's actions against scripted players.

  match = Match(variant, 64, agent=0, players='simple')
  observations = match.reset(rng)
  turn = match.step(actions, rng)  # actions: [G]
  """

  def __init__(
    self,
    variant: Variant,
    games: int,
    agent: int = 0,
    players: str | Sequence[str] = 'simple',
    engine: str = 'native',
  ):
    """Checks the arguments and makes the games.

    Args:
      variant: The rules; without teams, the agent's death ends its game.
      games: G.
      agent: The seat of the learner.
      players: `opponents.names()`, one for all others or one for each of them
        in the order of their seats.
      engine: 'native' or 'package'.

    Raises:
      ImportError: The original engine is wanted and not installed.
      ValueError: An argument is wrong.
    """
    agent = checks.integer('agent', agent, 0, variant.agents - 1)
    others = variant.agents - 1
    names = [players] * others if isinstance(players, str) else players
    if not isinstance(names, Sequence) or len(names) != others:
      given = len(names) if isinstance(names, Sequence) else repr(names)
      raise ValueError(f'opponents must be one name or {others}, got {given}')
    self.variant = variant
    self.agent = agent
    seats = [*names[:agent], None, *names[agent:]]
    self._players = {  # Each with its seats, [A] bool.
      name: (
        opponents.make(name, variant),
        np.array([who == name for who in seats]),
      )
      for name in dict.fromkeys(map(opponents.check_name, names))
    }
    self.games = games_lib.make(engine, variant, games)
    self.observations = None

  def reset(self, rng: np.random.Generator) -> dict:
    """Starts all games; returns observations [G, A, ...]."""
    for player, _ in self._players.values():
      player.reset()
    self.observations = self.games.reset(rng)
    return self.observations

  def restart(self, where: np.ndarray, rng: np.random.Generator) -> dict:
    """Starts games [G] bool again; returns the observations of all."""
    self.need_games('restart')
    for player, _ in self._players.values():
      player.reset(where)
    self.observations = self.games.restart(where, rng)
    return self.observations

  def step(
    self,
    actions: np.ndarray,
    rng: np.random.Generator,
    words: np.ndarray | None = None,
  ) -> Turn:
    """Plays a step of all games.

    Args:
      actions: [G] integers, 0 to 5.
      rng: Source of the players' choices.
      words: [G, 2] for the teammate, in the radio variants; scripted players
        send zeros.

    Raises:
      ResetNeeded: `reset` was not called since the beginning or `close`.
    """
    self.need_games('step')
    seen = self.observations
    everyone = np.zeros(seen['alive'].shape, np.int64)
    for player, seats in self._players.values():
      everyone += player.act(seen, rng, seen['alive'] & seats)
    everyone[:, self.agent] = actions
    messages = None
    if self.variant.radio:
      shape = (*everyone.shape, variants.WORDS)
      messages = np.zeros(shape, np.int64)
      if words is not None:
        messages[:, self.agent] = words
    outcome = self.games.step(everyone, messages)
    self.observations = outcome.observations
    decided = outcome_lib.is_decided(self.observations['alive'], self.variant)
    if not self.variant.teams:
      decided |= ~self.observations['alive'][:, self.agent]
    late = self.observations['step_count'] >= self.variant.max_steps
    reward = outcome.rewards[:, self.agent].astype(np.float64)
    return Turn(reward, decided, late & ~decided)

  def close(self):
    """Drops the games; `reset` may start others."""
    self.observations = None

  def need_games(self, call: str):
    """Raises ResetNeeded, which names the caller, where no game has begun."""
    if self.observations is None:
      raise game.ResetNeeded(f'call reset() before {call}()')

  def view(self, kind: str):
    """Returns what the learner sees now, of `views.KINDS`."""
    self.need_games('view')
    return views.make(kind, self.observations, self.agent, self.variant)
