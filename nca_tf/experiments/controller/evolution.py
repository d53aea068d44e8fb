"""One evolution of a controller in one world model."""

import json
import time
import zipfile

import numpy as np
import tensorflow as tf

from nca_tf import environments
from nca_tf import files
from nca_tf import random_numbers
from nca_tf.command_line import faults
from nca_tf.environments import workers
from nca_tf.evolution import cma_es
from nca_tf.evolution import evaluators
from nca_tf.runs import progress
from nca_tf.saved_models import export
from nca_tf.training import compilation
from nca_tf.world_model import dream as dream_lib

_EVALUATIONS = 'looks.json'


def episode_seeds(seed: int, purpose: str, count: int) -> list[int]:
  """Seeds of real episodes; those of different purposes share none."""
  base = random_numbers.derive(seed, purpose)
  return [environments.episode_seed(base, index) for index in range(count)]


def export_player(world_model, controller, parameters, folder, **info):
  """Writes an agent; `info` is added to what it says of itself."""
  spec = world_model.spec
  export.export_agent(
    world_model.player(controller),
    parameters,
    folder,
    {
      'env': spec.name,
      'action_kind': spec.action_kind,
      'frame_skip': spec.frame_skip,
      'time_limit': spec.time_limit,
      'cell': world_model.architecture.cell,
      **info,
    },
  )


class Evolution:
  """CMA-ES with evaluations in the real game; survives being killed.

  Its folder holds `state.npz` (after every generation), `looks.json` (the
  scores of every evaluation: the name is that of older runs) and `player/`
  (the agent whose parameters vary).

  Attributes:
    world_model: WorldModel.
    controller: LinearController.
    player: Folder of the agent.
    evaluations: Scores in the real game of the mean vector, by generation.
    stage: Name of its records in the metrics log.
  """

  def __init__(self, world_model, config, folder, name, x0):
    """Prepares, or goes on where the folder stopped.

    `name` is a short text that no other evolution of this run has, `x0` the
    first mean [n], or None for zeros.
    """
    self.world_model = world_model
    self.controller = world_model.controller(config.features)
    self.player = folder / 'player'
    self._config = config
    self._folder = folder
    self._name = name
    self.stage = f'controller_{name}'
    folder.mkdir(parents=True, exist_ok=True)
    n = self.controller.size
    self._settings = cma_es.Settings.make(n, config.popsize)
    x0 = np.zeros(n) if x0 is None else x0
    seed = random_numbers.derive(config.seed, f'evolution {name}')
    initial = cma_es.initial(self._settings, x0, config.sigma, seed)
    self.state = self._restore(initial)
    path = folder / _EVALUATIONS
    found = json.loads(path.read_text()) if path.exists() else {}
    self.evaluations = {int(number): scores for number, scores in found.items()}
    if not (self.player / 'agent.json').exists():
      export_player(world_model, self.controller, np.zeros(n), self.player)

  @property
  def generation(self) -> int:
    """Generations that are finished."""
    return int(self.state.generation)

  def run(self, log):
    """Runs the generations that are missing, with their evaluations."""
    config, total = self._config, self._config.generations
    log.rewind(self.stage, self.generation)
    step = self._in_dream() if config.in_ == 'dream' else self._in_game()
    label, is_compiled = f'{self.stage}, {config.in_}', False
    bar = progress.Progress(label, total, 'generations', self.generation)
    with self.open_players() as players, bar:
      while self.generation < total:
        began = time.monotonic()
        self.state, scores = step(self.state, players)
        scores, done = np.asarray(scores), self.generation
        if is_compiled:
          rate = 1 / (time.monotonic() - began)
          log.show(self.stage, done, generations_per_second=rate)
        is_compiled = True
        figures = {
          'mean': np.mean(scores),
          'best': np.max(scores),
          'spread': np.std(scores),
          'sigma': float(self.state.sigma),
        }
        if done % config.select_every == 0 or done == total:
          figures |= self._evaluate(players)
        log.write(self.stage, done, **figures)
        arrays = {k: v.numpy() for k, v in self.state._asdict().items()}
        files.write_arrays(self._folder / 'state.npz', arrays)
        bar.update(done, **figures)
    log.flush()

  def open_players(self) -> workers.Players:
    """Workers that play as this evolution's candidates."""
    return workers.Players(
      self.world_model.spec.name,
      self.player,
      processes=self._config.processes,
      options=self.world_model.game_options,
      keep_going=True,
    )

  def mean(self, generation: int) -> np.ndarray:
    """The mean vector that was evaluated after a generation."""
    return np.load(self._folder / f'mean-{generation}.npy')

  def draw(self, mean, index: int) -> np.ndarray:
    """Candidate `index`, [n], drawn around `mean` as the last generation."""
    purpose = f'varied candidates {self._name}'
    rng = random_numbers.generator(self._config.seed, purpose, index)
    z = rng.standard_normal(len(mean))
    root = self.state.root.numpy()
    y = root * z if self._settings.is_diagonal else root @ z
    return mean + float(self.state.sigma) * y

  def _in_dream(self):
    """A whole generation in one compiled call."""
    config = self._config
    dream = self.world_model.dream(config.temperature, config.fitness)
    key = random_numbers.key(config.seed, f'dream {self._name}')[0]
    scale = float(self.world_model.spec.frame_skip)

    def generation(state):
      x = cma_es.ask(self._settings, state)
      noise = dream.make_noise(
        config.dream_rollouts, tf.stack([key, state.generation])
      )
      act = dream_lib.follow(self.controller, x)
      played = dream.play(act, config.popsize, noise, config.lanes)
      scores = tf.reduce_mean(played.survived, 1) * scale
      return cma_es.tell(self._settings, state, x, -scores), scores

    compiled = tf.function(
      generation,
      autograph=False,
      jit_compile=compilation.compiles(config.jit, pays_on_cpu=True),
    )

    return lambda state, players: compiled(state)

  def _in_game(self):
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

  def _evaluate(self, players):
    """Plays the selection episodes with the mean vector."""
    config = self._config
    mean = self.state.mean.numpy().astype(np.float32)
    seeds = episode_seeds(config.seed, 'selection', config.selection_episodes)
    scores = play_scores(players, seeds, mean)
    np.save(self._folder / f'mean-{self.generation}.npy', mean)
    self.evaluations[self.generation] = scores
    files.write_json(self._folder / _EVALUATIONS, self.evaluations)
    return {'game_mean': np.mean(scores), 'game_median': np.median(scores)}

  def _restore(self, initial):
    path = self._folder / 'state.npz'
    if not path.exists():
      return initial
    try:
      with np.load(path, allow_pickle=False) as arrays:
        return type(initial)(
          *(
            tf.constant(arrays[name], part.dtype, part.shape)
            for name, part in initial._asdict().items()
          )
        )
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
      raise faults.Fault(
        f'{path} is damaged ({error}); delete {self._folder}, the same '
        'command then evolves anew'
      ) from error


def play_scores(players, seeds, parameters) -> list[float]:
  """Scores of episodes with one vector of parameters.

  Raises:
    faults.Fault: An episode failed time after time.
  """
  results = list(players.play(seeds, [parameters] * len(seeds)))
  lost = [result.seed for result in results if result.score is None]
  if lost:
    raise faults.Fault(
      f'{len(lost)} of {len(seeds)} episodes failed time after time, e.g. '
      f'with seed {lost[0]}; the same command tries again'
    )
  return [float(result.score) for result in results]
