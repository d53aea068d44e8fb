"""One evolution of a controller in one world model."""

import io
import os
import time

import numpy as np
import tensorflow as tf

from nca_tf import environments
from nca_tf import files
from nca_tf import random_numbers
from nca_tf.command_line import faults
from nca_tf.environments import workers
from nca_tf.environments.workers import saved_agent
from nca_tf.evolution import cma_es
from nca_tf.evolution import evaluators
from nca_tf.runs import progress
from nca_tf.runs import run_files
from nca_tf.saved_models import export
from nca_tf.training import compilation
from nca_tf.world_model import dream as dream_lib

_EVALUATIONS = 'looks.json'
_STATES = ('state.npz', 'state-before.npz')


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

  Its folder holds `state.npz` (after every generation), `state-before.npz` (of
  the one before), `mean-GENERATION.npy` and, in `looks.json`, the scores of
  every evaluation (the name is that of older runs), and `player/` (the agent
  whose parameters vary). What is damaged is made again: all of it follows from
  the seed.

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
    self.player = folder / 'player'
    controller = world_model.controller(config.features)
    self._begin(controller, config, folder, name, x0)
    if not is_player(self.player):
      self.export(np.zeros(controller.size), self.player)

  def _begin(self, controller, config, folder, name, x0):
    self.controller = controller
    self._config = config
    self._folder = folder
    self._name = name
    self.stage = f'controller_{name}'
    folder.mkdir(parents=True, exist_ok=True)
    n = controller.size
    self._settings = cma_es.Settings.make(n, config.popsize)
    x0 = np.zeros(n) if x0 is None else x0
    seed = random_numbers.derive(config.seed, f'evolution {name}')
    initial = cma_es.initial(self._settings, x0, config.sigma, seed)
    self.evaluations = self._read_evaluations()
    self.state = self._restore(initial)

  @property
  def generation(self) -> int:
    """Generations that are finished."""
    return int(self.state.generation)

  @property
  def is_whole(self) -> bool:
    """Whether all generations are there, and all evaluations of them."""
    return self.generation == self._config.generations and not self._lost()

  def _lost(self):
    """Generations whose scores are lost, but not their mean vectors."""
    return [
      generation
      for generation in range(1, self.generation + 1)
      if self._is_evaluated(generation) and generation not in self.evaluations
    ]

  def _is_evaluated(self, generation):
    config = self._config
    is_last = generation == config.generations
    return is_last or generation % config.select_every == 0

  def run(self, log):
    """Runs the generations that are missing, with their evaluations."""
    config, total = self._config, self._config.generations
    log.rewind(self.stage, self.generation)
    step = self._make_step()
    label, is_compiled = f'{self.stage}, {config.in_}', False
    bar = progress.Progress(label, total, 'generations', self.generation)
    with self.open_players() as players, bar:
      for generation in self._lost():
        self._evaluate(players, generation, self.mean(generation))
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
        if self._is_evaluated(done):
          mean = self.state.mean.numpy().astype(np.float32)
          figures |= self._evaluate(players, done, mean)
        log.write(self.stage, done, **figures)
        self._keep_state()
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

  def play(self, players, purpose: str, count: int, parameters) -> list[float]:
    """Scores of real episodes, those of a purpose, with given parameters.

    Raises:
      faults.Fault: An episode failed time after time.
    """
    seeds = episode_seeds(self._config.seed, purpose, count)
    return play_scores(players, seeds, parameters)

  def export(self, parameters, folder, **info) -> None:
    """Writes an agent with these parameters."""
    export_player(self.world_model, self.controller, parameters, folder, **info)

  def mean(self, generation: int) -> np.ndarray:
    """The mean vector that was evaluated after a generation.

    Raises:
      ValueError: It is lost or damaged.
    """
    path = self._folder / f'mean-{generation}.npy'
    try:
      mean = files.read_array(path)
    except FileNotFoundError as error:
      raise ValueError(f'{path} is lost') from error
    if mean.shape != (self.controller.size,) or not np.isfinite(mean).all():
      raise ValueError(f'{path} is damaged (no vector of a controller)')
    return mean

  def draw(self, mean, index: int) -> np.ndarray:
    """Candidate `index`, [n], drawn around `mean` as the last generation."""
    purpose = f'varied candidates {self._name}'
    rng = random_numbers.generator(self._config.seed, purpose, index)
    z = rng.standard_normal(len(mean))
    root = self.state.root.numpy()
    y = root * z if self._settings.is_diagonal else root @ z
    return mean + float(self.state.sigma) * y

  def _make_step(self):
    """A function of state and players that runs a generation."""
    return self._in_dream() if self._config.in_ == 'dream' else self._in_game()

  def _in_dream(self):
    """A whole generation in one compiled call."""
    config = self._config
    dream = self.world_model.dream(config.temperature, config.fitness)
    key = random_numbers.key(config.seed, f'dream {self._name}')[0]
    scale = float(self.world_model.spec.survived_step)

    def generation(state):
      x = cma_es.ask(self._settings, state)
      noise = dream.make_noise(
        config.dream_rollouts, tf.stack([key, state.generation])
      )
      act = dream_lib.follow(self.controller, x)
      played = dream.play(act, config.popsize, noise, config.lanes)
      scores = tf.reduce_mean(played.scores, 1) * scale
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

  def _evaluate(self, players, generation, mean):
    """Plays the selection episodes with the mean vector of a generation."""
    config = self._config
    scores = self.play(players, 'selection', config.selection_episodes, mean)
    stream = io.BytesIO()
    np.save(stream, mean)
    path = self._folder / f'mean-{generation}.npy'
    files.write_whole(path, stream.getvalue())
    self.evaluations[generation] = scores
    self.evaluations = dict(sorted(self.evaluations.items()))
    files.write_json(self._folder / _EVALUATIONS, self.evaluations)
    return {'game_mean': np.mean(scores), 'game_median': np.median(scores)}

  def _read_evaluations(self):
    """The scores by generation; those that are damaged are played again."""
    path = self._folder / _EVALUATIONS
    if not path.exists():
      return {}
    try:
      found = files.read_json(path)
    except ValueError as error:
      faults.warn(f'{error}; what it held is played again')
      return {}
    count = self._config.selection_episodes
    return {
      int(number): scores
      for number, scores in found.items()
      if number.isdecimal()
      and isinstance(scores, list)
      and len(scores) == count
      and all(type(each) in (int, float) for each in scores)
      and np.isfinite(scores).all()
    }

  def _keep_state(self):
    arrays = {k: v.numpy() for k, v in self.state._asdict().items()}
    path, before = (self._folder / name for name in _STATES)
    if path.exists():
      os.replace(path, before)
    files.write_arrays(path, arrays)

  def _restore(self, initial):
    """The newest state that can be read, with all that was evaluated till then.

    Without one, or without the mean vectors, the evolution begins anew: it goes
    the same way again.
    """
    for path in (self._folder / name for name in _STATES):
      if not path.exists():
        continue
      try:
        state = _read_state(path, initial)
        self._check_means(int(state.generation))
        return state
      except ValueError as error:
        faults.warn(f'{error}; the generations since then are run again')
    self.evaluations = {}
    return initial

  def _check_means(self, generation):
    for each in range(1, generation + 1):
      if self._is_evaluated(each):
        self.mean(each)


def _read_state(path, initial):
  """A state of CMA-ES, of the shape of another one.

  Raises:
    ValueError: It is damaged.
  """
  arrays = files.read_arrays(path, initial._fields)
  for name, part in initial._asdict().items():
    found = arrays[name]
    if found.shape != part.shape or found.dtype != part.dtype.as_numpy_dtype:
      raise ValueError(f'{path} is damaged ({name} is of another search)')
    if found.dtype.kind == 'f' and np.isnan(found).any():
      raise ValueError(f'{path} is damaged ({name} has no number)')
  return type(initial)(*(tf.constant(arrays[name]) for name in initial._fields))


def is_player(folder) -> bool:
  """Whether an agent that `export_player` wrote is there and can be read."""
  try:
    saved_agent.read_info(folder)
  except ValueError:
    return False
  return run_files.is_saved_model(folder)


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
