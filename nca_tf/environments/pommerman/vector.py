"""Pommerman for one learner, many games in one step."""

from collections.abc import Sequence

import gymnasium
import numpy as np

from nca_tf import checks
from nca_tf.environments import game
from nca_tf.environments.pommerman import match
from nca_tf.environments.pommerman import single_agent
from nca_tf.environments.pommerman import views


class PommermanVector(gymnasium.vector.VectorEnv):
  """G games of `single_agent.Pommerman` side by side.

  A game that is over starts again with the next step, whose action in that
  game is ignored and whose reward is 0: Gymnasium's NEXT_STEP.

  Example:
    >>> env = PommermanVector(1024, opponents='simple', observation='vector')
    >>> observations, infos = env.reset(seed=1)  # [1024, 372]
    >>> observations, rewards, *ends, infos = env.step(actions)
  """

  metadata = {'autoreset_mode': gymnasium.vector.AutoresetMode.NEXT_STEP}

  def __init__(
    self,
    num_envs: int,
    *,
    variant: str = 'PommeFFACompetition-v0',
    opponents: str | Sequence[str] = 'simple',
    agent: int = 0,
    observation: str = 'vector',
    engine: str = 'native',
    time_limit: int = single_agent.SPEC.time_limit,
  ):
    """Makes the games; the arguments are those of `single_agent.Pommerman`."""
    self.num_envs = num_envs = checks.integer('num_envs', num_envs, 1)
    rules = single_agent.make_rules(variant, time_limit)
    self.single_observation_space = views.make_space(observation, rules)
    self.single_action_space = single_agent.make_action_space(rules)
    batch = gymnasium.vector.utils.batch_space
    self.observation_space = batch(self.single_observation_space, num_envs)
    self.action_space = batch(self.single_action_space, num_envs)
    self._kind = observation
    self._match = match.Match(rules, num_envs, agent, opponents, engine)
    self._over = None

  def reset(self, *, seed: int | None = None, options=None):
    """Starts all games; `seed`, where given, determines them wholly."""
    super().reset(seed=game.check_reset(seed, options))
    self.closed = False
    self._match.reset(self.np_random)
    self._over = np.zeros(self.num_envs, bool)
    return self._match.view(self._kind), self._inform()

  def step(self, actions):
    """Plays one step of every game that goes on.

    Raises:
      ResetNeeded: `reset` was not called since the beginning or `close`.
      ValueError: The actions are not in the action space.
    """
    self._match.need_games('step')
    values = self._check(actions)
    fresh = self._over
    words = values[:, 1:] if values.ndim == 2 else None
    moves = values if words is None else values[:, 0]
    turn = self._match.step(moves, self.np_random, words)
    reward, terminated, truncated = turn
    if fresh.any():
      self._match.restart(fresh, self.np_random)
      reward[fresh], terminated[fresh], truncated[fresh] = 0.0, False, False
    self._over = terminated | truncated
    seen = self._match.view(self._kind)
    return seen, reward, terminated, truncated, self._inform()

  def close_extras(self, **unused):
    """Drops the games; `reset` may start others."""
    self._match.close()

  def _check(self, actions):
    """Returns integers of the action space, before anybody plays."""
    shape = self.action_space.shape
    values = game.to_array(actions)
    if values.shape != shape or values.dtype.kind not in 'iu':
      raise ValueError(
        f'actions must be integers of shape {shape}, got {values.dtype} of '
        f'shape {values.shape}'
      )
    first, last = self.action_space.start, self.action_space.nvec
    wrong = (values < first) | (values >= first + last)
    if wrong.any():
      raise ValueError(
        f'actions must be in {self.single_action_space}, got {values[wrong][0]}'
      )
    return values.astype(np.int64)

  def _inform(self):
    return {'tics': self._match.observations['step_count'].copy()}
