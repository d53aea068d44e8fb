"""One agent in its environment: what is trained, and one iteration of it."""

import contextlib
import dataclasses
import functools
import math

import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.agents import actions
from nca_tf.agents import algorithms
from nca_tf.agents import collector as collector_lib
from nca_tf.agents import evaluation
from nca_tf.agents import network
from nca_tf.agents import tf_agents
from nca_tf.agents import vector_bridge
from nca_tf.agents.rnd import distillation as rnd
from nca_tf.command_line import faults
from nca_tf.experiments.agents import arenas
from nca_tf.experiments.agents import novelty as novelty_lib
from nca_tf.experiments.agents import settings

_MOST_WINDOWS = 20  # Over which returns are averaged.


class Training(tf.Module):
  """An agent, its environment and what is counted, all of it checkpointed.

  Attributes:
    agent: Of --algorithm.
    collector: Plays windows.
    distillation: Of --rnd, or None.
    recent: Sum of returns and number of the episodes that ended in each of the
      last windows, [K, 2]: more steps than an episode can have, so that winners
      do not count before losers.
    solved_at: Steps after which they first were good enough, or 0.
    visited: Places of the environment that were seen, or None.
    novelty: The reward of --rnd in each place, where there are rooms, or None.
  """

  def __init__(self, config: settings.Config):
    """Makes everything new."""
    super().__init__('training')
    self.config = config
    self._arena = arenas.get(config.env)
    environment = self._arena.make(config, config.lanes)
    self._kind = actions.make(environment.action_space)
    self.spec = vector_bridge.get_observation_spec(
      environment.observation_space
    )
    if config.rnd and not self.spec.shape.rank:
      raise faults.UsageError(
        '--rnd needs observations that are vectors or images, got indices'
      )
    self.agent = self._make_agent(environment)
    self.collector = collector_lib.Collector(
      environment,
      self.agent,
      config.lanes,
      random_numbers.derive(config.seed, 'play'),
    )
    self.distillation = self._make_distillation() if config.rnd else None
    windows = math.ceil(environment.time_limit / config.window) + 1
    zeros = tf.zeros([min(windows, _MOST_WINDOWS), 2])
    self.recent = tf.Variable(zeros, trainable=False)
    self.solved_at = tf.Variable(0, dtype=tf.int64, trainable=False)
    places = getattr(environment, 'cells', 0)
    self.visited = (
      tf.Variable(tf.zeros([places], tf.bool), trainable=False)
      if places
      else None
    )
    self.novelty = (
      novelty_lib.Novelty(environment, config.updates)
      if config.rnd and hasattr(environment, 'rooms')
      else None
    )
    self._iterate = tf.function(self.iterate, autograph=False)
    self._prime = tf.function(self.prime, autograph=False)

  def _make_agent(self, environment):
    config = self.config
    space = environment.observation_space
    # Keras draws the seeds of layers when they are made.
    with random_numbers.weights(config.seed, 'agent'):
      actor = network.ActorCritic(
        self._kind.size,
        len(config.streams),
        config.layers,
        config.make_cell(config.cell) if config.cell_names else None,
        categories=int(getattr(space, 'n', 0)),
      )
    agent_class = algorithms.find(config.algorithm)
    chosen = {  # Each flag that the algorithm knows.
      field.name: getattr(config, field.name)
      for field in dataclasses.fields(agent_class.settings_class)
      if hasattr(config, field.name)
    }
    return agent_class(
      tf_agents.time_step_spec(self.spec),
      self._kind,
      actor,
      config.streams,
      settings=agent_class.settings_class(**chosen),
      seed=random_numbers.derive(config.seed, 'agent'),
    )

  def _make_distillation(self):
    config = self.config
    return rnd.Distillation(
      tuple(self.spec.shape),
      config.lanes,
      rnd.Settings(
        learning_rate=config.predictor_rate,
        epochs=config.epochs,
        minibatches=config.minibatches,
      ),
      random_numbers.derive(config.seed, 'distillation'),
    )

  @property
  def game_options(self) -> dict:
    """Options of the game in which a player meets this environment."""
    return self._arena.options(self.config, self.collector.environment)

  def step(self, index: int) -> dict:
    """Plays a window and learns from it; returns scalars."""
    with _naming_faults(self.collector.environment):
      if index == 0 and self.distillation is not None:
        for _ in range(self.config.prime):
          self._prime()
      return self._iterate()

  def prime(self) -> None:
    """Plays a window for the scale of observations alone."""
    window = self.collector.collect(self.config.window)
    self.distillation.prime(window.experience.observation)

  def iterate(self) -> dict:
    """Plays a window and learns from it, in the graph."""
    window = self.collector.collect(self.config.window)
    experience = window.experience
    scalars = {}
    rewards = [experience.reward]
    if self.distillation is not None:
      observations = tf.concat(
        [experience.observation, window.final.observation[:, None]], 1
      )
      intrinsic = self.distillation.reward(observations)
      if self.novelty is not None:
        self.novelty.follow(
          self.agent.train_step_counter,
          experience.observation,
          self.distillation.rate,
        )
      scalars['intrinsic_reward'] = tf.reduce_mean(intrinsic)
      scalars['predictor_loss'] = self.distillation.learn(observations[:, 1:])
      rewards = [] if self.config.intrinsic_only else rewards
      rewards.append(intrinsic)
      if self.config.values == 'one':
        rewards = [rnd.add_bonus(*rewards)]
    info = self.agent.train(
      experience,
      state=window.state,
      final_values=window.final_values,
      rewards=tf.stack(rewards, -1),
    )
    return {**self._count(window), **scalars, **info.extra}

  def _count(self, window):
    """Follows returns and coverage; returns their scalars."""
    recent = tf.concat([self.recent[1:], window.returns[None]], 0)
    self.recent.assign(recent)
    total, episodes = tf.unstack(tf.reduce_sum(recent, 0))
    mean = total / tf.maximum(episodes, 1.0)
    is_solved = (mean >= self._arena.solved) & (episodes >= self.config.lanes)
    steps = self.agent.train_step_counter * self.config.lanes
    steps *= self.config.window
    self.solved_at.assign(
      tf.where((self.solved_at == 0) & is_solved, steps, self.solved_at)
    )
    scalars = {'return': mean, 'episodes': episodes}
    if self.visited is not None:
      places = self.collector.environment.locate(window.experience.observation)
      seen = tf.math.unsorted_segment_max(
        tf.ones_like(places), places, self.visited.shape[0]
      )
      self.visited.assign(self.visited | (seen > 0))
      count = tf.reduce_sum(tf.cast(self.visited, tf.float32))
      scalars['coverage'] = count / self.collector.environment.reachable
    return scalars

  def score(self) -> dict:
    """Plays whole episodes, with actions drawn and with the likeliest ones."""
    lanes = self.config.score_episodes
    found = {}
    for name, policy in (
      ('drawn', self.agent.collect_policy),
      ('likeliest', self.agent.policy),
    ):
      environment = self._arena.make(self.config, lanes)
      seed = random_numbers.derive(self.config.seed, f'score of {name}')
      # Of one function TensorFlow would warn that it is traced so often.
      play = functools.partial(
        evaluation.play, environment, policy, lanes, seed
      )
      with _naming_faults(environment):
        returns, lengths = tf.function(play, autograph=False)()
      if hasattr(environment, 'close'):
        environment.close()
      found[name] = {
        'returns': returns.numpy().tolist(),
        'lengths': lengths.numpy().tolist(),
      }
    return found


@contextlib.contextmanager
def _naming_faults(environment):
  """Raises what an environment found wrong inside a graph, as it was."""
  try:
    yield
  except tf.errors.OpError:
    fault = getattr(environment, 'fault', None)
    if fault is not None:
      raise fault from None
    raise
