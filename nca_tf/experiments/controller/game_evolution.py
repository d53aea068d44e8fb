"""One evolution of a linear controller in a game, by its own observations."""

import contextlib

import numpy as np

from nca_tf import random_numbers
from nca_tf.agents import evaluation
from nca_tf.evolution import cma_es
from nca_tf.experiments.controller import evolution
from nca_tf.experiments.controller import linear_agent
from nca_tf.experiments.controller import settings
from nca_tf.saved_models import export


class GameEvolution(evolution.Evolution):
  """As an `Evolution`, with all episodes of a generation played at once.

  The candidates of a generation play the same number of episodes, each one
  other levels than the others.

  Attributes:
    time_limit: Of an episode, in steps.
  """

  def __init__(self, candidates: linear_agent.Candidates, config, folder, name):
    """Prepares, or goes on where the folder stopped.

    `name` is a short text that no other evolution of this run has.
    """
    self._candidates = candidates
    self.time_limit = candidates.time_limit
    agent = candidates.agent
    self._begin(agent.controller, config, folder, name)

  def open_players(self):
    """There are none: the episodes are played in this process."""
    return contextlib.nullcontext()

  def play(self, players, purpose, count, parameters):
    """Scores of episodes, those of a purpose, with given parameters."""
    del players
    return self.play_episodes(purpose, count, parameters).returns[0].tolist()

  def play_episodes(self, purpose, count, parameters) -> evaluation.Played:
    """The same episodes, returns and lengths [1, count]."""
    seed = random_numbers.derive(self._config.seed, purpose)
    return self._candidates.play(parameters[None], count, seed)

  def export(self, parameters, folder, **info):
    """Writes an agent with these parameters."""
    agent = self._candidates.agent
    agent.network.parameters.assign(parameters)
    info = {
      'env': self._config.env,
      'algorithm': settings.CMA_ES,
      'cell': settings.NO_CELL,
      'options': self._candidates.options,
      **info,
    }
    export.export_policy(agent, folder, info)

  def _in_game(self):
    config = self._config
    seed = random_numbers.derive(config.seed, f'game {self._name}')

    def play(state, players):
      del players
      x = cma_es.ask(self._settings, state).numpy()
      played = self._candidates.play(
        x,
        config.dream_rollouts,
        random_numbers.derive(seed, f'generation {int(state.generation)}'),
      )
      scores = np.mean(played.returns, 1)
      return cma_es.tell(self._settings, state, x, -scores), scores

    return play
