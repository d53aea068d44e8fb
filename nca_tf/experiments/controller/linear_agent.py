"""A linear controller on what a game itself says: no V and no M.

Letters: B batch, N numbers of an observation, P parameters, K candidates.
"""

import gymnasium
import keras
import numpy as np
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.agents import actions
from nca_tf.agents import evaluation
from nca_tf.agents import tf_agents
from nca_tf.agents import vector_bridge
from nca_tf.experiments.agents import arenas
from nca_tf.experiments.agents import settings as agent_settings
from nca_tf.experiments.controller import settings
from nca_tf.world_model import controller as controller_lib
from nca_tf.world_model import standardiser

_LANES, _STEPS = 64, 128  # Of random play, for the scale of observations.


class LinearAgent:
  """Acts by parameters that are replaced at will, as a policy of TF-Agents.

  What it sees is standardised by the mean and the deviation of random play.

  Attributes:
    controller: The LinearController.
    network: A Keras layer with all weights; `parameters` are float32 [P].
    candidates: What `action` acts by, float32 [B, P], or [1, P] for all lanes.
  """

  moments = None  # Of its own: `network` has them.

  def __init__(self, spec: tf.TensorSpec, action_space: gymnasium.Space):
    """Takes what it sees, float32 [N], and the space of a Discrete or Box."""
    self.time_step_spec = tf_agents.time_step_spec(spec)
    self._kind = actions.make(action_space)
    self.action_spec = self._kind.spec
    self._is_box = isinstance(action_space, gymnasium.spaces.Box)
    count = 0 if self._is_box else int(action_space.n)
    self.controller = controller_lib.LinearController(
      {'observation': spec.shape[0]},
      count,
      'continuous' if self._is_box else 'discrete',
      components=action_space.shape[0] if self._is_box else 1,
      ordered=count == 2,  # One row of weights tells two actions apart.
    )
    self.network = _Weights(spec.shape[0], self.controller.size)
    zeros = tf.zeros([1, self.controller.size])
    self.candidates = tf.Variable(zeros, shape=[None, zeros.shape[1]])

  def initial_state(self, batch) -> list:
    """Returns the flat state: there is none."""
    del batch
    return []

  def get_initial_state(self, batch_size) -> tuple:
    """Returns the state as TF-Agents has it: there is none."""
    del batch_size
    return ()

  def act(self, observation, is_first, state) -> tuple[tf.Tensor, list]:
    """Acts by the network's parameters, as `PPOAgent.act` does."""
    del is_first
    own = tf.convert_to_tensor(self.network.parameters)[None]
    return self._follow(observation, own), state

  def action(self, time_step, policy_state=(), seed=None):
    """Acts by the candidates, as a policy of TF-Agents does."""
    del seed
    action = self._follow(time_step.observation, self.candidates)
    return tf_agents.PolicyStep(action, policy_state)

  def _follow(self, observation, parameters):
    z, _ = self.network.standardiser.encode(observation)
    found = self.controller.act(parameters, {'observation': z})
    if not self._is_box:
      return tf.cast(found, self.action_spec.dtype)
    low, high = self.action_spec.minimum, self.action_spec.maximum
    found = tf.reshape(found, [-1, *self.action_spec.shape])
    return low + (found + 1) / 2 * (high - low)


class _Weights(keras.layers.Layer):
  """All that a linear agent knows."""

  cell = None

  def __init__(self, numbers, parameters):
    super().__init__(trainable=False, name='linear')
    self.standardiser = standardiser.Standardiser(numbers)
    self.standardiser.build()
    self.parameters = self.add_weight(
      shape=(parameters,), initializer='zeros', name='parameters'
    )
    self.built = True


class Candidates:
  """Plays many linear controllers side by side in one environment.

  Attributes:
    agent: The LinearAgent.
    time_limit: Of an episode, in steps.
    options: Of the game in which a player meets the same.
  """

  def __init__(self, env: str, seed: int, **options):
    """Looks at random play for the scale of what it sees.

    Args:
      env: Where train_agent trains.
      seed: Of that play.
      **options: Of the environment, as train_agent has them.

    Raises:
      faults.UsageError: There is none, or a linear controller cannot read it.
    """
    self._arena = arenas.get(env)
    self._config = agent_settings.Config(env=env, **options)
    self._games = {}
    environment = self._arena.make(self._config, _LANES)
    settings.check_spaces(env, environment)
    spec = vector_bridge.get_observation_spec(environment.observation_space)
    self.agent = LinearAgent(spec, environment.action_space)
    self.time_limit = environment.time_limit
    self.options = self._arena.options(self._config, environment)
    seen = _play_at_random(environment, seed)
    seen = seen.reshape(-1, seen.shape[-1])
    self.agent.network.standardiser.fit(seen.mean(0), seen.std(0))

  def play(
    self, parameters: np.ndarray, episodes: int, seed: int
  ) -> evaluation.Played:
    """Plays the same number of episodes with each of parameters [K, P].

    Returns:
      Returns and lengths [K, episodes]; actions [T, K episodes, ...].
    """
    count = len(parameters)
    lanes = count * episodes
    if lanes not in self._games:
      environment = self._arena.make(self._config, lanes)
      self._games[lanes] = evaluation.Episodes(environment, self.agent, lanes)
    self.agent.candidates.assign(np.repeat(parameters, episodes, 0))
    played = self._games[lanes].play(seed)
    return played._replace(
      returns=played.returns.reshape(count, episodes).astype(np.float64),
      lengths=played.lengths.reshape(count, episodes),
    )


def _play_at_random(environment, seed):
  """Observations of random actions, [T, B, N]."""
  rng = random_numbers.generator(seed, 'random play')

  def key(purpose, step):
    return random_numbers.key(seed, f'{purpose} of random play', step)

  kind = actions.make(environment.action_space).spec
  state, observation = environment.reset(_LANES, key('resets', 0))
  seen = [observation.numpy()]
  for step in range(_STEPS):
    if kind.dtype.is_floating:
      shape = (_LANES, *kind.shape)
      drawn = rng.uniform(kind.minimum, kind.maximum, shape)
    else:
      drawn = rng.integers(kind.maximum + 1, size=_LANES)
    state, observation, *_ = environment.step(
      state, tf.constant(drawn, kind.dtype), key('steps', step)
    )
    seen.append(observation.numpy())
  return np.stack(seen)
