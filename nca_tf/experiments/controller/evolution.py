"""One evolution of a controller in one world model."""

import numpy as np
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf import random_tensors
from nca_tf.evolution import cma_es
from nca_tf.evolution import evaluators
from nca_tf.experiments.controller import search
from nca_tf.training import compilation
from nca_tf.world_model import dream as dream_lib


class Evolution(search.Search):
  """A search by CMA-ES, in the dream or in the game."""

  def _begin(self, controller, config, folder, name, x0=None):
    self._settings = cma_es.Settings.make(controller.size, config.popsize)
    super()._begin(controller, config, folder, name, x0)

  @property
  def generation(self) -> int:
    """Generations that are finished."""
    return int(self.state.generation)

  @property
  def current(self) -> np.ndarray:
    """The mean vector [n]."""
    return self.state.mean.numpy()

  def draw(self, mean, index: int) -> np.ndarray:
    """Candidate `index`, [n], drawn around `mean` as the last generation."""
    purpose = f'varied candidates {self._name}'
    rng = random_numbers.generator(self._config.seed, purpose, index)
    z = rng.standard_normal(len(mean))
    root = self.state.root.numpy()
    y = root * z if self._settings.is_diagonal else root @ z
    return mean + float(self.state.sigma) * y

  def _make_step(self):
    in_dream = self._config.in_ == 'dream'
    play = self._in_dream() if in_dream else self._in_game()

    def step(players):
      self.state, scores = play(self.state, players)
      return {
        'mean': np.mean(scores),
        'best': np.max(scores),
        'spread': np.std(scores),
        'sigma': float(self.state.sigma),
      }

    return step

  def _in_dream(self):
    """A function of state and players: the next state, and all scores.

    A whole generation is one compiled call.
    """
    config = self._config
    dream = self.world_model.dream(config.temperature, config.fitness)
    key = random_numbers.key(config.seed, f'dream {self._name}')[0]
    scale = float(self.world_model.spec.survived_step)

    def generation(state):
      x = cma_es.ask(self._settings, state)
      seed = tf.stack([key, state.generation])
      noise = dream.make_noise(config.dream_rollouts, seed)
      act = dream_lib.follow(self.controller, x, self._disturb(dream, seed))
      played = dream.play(act, config.popsize, noise, config.lanes)
      scores = tf.reduce_mean(played.scores, 1) * scale
      return cma_es.tell(self._settings, state, x, -scores), scores

    compiled = tf.function(
      generation,
      autograph=False,
      jit_compile=compilation.compiles(config.jit, pays_on_cpu=True),
    )

    return lambda state, players: compiled(state)

  def _disturb(self, dream, seed):
    """Logistic noise on the controller's sums, None or [R, T, rows]."""
    scale = self._config.action_noise
    if not scale:
      return None
    shape = self._config.dream_rollouts, dream.horizon, self.controller.rows
    uniform = random_tensors.uniform(seed + [7, 0], shape)
    return scale * (tf.math.log(uniform) - tf.math.log1p(-uniform))

  def _in_game(self):
    """As `_in_dream`, in the real game."""
    config = self._config
    seed = random_numbers.derive(config.seed, f'game {self._name}')

    def step(state, players):
      def play(tasks):
        return players.play(
          [task.seed for task in tasks], [task.parameters for task in tasks]
        )

      evaluator = evaluators.EpisodeEvaluator(play, config.dream_rollouts, seed)
      x = cma_es.ask(self._settings, state)
      fitness = evaluator.evaluate(x.numpy(), int(state.generation)).fitness
      state = cma_es.tell(self._settings, state, x, fitness)
      return state, -fitness[np.isfinite(fitness)]

    return step

  def _make_initial(self):
    config = self._config
    seed = random_numbers.derive(config.seed, f'evolution {self._name}')
    return cma_es.initial(self._settings, self._x0, config.sigma, seed)

  def _start(self):
    self.state = self._make_initial()

  def _to_arrays(self):
    return {k: v.numpy() for k, v in self.state._asdict().items()}

  def _take_arrays(self, path):
    initial = self._make_initial()._asdict()
    like = {name: part.numpy() for name, part in initial.items()}
    arrays = search.read_arrays(path, like)
    self.state = cma_es.State(**{k: tf.constant(arrays[k]) for k in like})
