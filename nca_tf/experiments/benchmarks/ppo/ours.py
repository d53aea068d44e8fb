"""This library's PPO, as the peers' process answers for theirs."""

import functools
import time

import gymnasium
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.agents import actions
from nca_tf.agents import collector as collector_lib
from nca_tf.agents import network
from nca_tf.agents import tf_agents
from nca_tf.agents import vector_bridge
from nca_tf.agents.ppo import agent as ppo
from nca_tf.memory import cells


class Learner:
  """PPO in an environment; see `iterate`.

  Attributes:
    weights: How many it has.
    agent: The PPOAgent.
    collector: Plays windows.
  """

  def __init__(
    self, environment, seed: int, sizes, units, memory=None, normalizes=False
  ):
    """Makes everything; nothing is traced before the first iteration.

    Args:
      environment: As in `agents.collector`, with spaces.
      seed: Of weights, actions and environment.
      sizes: `settings.SIZES`.
      units: Of the dense layers.
      memory: slots, words, heads and units of a DNC, or None.
      normalizes: Whether observations are normalised.
    """
    kind = actions.make(environment.action_space)
    with random_numbers.weights(seed, 'agent'):
      actor = network.ActorCritic(
        kind.size, 1, units, _make_cell(**memory) if memory else None
      )
    spec = vector_bridge.get_observation_spec(environment.observation_space)
    names = ('learning_rate', 'epochs', 'minibatches', 'clip', 'entropy')
    names += ('value_weight', 'trace_decay', 'largest_gradient')
    self.agent = ppo.PPOAgent(
      tf_agents.time_step_spec(spec),
      kind,
      actor,
      (ppo.EXTRINSIC._replace(discount=sizes['discount']),),
      ppo.Settings(
        **{name: sizes[name] for name in names}, normalizes=normalizes
      ),
      random_numbers.derive(seed, 'agent'),
    )
    seed = random_numbers.derive(seed, 'play')
    self.collector = collector_lib.Collector(
      environment, self.agent, sizes['lanes'], seed
    )
    self.weights = actor.count_params()
    self._window = sizes['window']
    self._iterate = tf.function(self._learn, autograph=False)
    self.collect = tf.function(self._collect, autograph=False)

  def iterate(self) -> dict:
    """Plays a window and learns from it.

    Returns:
      CPU seconds, of the first call those of tracing as well; steps of the
      environment, without the boundary steps between episodes; the sum of the
      returns of the episodes that ended, and how many did.
    """
    return _measure(self._iterate)

  def play(self) -> dict:
    """The same without learning."""
    return _measure(self.collect)

  def _collect(self):
    window = self.collector.collect(self._window)
    is_step = tf.cast(~window.experience.is_boundary(), tf.int32)
    return tf.reduce_sum(is_step), window.returns, window

  def _learn(self):
    steps, returns, window = self._collect()
    info = self.agent.train(
      window.experience, state=window.state, final_values=window.final_values
    )
    return steps, returns, info.loss


def _measure(play):
  began = time.process_time()
  steps, returns, last = play()
  tf.nest.flatten(last)[-1].numpy()  # Waits for it.
  seconds = time.process_time() - began
  return {
    'seconds': seconds,
    'steps': int(steps),
    'returns': float(returns[0]),
    'episodes': int(returns[1]),
  }


def _make_cell(slots, words, heads, units):
  return cells.make(
    'dnc', units, memory_slots=slots, word_size=words, read_heads=heads
  )


def make_cartpole(lanes: int) -> vector_bridge.VectorBridge:
  """Returns Gymnasium's CartPole-v1, lanes side by side."""
  make = functools.partial(gymnasium.make, 'CartPole-v1')
  games = gymnasium.vector.SyncVectorEnv([make] * lanes)
  return vector_bridge.VectorBridge(games, 500, pickles=False)
