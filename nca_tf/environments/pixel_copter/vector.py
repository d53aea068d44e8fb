"""PixelCopter for learners: many games in one step."""

import gymnasium
import numpy as np

from nca_tf import checks
from nca_tf.environments import game
from nca_tf.environments.pixel_copter import drawing
from nca_tf.environments.pixel_copter import engine
from nca_tf.environments.pixel_copter import pixel_copter


class PixelCopterVector(gymnasium.vector.VectorEnv):
  """G games of `pixel_copter.PixelCopter` side by side, one frame per step.

  A game that is over starts again with the next step, whose action in that
  game is ignored and whose reward is 0: Gymnasium's NEXT_STEP.

  Example:
    >>> env = PixelCopterVector(1024, observation='features')
    >>> observations, infos = env.reset(seed=1)  # [1024, 7]
    >>> observations, rewards, *ends, infos = env.step(actions)
  """

  metadata = {'autoreset_mode': gymnasium.vector.AutoresetMode.NEXT_STEP}

  def __init__(
    self,
    num_envs: int,
    *,
    observation: str = 'frames',
    rounding: str = 'trunc',
    time_limit: int = pixel_copter.SPEC.time_limit,
  ):
    """Makes the games; the arguments are those of `PixelCopter`.

    Raises:
      ValueError: An argument is out of range.
    """
    self.num_envs = checks.integer('num_envs', num_envs, 1)
    self.single_observation_space = pixel_copter.make_space(observation)
    self.single_action_space = gymnasium.spaces.Discrete(2)
    batch = gymnasium.vector.utils.batch_space
    count = self.num_envs
    self.observation_space = batch(self.single_observation_space, count)
    self.action_space = batch(self.single_action_space, count)
    self._time_limit = checks.integer('time_limit', time_limit, 1, game.LONGEST)
    self._rules = engine.Rules(rounding=rounding)
    self._see = (
      engine.get_features if observation == 'features' else drawing.draw
    )
    self._state = None

  def reset(self, *, seed: int | None = None, options=None):
    """Starts all games; `seed`, where given, determines them wholly."""
    super().reset(seed=game.check_reset(seed, options))
    self.closed = False
    seeds = self.np_random.integers(2**32, size=self.num_envs)
    self._state = engine.start(
      self._rules, [engine.make_random(int(each)) for each in seeds]
    )
    self._tics = np.zeros(self.num_envs, np.int64)
    self._over = np.zeros(self.num_envs, bool)
    return self._see(self._state), self._inform()

  def step(self, actions):
    """Plays one step of every game that goes on.

    Raises:
      ResetNeeded: `reset` was not called since the beginning or `close`.
      ValueError: The actions are not in the action space.
    """
    if self._state is None:
      raise game.ResetNeeded('call reset() before step()')
    actions = game.to_array(actions)
    if actions.shape != (self.num_envs,) or actions.dtype.kind not in 'iu':
      raise ValueError(
        f'actions must be integers of shape ({self.num_envs},), got '
        f'{actions.dtype} of shape {actions.shape}'
      )
    if np.any((actions != engine.UP) & (actions != engine.NONE)):
      raise ValueError(
        f'actions must be 0 or 1, got {actions.min()} to {actions.max()}'
      )
    fresh = self._over
    reward = engine.step(self._state, actions)
    self._tics += 1
    if fresh.any():
      engine.restart(self._state, np.flatnonzero(fresh))
      reward[fresh], self._tics[fresh] = 0.0, 0
    terminated = self._state.is_over
    truncated = ~terminated & (self._tics >= self._time_limit)
    self._over = terminated | truncated
    return (
      self._see(self._state),
      reward,
      terminated,
      truncated,
      self._inform(),
    )

  def close_extras(self, **unused):
    """Ends all games; `reset` starts others."""
    self._state = None

  def _inform(self):
    return {'tics': self._tics.copy(), 'score': self._state.score.copy()}
