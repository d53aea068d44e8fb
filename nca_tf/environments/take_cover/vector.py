"""Take Cover for learners: many engines, all of them stepped at a time."""

from concurrent import futures

import gymnasium
import numpy as np

from nca_tf import checks
from nca_tf.environments import game
from nca_tf.environments.take_cover import take_cover


class TakeCoverVector(gymnasium.vector.VectorEnv):
  """G games of `take_cover.TakeCover` side by side, a process each.

  Threads wait for the engines, so that these use all cores. A game that is over
  starts again with the next step, whose action in that game is ignored and
  whose reward is 0: Gymnasium's NEXT_STEP.

  Example:
    >>> env = TakeCoverVector(8)
    >>> observations, infos = env.reset(seed=1)  # uint8 [8, 64, 64, 3]
    >>> observations, rewards, *ends, infos = env.step(actions)

  Attributes:
    time_limit: Tics after which an episode is truncated.
  """

  metadata = {'autoreset_mode': gymnasium.vector.AutoresetMode.NEXT_STEP}

  def __init__(
    self, num_envs: int, *, time_limit: int = take_cover.SPEC.time_limit
  ):
    """Makes the games; `time_limit` is that of `TakeCover`.

    Raises:
      ImportError: ViZDoom is not installed.
      ValueError: An argument is out of range.
    """
    self.num_envs = checks.integer('num_envs', num_envs, 1)
    self.time_limit = time_limit
    self._games = [
      take_cover.TakeCover(time_limit=time_limit) for _ in range(num_envs)
    ]
    self.single_observation_space = self._games[0].observation_space
    self.single_action_space = self._games[0].action_space
    batch = gymnasium.vector.utils.batch_space
    self.observation_space = batch(self.single_observation_space, num_envs)
    self.action_space = batch(self.single_action_space, num_envs)
    self._threads = futures.ThreadPoolExecutor(num_envs, 'take_cover')
    self._over = None

  def reset(self, *, seed: int | None = None, options=None):
    """Starts all games; `seed`, where given, determines them wholly.

    Raises:
      GameCrashed, OSError, ValueError: As `TakeCover.reset`.
    """
    super().reset(seed=game.check_reset(seed, options))
    self.closed = False
    seeds = self.np_random.integers(2**63, size=self.num_envs)
    found = self._map(
      lambda one, seed: one.reset(seed=int(seed)), self._games, seeds
    )
    self._over = np.zeros(self.num_envs, bool)
    return np.stack([observation for observation, _ in found]), {}

  def step(self, actions):
    """Plays one step of every game that goes on.

    Raises:
      GameCrashed: An engine died; `reset` starts a new one.
      ResetNeeded: `reset` was not called since the beginning or `close`.
      ValueError: The actions are not in the action space.
    """
    if self._over is None:
      raise game.ResetNeeded('call reset() before step()')
    actions = game.to_array(actions)
    if len(actions) != self.num_envs:
      raise ValueError(
        f'actions must be {self.num_envs}, got {checks.shorten(actions)}'
      )
    found = self._map(self._step_one, self._games, actions, self._over)
    observations, rewards, terminated, truncated = map(
      np.array, zip(*found, strict=True)
    )
    self._over = terminated | truncated
    return observations, rewards, terminated, truncated, {}

  def close_extras(self, **unused):
    """Ends all engines; `reset` starts others."""
    self._over = None
    self._map(take_cover.TakeCover.close, self._games)

  def _step_one(self, one, action, is_over):
    if is_over:
      return one.reset()[0], 0.0, False, False
    return one.step(action)[:4]

  def _map(self, function, *arguments):
    return list(self._threads.map(function, *arguments))
