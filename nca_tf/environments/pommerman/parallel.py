"""Pommerman for four (or two) learners, with the interface of PettingZoo's
parallel environments; PettingZoo itself is not needed.
"""

from collections.abc import Mapping

import numpy as np

from nca_tf import checks
from nca_tf.environments import game
from nca_tf.environments.pommerman import games as games_lib
from nca_tf.environments.pommerman import single_agent
from nca_tf.environments.pommerman import views
from nca_tf.environments.pommerman.engine import outcome as outcome_lib
from nca_tf.environments.pommerman.engine import variants


class ParallelPommerman:
  """All agents of one game act at once, by name: 'agent_0', ...

  Actions and observations are those of `single_agent.Pommerman`. Without
  teams, an agent that dies leaves `agents` with a last reward and `terminated`;
  in teams the dead stay, since their team may win; their actions are ignored.

  Example:
    >>> env = ParallelPommerman('PommeTeam-v0')
    >>> observations, infos = env.reset(seed=1)
    >>> while env.agents:
    ...   actions = {name: 5 for name in env.agents}
    ...   observations, rewards, ended, late, infos = env.step(actions)
  """

  metadata = {
    'name': 'pommerman_v0',
    'render_modes': list(single_agent.RENDER_MODES),
    'is_parallelizable': True,
  }

  def __init__(
    self,
    variant: str = 'PommeFFACompetition-v0',
    *,
    observation: str = 'vector',
    engine: str = 'native',
    time_limit: int = single_agent.SPEC.time_limit,
    render_mode: str | None = None,
  ):
    """Makes the environment; arguments as of `single_agent.Pommerman`."""
    self._variant = single_agent.make_rules(variant, time_limit)
    self._kind = observation
    self.render_mode = game.check_render_mode(
      render_mode, single_agent.RENDER_MODES
    )
    self._seats = {
      f'agent_{seat}': seat for seat in range(self._variant.agents)
    }
    self.possible_agents = list(self._seats)
    self.agents = []
    self.observation_spaces = {
      name: views.make_space(observation, self._variant) for name in self._seats
    }
    self.action_spaces = {
      name: single_agent.make_action_space(self._variant)
      for name in self._seats
    }
    self._games = games_lib.make(engine, self._variant, 1)
    self._rng = None
    self._begun = False

  @property
  def unwrapped(self) -> 'ParallelPommerman':
    """Itself."""
    return self

  @property
  def num_agents(self) -> int:
    """How many agents still play."""
    return len(self.agents)

  @property
  def max_num_agents(self) -> int:
    """How many agents begin."""
    return len(self.possible_agents)

  def observation_space(self, agent: str):
    """Returns the space of an agent's observations."""
    return self.observation_spaces[agent]

  def action_space(self, agent: str):
    """Returns the space of an agent's actions."""
    return self.action_spaces[agent]

  def reset(self, seed: int | None = None, options=None):
    """Starts a game; returns observations and infos by agent."""
    seed = game.check_reset(seed, options)
    if seed is not None or self._rng is None:
      self._rng = np.random.default_rng(seed)
    self._begun = True
    seen = self._games.reset(self._rng)
    self.agents = list(self.possible_agents)
    return self._observe(seen), self._inform(seen)

  def step(self, actions: dict):
    """Plays a step.

    Args:
      actions: One for each of `agents`.

    Returns:
      Observations, rewards, terminations, truncations and infos, dicts by
      agent, of those who played.

    Raises:
      ResetNeeded: The game is over, or none has begun since `close`.
      ValueError: An agent's action is missing or wrong.
    """
    self._need_game('step')
    if not self.agents:
      raise game.ResetNeeded('the game is over: call reset() before step()')
    if not isinstance(actions, Mapping) or set(actions) != set(self.agents):
      given = checks.shorten(actions)
      if isinstance(actions, Mapping):
        given = ', '.join(map(str, actions)) or 'none'
      raise ValueError(
        f'actions must be of {", ".join(self.agents)}, got {given}'
      )
    variant = self._variant
    moves = np.zeros((1, variant.agents), np.int64)
    words = np.zeros((1, variant.agents, variants.WORDS), np.int64)
    for name, action in actions.items():
      seat = self._seats[name]
      moves[:, seat], said = single_agent.split_action(action, variant)
      words[:, seat] = 0 if said is None else said
    outcome = self._games.step(moves, words if variant.radio else None)
    seen = outcome.observations
    over = outcome_lib.is_decided(seen['alive'], variant)[0]
    late = seen['step_count'][0] >= variant.max_steps
    rewards, ended, truncated = {}, {}, {}
    for name in self.agents:
      seat = self._seats[name]
      rewards[name] = float(outcome.rewards[0, seat])
      left = not variant.teams and not seen['alive'][0, seat]
      ended[name] = bool(over or left)
      truncated[name] = bool(late and not ended[name])
    seen, infos = self._observe(seen), self._inform(seen)
    self.agents = [
      name for name in self.agents if not (ended[name] or truncated[name])
    ]
    return seen, rewards, ended, truncated, infos

  def render(self):
    """Returns the whole board: uint8 [320, 320, 3], or text.

    Raises:
      ResetNeeded: There is none since the beginning or `close`.
    """
    self._need_game('render')
    if self.render_mode is None:
      return None
    return single_agent.draw(self._games.show(), 0, self.render_mode)

  def close(self):
    """Drops the game; `reset` may start another one."""
    self.agents = []
    self._begun = False

  def _need_game(self, call):
    if not self._begun:
      raise game.ResetNeeded(f'call reset() before {call}()')

  def _observe(self, seen):
    return {
      name: views.first(
        views.make(self._kind, seen, self._seats[name], self._variant)
      )
      for name in self.agents
    }

  def _inform(self, seen):
    tics = int(seen['step_count'][0])
    return {name: {'tics': tics} for name in self.agents}
