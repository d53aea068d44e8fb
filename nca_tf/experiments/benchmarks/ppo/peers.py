"""PPO in PyTorch and of stable-baselines3, in a process that answers requests.

`peer_server` runs this file in an environment that has torch and
stable-baselines3 but not this library, and finds its neighbours beside it.
"""

import sys
import time
import types

import numpy as np

_learners = {}


def start(name, seed, sizes, grid=None, units=(64, 64), memory=None):
  """Makes a learner.

  Args:
    name: 'torch', 'sb3', or 'cartpole defaults' and 'cartpole zoo', both of
      stable-baselines3 and with settings of their own.
    seed: Of its weights, actions and game.
    sizes: `settings.SIZES`.
    grid: Arguments of the grid; without them the game is the memory task.
    units: Of the dense layers.
    memory: Folder of pytorch-dnc, slots, words, heads and units; or None.

  Returns:
    {'weights': how many it has}.
  """
  import torch

  torch.set_num_threads(1)
  torch.manual_seed(seed)
  if name.startswith('cartpole'):
    learner = CartPole(name.removeprefix('cartpole '), seed)
  elif name == 'sb3':
    learner = Grid(seed, sizes, grid, units)
  else:
    learner = _make_torch(seed, sizes, grid, units, memory)
  _learners[name] = learner
  return {'weights': sum(p.numel() for p in learner.network.parameters())}


def advance(name, count):
  """Makes so many iterations; returns what each of them measured."""
  return [_learners[name].iterate() for _ in range(count)]


def _make_torch(seed, sizes, grid, units, memory):
  import numpy_games
  import torch_ppo

  if grid:
    game = numpy_games.Grid(lanes=sizes['lanes'], seed=seed, **grid)
  else:
    game = numpy_games.Recall(sizes['lanes'], seed, length=sizes['window'])
  cell = _make_dnc(units[-1], **memory) if memory else None
  network = torch_ppo.Network(game.shape, game.actions, units, cell)
  return torch_ppo.PPO(game, network, sizes)


def _make_dnc(inputs, folder, slots, words, heads, units):
  if folder not in sys.path:
    sys.path.insert(0, folder)
  # The package imports these for classes that are not used here.
  for name in ('faiss', 'flann', 'pyflann'):
    sys.modules.setdefault(name, types.ModuleType(name))
  import dnc

  return dnc.DNC(
    input_size=inputs,
    hidden_size=units,
    num_hidden_layers=1,
    nr_cells=slots,
    cell_size=words,
    read_heads=heads,
  )


class StableBaselines:
  """stable-baselines3's PPO, a window at a time.

  Attributes:
    network: Its policy.
  """

  def __init__(self, total, games, seed, **settings):
    """Takes how many steps are played in all, for rates that fall."""
    import stable_baselines3

    self._total = total
    self._model = stable_baselines3.PPO(
      'MlpPolicy', games, seed=seed, device='cpu', **settings
    )
    self.network = self._model.policy
    _, self._callback = self._model._setup_learn(total)

  def iterate(self):
    """Plays a window and learns from it; returns what was measured."""
    began = time.process_time()
    model, before = self._model, self._model.num_timesteps
    model.collect_rollouts(
      model.env, self._callback, model.rollout_buffer, model.n_steps
    )
    # At their end the rates would be 0, and the clip as well.
    done = min(model.num_timesteps, self._total - 1)
    model._update_current_progress_remaining(done, self._total)
    model.train()
    seconds = time.process_time() - began
    returns, episodes = self.take()
    return {
      'seconds': seconds,
      'steps': model.num_timesteps - before,
      'returns': returns,
      'episodes': episodes,
    }

  def take(self):
    """Returns the sum of returns of the episodes that ended, and how many."""
    raise NotImplementedError


class Grid(StableBaselines):
  """In the grid, with a trunk for both heads."""

  def __init__(self, seed, sizes, grid, units):
    """Takes what `start` has."""
    import torch

    games = _make_vector_game(grid, sizes['lanes'], seed)
    self.take = games.take
    super().__init__(
      sys.maxsize,
      games,
      seed,
      learning_rate=sizes['learning_rate'],
      n_steps=sizes['window'],
      batch_size=sizes['lanes'] * sizes['window'] // sizes['minibatches'],
      n_epochs=sizes['epochs'],
      gamma=sizes['discount'],
      gae_lambda=sizes['trace_decay'],
      clip_range=sizes['clip'],
      ent_coef=sizes['entropy'],
      vf_coef=0.5 * sizes['value_weight'],  # Its squared errors have no half.
      max_grad_norm=sizes['largest_gradient'],
      policy_kwargs={
        'features_extractor_class': _make_extractor(games.game.shape, units),
        'net_arch': [],
        'activation_fn': torch.nn.Tanh,
      },
    )


class CartPole(StableBaselines):
  """On CartPole-v1, with settings of its own.

  'defaults' are those of its class; 'zoo' those that its collection of tuned
  settings has for CartPole, whose rates fall to 0 within 100,000 steps.
  """

  _ZOO = {
    'n_steps': 32,
    'batch_size': 256,
    'gae_lambda': 0.8,
    'gamma': 0.98,
    'n_epochs': 20,
    'ent_coef': 0.0,
    'learning_rate': lambda left: 1e-3 * left,
    'clip_range': lambda left: 0.2 * left,
  }

  def __init__(self, kind, seed):
    """Takes 'defaults' or 'zoo'."""
    from stable_baselines3.common import env_util

    is_zoo = kind == 'zoo'
    games = env_util.make_vec_env('CartPole-v1', 8 if is_zoo else 1, seed)
    self._counted = [0] * games.num_envs
    super().__init__(100_000, games, seed, **(self._ZOO if is_zoo else {}))

  def take(self):
    """As above, by what its monitors have noted."""
    found = []
    for lane, game in enumerate(self._model.env.envs):
      returns = game.get_episode_rewards()
      found += returns[self._counted[lane] :]
      self._counted[lane] = len(returns)
    return float(sum(found)), len(found)


def _make_extractor(shape, units):
  import torch_ppo
  from stable_baselines3.common import torch_layers

  class Trunk(torch_layers.BaseFeaturesExtractor):
    def __init__(self, space):
      super().__init__(space, units[-1])
      self.layers = torch_ppo.make_trunk(shape, units)

    def forward(self, observation):
      return self.layers(observation)

  return Trunk


def _make_vector_game(grid, lanes, seed):
  import gymnasium
  import numpy_games
  from stable_baselines3.common import vec_env

  class Vector(vec_env.VecEnv):
    """The grid as stable-baselines3 has it; counts returns."""

    def __init__(self):
      self.game = game = numpy_games.Grid(lanes=lanes, seed=seed, **grid)
      self.sums, self.found = np.zeros(lanes), [0.0, 0]
      is_image = len(game.shape) == 3
      box = gymnasium.spaces.Box(
        0,
        255 if is_image else 1,
        game.shape,
        np.uint8 if is_image else np.float32,
      )
      super().__init__(lanes, box, gymnasium.spaces.Discrete(game.actions))

    def reset(self):
      return self.game.reset()

    def step_async(self, actions):
      self.chosen = actions

    def step_wait(self):
      seen, rewards, terminated, truncated = self.game.step(self.chosen)
      is_over, infos = terminated | truncated, [{} for _ in range(lanes)]
      self.sums += rewards
      for lane in np.flatnonzero(is_over):
        infos[lane] = {
          'terminal_observation': self.game.last[lane],
          'TimeLimit.truncated': bool(truncated[lane]),
        }
        self.found[0] += float(self.sums[lane])
        self.found[1] += 1
        self.sums[lane] = 0
      return seen, rewards, is_over, infos

    def take(self):
      found, self.found = self.found, [0.0, 0]
      return found

    def close(self):
      pass

    def get_attr(self, name, indices=None):
      return [None] * lanes

    def set_attr(self, name, value, indices=None):
      raise NotImplementedError

    def env_method(self, name, *arguments, indices=None, **others):
      raise NotImplementedError

    def env_is_wrapped(self, wrapper, indices=None):
      return [False] * lanes

  return Vector()
