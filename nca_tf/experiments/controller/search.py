"""A search for a controller in one world model, whatever it searches by."""

import abc
import io
import os
import time

import numpy as np

from nca_tf import environments
from nca_tf import files
from nca_tf import random_numbers
from nca_tf.command_line import faults
from nca_tf.environments import workers
from nca_tf.environments.workers import saved_agent
from nca_tf.runs import progress
from nca_tf.runs import run_files
from nca_tf.saved_models import export

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
      'options': {} if spec.view == environments.WHOLE else {'view': spec.view},
      **info,
    },
  )


def read_start(config, controller) -> np.ndarray:
  """The first vector [n] of a search that begins from another one's agent.

  The weights of a linear agent begin a controller with a hidden layer.

  Raises:
    faults.UsageError: The agent is damaged, or has other weights.
  """
  try:
    parameters = saved_agent.SavedAgent(config.initial_agent).parameters
  except ValueError as error:
    raise faults.UsageError(f'--initial_agent: {error}') from error
  seed = random_numbers.derive(config.seed, 'hidden units beside an agent')
  found = controller.initial(seed)
  if len(parameters) not in (controller.size, controller.linear_size):
    raise faults.UsageError(
      f'--initial_agent must have {controller.size} parameters, as the '
      f'controller, got {config.initial_agent} with {len(parameters)}'
    )
  found[: len(parameters)] = parameters
  return found


class Search(abc.ABC):
  """Generations with evaluations in the real game; survives being killed.

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

  def __init__(self, world_model, config, folder, name, x0=None):
    """Prepares, or goes on where the folder stopped.

    `name` is a short text that no other search of this run has, `x0` the first
    vector [n], or None for zeros.
    """
    self.world_model = world_model
    self.player = folder / 'player'
    controller = world_model.controller(config.features, config.hidden)
    if x0 is None and config.initial_agent:
      x0 = read_start(config, controller)
    self._begin(controller, config, folder, name, x0)
    if not is_player(self.player):
      self.export(np.zeros(controller.size, np.float32), self.player)

  def _begin(self, controller, config, folder, name, x0=None):
    self.controller = controller
    self._config = config
    self._folder = folder
    self._name = name
    self.stage = f'controller_{name}'
    folder.mkdir(parents=True, exist_ok=True)
    seed = random_numbers.derive(config.seed, f'first vector {name}')
    self._x0 = controller.initial(seed) if x0 is None else x0
    self.evaluations = self._read_evaluations()
    self._restore()

  @property
  @abc.abstractmethod
  def generation(self) -> int:
    """Generations that are finished."""

  @property
  @abc.abstractmethod
  def current(self) -> np.ndarray:
    """The vector [n] that stands for the search now."""

  @abc.abstractmethod
  def draw(self, mean, index: int) -> np.ndarray:
    """Candidate `index`, [n], near `mean`."""

  @abc.abstractmethod
  def _make_step(self):
    """A function of players that runs a generation and returns its figures.

    `mean` is among them, the score in the dream or the game.
    """

  @abc.abstractmethod
  def _start(self):
    """Begins anew from the first vector."""

  @abc.abstractmethod
  def _to_arrays(self) -> dict[str, np.ndarray]:
    """All that the next generation follows from."""

  @abc.abstractmethod
  def _take_arrays(self, path):
    """Goes on from the arrays of a file.

    Raises:
      ValueError: They are damaged.
    """

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
        figures = step(players)
        done = self.generation
        if is_compiled:
          rate = 1 / (time.monotonic() - began)
          log.show(self.stage, done, generations_per_second=rate)
        is_compiled = True
        if self._is_evaluated(done):
          mean = self.current.astype(np.float32)
          figures |= self._evaluate(players, done, mean)
        log.write(self.stage, done, **figures)
        self._keep_state()
        bar.update(done, **figures)
    log.flush()

  def open_players(self) -> workers.Players:
    """Workers that play as this search's candidates."""
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
    path, before = (self._folder / name for name in _STATES)
    if path.exists():
      os.replace(path, before)
    files.write_arrays(path, self._to_arrays())

  def _restore(self):
    """Takes the newest state that can be read, and what was evaluated by then.

    Without one, or without the mean vectors, the search begins anew: it goes
    the same way again.
    """
    for path in (self._folder / name for name in _STATES):
      if not path.exists():
        continue
      try:
        self._take_arrays(path)
        self._check_means(self.generation)
        return
      except ValueError as error:
        faults.warn(f'{error}; the generations since then are run again')
    self.evaluations = {}
    self._start()

  def _check_means(self, generation):
    for each in range(1, generation + 1):
      if self._is_evaluated(each):
        self.mean(each)


def read_arrays(path, like: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Arrays of a state, with the names, shapes and types of others.

  Raises:
    ValueError: It is damaged.
  """
  arrays = files.read_arrays(path, tuple(like))
  for name, part in like.items():
    found = arrays[name]
    if found.shape != part.shape or found.dtype != part.dtype:
      raise ValueError(f'{path} is damaged ({name} is of another search)')
    if found.dtype.kind == 'f' and np.isnan(found).any():
      raise ValueError(f'{path} is damaged ({name} has no number)')
  return arrays


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
