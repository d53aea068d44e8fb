"""Gymnasium games of the tests: `gym:gym_test_games:Pictures-v0` and so on."""

import gymnasium
import numpy as np
from gymnasium import spaces

OBSERVATIONS = {
  'grey': spaces.Box(0, 255, (24, 40), np.uint8),
  'grey1': spaces.Box(0, 255, (24, 40, 1), np.uint8),
  'colours': spaces.Box(0, 255, (96, 80, 3), np.uint8),
  'stack': spaces.Box(0, 255, (4, 84, 84), np.uint8),
  'bytes': spaces.Box(0, 255, (128,), np.uint8),
  'codes': spaces.Box(0, 255, (7, 7, 3), np.uint8),
  'box': spaces.Box(-np.inf, np.inf, (3,), np.float32),
  'matrix': spaces.Box(-1, 1, (2, 3), np.float64),
  'large': spaces.Box(-1, 1, (100, 100), np.float32),
  'discrete': spaces.Discrete(5, start=2),
  'switches': spaces.MultiBinary(4),
  'several': spaces.MultiDiscrete([2, 3]),
  'dict': spaces.Dict(
    {'a': spaces.Box(0, 1, (2,), np.float32), 'b': spaces.Discrete(3)}
  ),
  'tuple': spaces.Tuple((spaces.Discrete(2), spaces.MultiBinary(3))),
  'pictures': spaces.Dict({'a': spaces.Box(0, 255, (64, 64, 3), np.uint8)}),
  'sequence': spaces.Sequence(spaces.Discrete(2)),
}
ACTIONS = {
  'discrete': spaces.Discrete(3, start=5),
  'box': spaces.Box(np.float32([0, -4]), np.float32([2, 4]), dtype=np.float32),
  'one': spaces.Box(-2, 2, (1,), np.float32),
  'scalar': spaces.Box(0, 4, (), np.float64),
  'matrix': spaces.Box(-1, 1, (2, 2), np.float32),
  'endless': spaces.Box(-np.inf, np.inf, (2,), np.float32),
  'huge': spaces.Box(-3e38, 3e38, (2,), np.float32),
  'whole': spaces.Box(0, 9, (2,), np.int32),
  'several': spaces.MultiDiscrete([2, 3]),
  'switches': spaces.MultiBinary(2),
  'dict': spaces.Dict({'a': spaces.Discrete(2)}),
  'tuple': spaces.Tuple((spaces.Discrete(2),)),
}


class Spaces(gymnasium.Env):
  """Observes noise of a space, takes actions of another, and prints.

  The actions that it got are in `actions`; the reward is their sum.
  """

  metadata = {'render_modes': [], 'render_fps': 12}
  actions = []  # Of all games of the process.

  def __init__(
    self, observation='box', action='discrete', cut=0, bad='', noisy=True
  ):
    """Takes names of spaces, a step at which it cuts itself, and a fault."""
    if bad == 'start':
      raise OSError('the\nscreen is broken')
    self.observation_space = OBSERVATIONS[observation]
    self.action_space = ACTIONS[action]
    self._cut, self._bad, self._noisy = cut, bad, noisy
    self._steps = 0
    print('hello from a game')

  def reset(self, *, seed=None, options=None):
    """Starts an episode."""
    super().reset(seed=seed)
    del options
    if self._noisy:
      print('reset')
    self._steps = 0
    return self._observe(), {}

  def step(self, action):
    """Plays a step; one in thirty is the last."""
    if self._noisy:
      print('step')
    if self._bad == 'step' and self._steps == 4:
      raise KeyError('no\nkey')
    if not self.action_space.contains(action):
      raise TypeError(f'a stranger got {action!r}')
    self.actions.append(action)
    self._steps += 1
    reward = float(np.sum(action))
    if self._bad == 'reward':
      reward = np.inf
    terminated = self.np_random.random() < 1 / 30
    truncated = self._steps == self._cut
    return self._observe(), reward, terminated, truncated, {}

  def _observe(self):
    space = self.observation_space
    if (self._bad, self._steps) in (('observation', 2), ('observation_0', 0)):
      return np.full(space.shape, np.nan, np.float32)
    if (self._bad, self._steps) in (('shape', 2), ('shape_0', 0)):
      return np.zeros(5, np.float32)
    if (self._bad, self._steps) == ('ragged', 2):
      return [[0.0], [1.0, 2.0]]
    if isinstance(space, spaces.Box) and space.dtype == np.float32:
      return self.np_random.standard_normal(space.shape).astype(np.float32)
    space.seed(int(self.np_random.integers(2**31)))
    return space.sample()


class Pictures(Spaces):
  """The same that shows grey pictures, without a time limit."""

  def __init__(self):
    """Makes it."""
    super().__init__('grey', 'discrete')


for _name, _class, _limit in (
  ('Spaces', 'Spaces', 60),
  ('Pictures', 'Pictures', None),
  ('Endless', 'Spaces', None),
):
  if f'{_name}-v0' not in gymnasium.registry:
    gymnasium.register(
      f'{_name}-v0', f'gym_test_games:{_class}', max_episode_steps=_limit
    )
