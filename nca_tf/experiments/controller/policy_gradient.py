"""A controller that follows the policy gradient in one world model's dream.

PPO on the controller's own sums, with noise that training makes smaller as it
likes; without the noise they are the controller of `world_model.controller`.
The critic reads what the controller reads.
"""

import keras
import numpy as np
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.agents import collector as collector_lib
from nca_tf.agents import tf_agents
from nca_tf.agents.ppo import agent as ppo
from nca_tf.experiments.controller import dream_agent
from nca_tf.experiments.controller import search

LANES, STEPS = 384, 32  # Of a window of play.
WINDOWS = 2  # Per generation.
_EPOCHS, _MINIBATCHES = 3, 24
_RATE, _LAST_RATE = 3e-3, 3e-4
_FORESIGHT = 3.8  # Seconds; later rewards count less than 1/e of the next.


class PolicyGradient(search.Search):
  """A search by PPO. A generation is so many windows of play and learning."""

  def _begin(self, controller, config, folder, name, x0=None):
    seed = random_numbers.derive(config.seed, f'policy gradient {name}')
    dream = self.world_model.dream(config.temperature, config.fitness)
    game = dream_agent.DreamGame(dream, controller)
    steps = max(_FORESIGHT * self.world_model.spec.steps_per_second, 1)
    stream = ppo.EXTRINSIC._replace(discount=1 - 1 / steps)
    with random_numbers.weights(seed, 'agent'):
      network = dream_agent.DreamActor(controller)
    updates = config.generations * WINDOWS * _EPOCHS * _MINIBATCHES
    settings = ppo.Settings(
      learning_rate=keras.optimizers.schedules.PolynomialDecay(
        _RATE, updates, _LAST_RATE
      ),
      epochs=_EPOCHS,
      minibatches=_MINIBATCHES,
      entropy=0.002,
      normalizes=False,
    )
    self._agent = ppo.PPOAgent(
      tf_agents.time_step_spec(
        tf.TensorSpec(game.observation_space.shape, tf.float32)
      ),
      dream_agent.NoisyActions(controller),
      network,
      (stream,),
      settings,
      seed,
    )
    self._collector = collector_lib.Collector(game, self._agent, LANES, seed)
    self._new = self._to_arrays()
    super()._begin(controller, config, folder, name, x0)

  @property
  def generation(self) -> int:
    """Generations that are finished."""
    return int(self._agent.train_step_counter) // WINDOWS

  @property
  def current(self) -> np.ndarray:
    """The controller's weights [n]."""
    return self._agent.network.weights_of_controller.numpy()

  def draw(self, mean, index: int) -> np.ndarray:
    """Candidate `index`, [n]: `mean` with a tenth of its size as noise."""
    purpose = f'varied candidates {self._name}'
    rng = random_numbers.generator(self._config.seed, purpose, index)
    size = np.sqrt(np.mean(np.square(mean)))
    return mean + 0.1 * size * rng.standard_normal(len(mean))

  def _make_step(self):
    learn = tf.function(self._learn, autograph=False)
    scale = float(self.world_model.spec.survived_step)

    def step(players):
      del players
      rows = [learn() for _ in range(WINDOWS)]
      figures = {
        name: float(np.mean([row[name] for row in rows])) for name in rows[0]
      }
      reward = figures.pop('reward')
      # What a lane lives on the average, where rewards are deaths.
      figures['mean'] = scale / max(-reward, 1e-6) if reward < 0 else reward
      return figures

    return step

  def _learn(self):
    """Plays a window and learns from it; returns scalars."""
    window = self._collector.collect(STEPS)
    experience = window.experience
    info = self._agent.train(
      experience, state=window.state, final_values=window.final_values
    )
    is_step = tf.cast(~experience.is_boundary(), tf.float32)
    reward = tf.reduce_sum(experience.reward * is_step) / tf.reduce_sum(is_step)
    temperature = tf.exp(self._agent.network.log_temperature.value[0])
    names = 'entropy', 'kl', 'explained_variance'
    figures = {name: info.extra[name] for name in names}
    return {'reward': reward, 'temperature': temperature, **figures}

  @property
  def _variables(self):
    agent, collector = self._agent, self._collector
    found = [*agent.network.variables, *agent.optimizer.variables]
    found += [agent.train_step_counter, *collector.carry, collector.steps]
    return {f'{index:03d}': variable for index, variable in enumerate(found)}

  def _to_arrays(self):
    return {
      name: np.asarray(variable) for name, variable in self._variables.items()
    }

  def _take_arrays(self, path):
    self._assign(search.read_arrays(path, self._new))

  def _assign(self, arrays):
    for name, variable in self._variables.items():
      variable.assign(arrays[name])

  def _start(self):
    self._assign(self._new)
    self._agent.network.weights_of_controller.assign(self._x0)
