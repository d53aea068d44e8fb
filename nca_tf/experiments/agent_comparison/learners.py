"""What learns: by gradients, or by evolution, in one manner.

A learner has `learn(until)`, which goes on up to a number of steps, `play`,
whole episodes of the policy as it is, and `state`, what continues.
"""

import math
import time

import numpy as np
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.agents import evaluation
from nca_tf.command_line import faults
from nca_tf.evolution import cma_es
from nca_tf.experiments.agent_comparison import comparison
from nca_tf.experiments.agent_comparison import settings
from nca_tf.experiments.agents import arenas
from nca_tf.experiments.agents import training as training_lib
from nca_tf.experiments.controller import linear_agent

DRAWN, LIKELIEST = 'drawn', 'likeliest'


class GradientLearner:
  """An agent of train_agent.

  Attributes:
    state: Objects for checkpoints, by name.
    policies: Names of the ways in which it acts, first that of its learning.
    cpu_seconds: Of all learning.
  """

  policies = (DRAWN, LIKELIEST)

  def __init__(
    self, config: settings.Config, setting: comparison.Setting, seed: int
  ):
    """Makes a new agent."""
    self._config = config.agent_config(setting, seed)
    self._training = training_lib.Training(self._config)
    self._episodes = {}
    self.cpu_seconds = tf.Variable(0.0, dtype=tf.float64)
    self.state = {'training': self._training, 'clock': self.cpu_seconds}

  @property
  def steps(self) -> int:
    """Steps in all lanes that it has learnt from."""
    return self._updates * self._config.lanes * self._config.window

  @property
  def _updates(self):
    return int(self._training.agent.train_step_counter.numpy())

  def learn(self, until: int) -> dict[str, float]:
    """Learns up to a number of steps; returns the last scalars.

    Raises:
      faults.Fault: One of them is not finite.
    """
    began, scalars = time.process_time(), {}
    while self.steps < until:
      scalars = self._training.step(self._updates)
    scalars = {name: float(value) for name, value in scalars.items()}
    for name, value in scalars.items():
      if not math.isfinite(value):
        raise faults.Fault(
          f'{self._config.label}: {name} is {value} after {self.steps} steps; '
          'the last checkpoint is kept'
        )
    self.cpu_seconds.assign_add(time.process_time() - began)
    return scalars

  def play(self, policy: str, count: int, seed: int) -> evaluation.Played:
    """Plays whole episodes, one per lane."""
    if (policy, count) not in self._episodes:
      agent = self._training.agent
      self._episodes[policy, count] = evaluation.Episodes(
        arenas.get(self._config.env).make(self._config, count),
        agent.collect_policy if policy == DRAWN else agent.policy,
        count,
      )
    return self._episodes[policy, count].play(seed)


class EvolutionLearner:
  """A linear controller whose parameters CMA-ES evolves; acts by their mean.

  Attributes are those of GradientLearner. Steps are those of the candidates'
  episodes.
  """

  policies = (LIKELIEST,)

  def __init__(self, config: settings.Config, seed: int):
    """Begins a search."""
    self._config = config
    self._seed = random_numbers.derive(config.seed + seed, 'CMA-ES')
    self._candidates = linear_agent.Candidates(
      config.env, self._seed, size=config.size
    )
    n = self._candidates.agent.controller.size
    self._settings = cma_es.Settings.make(n, config.popsize)
    first = cma_es.initial(
      self._settings, np.zeros(n), config.sigma, self._seed
    )
    self._search = {
      name: tf.Variable(part) for name, part in first._asdict().items()
    }
    self._steps = tf.Variable(0, dtype=tf.int64)
    self.cpu_seconds = tf.Variable(0.0, dtype=tf.float64)
    self.state = {
      'search': self._search,
      'steps': self._steps,
      'clock': self.cpu_seconds,
    }

  @property
  def steps(self) -> int:
    """Steps of all candidates so far."""
    return int(self._steps.numpy())

  def learn(self, until: int) -> dict[str, float]:
    """Runs generations up to a number of steps, which the last one passes."""
    began, scores = time.process_time(), np.zeros(1)
    state = cma_es.State(**{k: tf.identity(v) for k, v in self._search.items()})
    while self.steps < until:
      x = cma_es.ask(self._settings, state).numpy()
      played = self._candidates.play(
        x,
        self._config.games,
        random_numbers.derive(
          self._seed, f'generation {int(state.generation)}'
        ),
      )
      scores = np.mean(played.returns, 1)
      state = cma_es.tell(self._settings, state, x, -scores)
      self._steps.assign_add(int(played.lengths.sum()))
    for name, part in state._asdict().items():
      self._search[name].assign(part)
    self.cpu_seconds.assign_add(time.process_time() - began)
    return {
      'sigma': float(state.sigma),
      'generation': float(state.generation),
      'best': float(scores.max()),
    }

  def play(self, policy: str, count: int, seed: int) -> evaluation.Played:
    """Plays whole episodes with the mean of the search."""
    del policy
    mean = self._search['mean'].numpy()[None]
    played = self._candidates.play(mean, count, seed)
    return played._replace(returns=played.returns[0], lengths=played.lengths[0])


def make(config: settings.Config, setting: comparison.Setting, seed: int):
  """Returns a new learner of a setting."""
  if setting.changes is None:
    return EvolutionLearner(config, seed)
  return GradientLearner(config, setting, seed)
