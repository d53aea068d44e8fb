"""Settings of a controller that is evolved in the dream or in the game."""

import dataclasses
import os
import re
from typing import ClassVar

import gymnasium

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments import gym_lanes
from nca_tf.environments.workers import saved_agent
from nca_tf.experiments.agents import arenas
from nca_tf.experiments.agents import settings as agent_settings
from nca_tf.experiments.games import settings as games_settings
from nca_tf.experiments.world_model import settings as world_model_settings
from nca_tf.memory import cells
from nca_tf.runs import commands
from nca_tf.runs import run_folder

NAME = 'train_controller'
CMA_ES, PPO = OPTIMIZERS = 'cma_es', 'ppo'
NO_CELL = agent_settings.NO_CELL
_VECTORS = gymnasium.spaces.Box
_ACTIONS = gymnasium.spaces.Discrete, gymnasium.spaces.Box
_option = config_flags.option


def feature_names() -> tuple[str, ...]:
  """What a controller may read: z, and features of any registered cell."""
  return ('z', *cells.feature_names())


@dataclasses.dataclass(frozen=True)
class DreamFlags(config_flags.Common):
  """How a dream goes on and ends."""

  temperature: float = _option(
    1.15, "Of the dream's mixtures; above 1 it is harder to fool.", minimum=0.01
  )
  fitness: str = _option(
    'expected',
    'expected: expected survival, ending below 1 %; sampled: hard deaths, as '
    'published.',
    choices=('expected', 'sampled'),
  )


@dataclasses.dataclass(frozen=True)
class EvolutionFlags(DreamFlags):
  """One search, the evaluations of its mean, and the final score."""

  optimizer: str = _option(
    CMA_ES,
    'How the controller learns: cma_es evolves it; ppo follows the policy '
    'gradient in the dream, two windows of play per generation.',
    choices=OPTIMIZERS,
  )
  dream_rollouts: int = _option(
    16, 'Dreams (or games) per candidate and generation.', minimum=1
  )
  lanes: int = _option(
    256, 'Dreams computed at once.', minimum=1, identity=False
  )
  popsize: int = _option(48, 'Candidates per generation.', minimum=4)
  sigma: float = _option(0.1, 'First step size of CMA-ES.', minimum=1e-6)
  generations: int = _option(30, 'Generations per iteration.', minimum=1)
  select_every: int = _option(
    5, 'Generations between evaluations in the real game.', minimum=1
  )
  selection_episodes: int = _option(
    64, 'Real episodes per evaluation of the mean vector.', minimum=1
  )
  finalists: int = _option(
    4, 'How many of the best evaluations play the runoff.', minimum=1
  )
  runoff_episodes: int = _option(
    192, 'More real episodes for each finalist.', minimum=0
  )
  final_episodes: int = _option(
    400, 'Fresh real episodes for the score of the chosen one.', minimum=1
  )


@dataclasses.dataclass(frozen=True)
class Config(EvolutionFlags):
  """Settings of one controller; the defaults are the laptop preset."""

  world_model: str = _option(
    'runs/train_world_model/vizdoom-dnc-0',
    'Folder of a finished run of bin/train_world_model.',
  )
  dream_of: str = _option(
    '',
    'Another finished world model with the same V, in whose dream the '
    'controller learns to read the M of --world_model: whether the dream or '
    'what is read makes a difference.',
  )
  env: str = _option(
    '',
    'With --in=game: evolve on what this environment itself says, without a '
    'world model; pixel_copter, rooms or gym:<id> with observations that are '
    'vectors.',
    # The folder of such a run has the settings of GameConfig.
    identity=False,
  )
  in_: str = _option(
    'dream', 'Where the controller is evolved.', choices=('dream', 'game')
  )
  untrained: bool = _option(
    False, 'Use an untrained M, the ablation; its dream means nothing.'
  )
  features: tuple[str, ...] = _option(
    ('z', 'h'), 'What the controller reads.', choices=feature_names
  )
  hidden: int = _option(
    0,
    "Units of a hidden layer beside the controller's weights; 0: it is linear.",
    minimum=0,
  )
  action_noise: float = _option(
    0.0,
    'Scale of logistic noise on what the controller computes, in dreams of '
    'CMA-ES: what needs exact actions does not last. PPO has its own.',
    minimum=0,
  )
  initial_agent: str = _option(
    '',
    'An agent, or the run that made one, from whose weights the first '
    'searches begin: its z and features must be those of --world_model.',
  )
  evolutions: int = _option(
    1, 'Searches per iteration; the evaluations of all compete.', minimum=1
  )
  iterations: int = _option(
    1, 'Evolutions in turn; V and M learn from play between them.', minimum=1
  )
  collect_episodes: int = _option(
    400, 'Episodes that a controller plays for V and M.', minimum=1
  )
  refit_vision_steps: int = _option(
    1000, 'Updates of V between iterations; 0 keeps V and latents.', minimum=0
  )
  refit_model_steps: int = _option(
    1000, 'Updates of M between iterations.', minimum=1
  )
  check_episodes: int = _option(
    100, 'Real episodes per policy of the dream check; 0: none.', minimum=0
  )
  accept_dream: bool = _option(
    False, 'Train even in a dream in which standing still survives.'
  )
  processes: int = config_flags.changed(
    games_settings.PlayConfig, 'processes', 0
  )

  PRESETS: ClassVar = {
    'smoke': {
      'popsize': 6,
      'dream_rollouts': 2,
      'generations': 2,
      'evolutions': 2,
      'select_every': 1,
      'selection_episodes': 2,
      'finalists': 2,
      'runoff_episodes': 1,
      'final_episodes': 3,
      'iterations': 2,
      'collect_episodes': 4,
      'refit_vision_steps': 10,
      'refit_model_steps': 10,
      'check_episodes': 2,
      'accept_dream': True,
    },
    'laptop': {},
    'paper': {
      'features': ('z', 'h', 'c'),
      'fitness': 'sampled',
      'popsize': 64,
      'generations': 1800,
      'select_every': 25,
      'final_episodes': 1000,
    },
  }

  @property
  def run_name(self) -> str:
    """Name of the run below `runs/train_controller/`."""
    if self.env:
      return self.game_config.run_name
    model = self.world_model_config
    name = f'{model.env}-{model.cell}'
    if self.optimizer != CMA_ES:
      name = f'{name}-{self.optimizer}'
    return f'{name}-{self.seed}'

  def next_command(self, folder: os.PathLike) -> str:
    """The command that goes on from a finished run in a folder."""
    same = config_flags.arguments(self, ('seed', 'preset', 'threads'))
    agent = f'--agent={folder}', '--record=agent.gif'
    return commands.line('evaluate', *agent, *same)

  def check_folder(self):
    """Refuses a run folder of other settings, before TensorFlow."""
    config = self.game_config if self.env else self
    run_folder.check(config, NAME, self.run_name)

  def validate(self):
    """Refuses a world model that is not there, and features it lacks."""
    super().validate()
    if self.env:
      self._validate_env()
      return
    self._check_there_is_a_model()
    if self.optimizer == PPO and self.in_ != 'dream':
      raise faults.UsageError(
        f'--optimizer=ppo learns in the dream, got --in={self.in_}; '
        'bin/train_agent learns in the game'
      )
    if self.hidden and self.optimizer != PPO:
      raise faults.UsageError(
        f'--hidden must be 0 with --optimizer={self.optimizer}, whose '
        'covariance is of all pairs of weights: a hidden layer has thousands '
        f'and needs --optimizer={PPO}, got {self.hidden}'
      )
    if self.action_noise and (self.optimizer, self.in_) != (CMA_ES, 'dream'):
      raise faults.UsageError(
        f'--action_noise must be 0 with --optimizer={self.optimizer} '
        f'--in={self.in_}, got {self.action_noise}'
      )
    cell = self.world_model_config.cell
    entry = cells.get(cell)
    for name in self.features:
      if name not in ('z', *entry.feature_names):
        raise faults.UsageError(
          f'--features must not have {name} for a world model with '
          f'{entry.article} {cell}, got {",".join(self.features)}'
        )
    if not self.features:
      raise faults.UsageError('--features must name at least one, got none')
    if len(set(self.features)) < len(self.features):
      raise faults.UsageError(
        f'--features must differ, got {",".join(self.features)}'
      )
    self._validate_dream_of()
    self._validate_initial_agent()
    if self.untrained and self.iterations > 1:
      raise faults.UsageError(
        '--iterations must be 1 with --untrained: the next iteration would '
        f'train M, got {self.iterations}'
      )

  def _validate_dream_of(self):
    """Refuses the dream of another M where there is none to learn in."""
    if not self.dream_of:
      return
    world_model_settings.read_config('dream_of', self.dream_of)
    for name, wanted in (('in_', 'dream'), ('iterations', 1)):
      got = getattr(self, name)
      if got != wanted:
        raise faults.UsageError(
          f'--{name.rstrip("_")} must be {wanted} with --dream_of, got {got}'
        )

  def _validate_initial_agent(self):
    """Refuses to begin from an agent that reads something else."""
    if not self.initial_agent:
      return
    try:
      info = saved_agent.read_info(self.initial_agent)
    except ValueError as error:
      raise faults.UsageError(f'--initial_agent: {error}') from error
    wanted = {
      'features': list(self.features),
      **{
        name: getattr(self.world_model_config, name)
        for name in saved_agent.SETTINGS
      },
    }
    for name, value in wanted.items():
      if info.get(name) != value:
        raise faults.UsageError(
          f'--initial_agent must have {name} {value}, got '
          f'{self.initial_agent} with {info.get(name)}'
        )

  def _validate_env(self):
    """Refuses what --env contradicts, and environments of pictures."""
    if self.in_ != 'game':
      raise faults.UsageError(
        f'--env needs --in=game: {self.env} has no dream without a '
        f'--world_model, got --in={self.in_}'
      )
    given = config_flags.arguments(self, _OF_WORLD_MODELS)
    if given:
      raise faults.UsageError(
        f'--env={self.env} evolves on what the game itself says and reads no '
        f'world model: leave out --env or {" ".join(given)}'
      )
    self.game_config.validate()

  def _check_there_is_a_model(self):
    """Says what the game by itself needs, where no world model was given."""
    if self.in_ == 'game' and not os.path.exists(self.world_model):
      raise faults.UsageError(
        '--in=game needs the --world_model that the controller reads, or an '
        f'--env to evolve on what the game itself says, got '
        f'--world_model={self.world_model}, which is not there'
      )

  @property
  def game_config(self) -> 'GameConfig':
    """Settings of an evolution without a world model."""
    return config_flags.convert(self, GameConfig)

  @property
  def world_model_config(self) -> world_model_settings.Config:
    """Settings of the world model."""
    return world_model_settings.read_config('world_model', self.world_model)


# What an evolution without a world model does not read.
_OF_WORLD_MODELS = (
  *('world_model', 'dream_of', 'untrained', 'features', 'iterations'),
  'collect_episodes',
  *('refit_vision_steps', 'refit_model_steps', 'accept_dream', 'hidden'),
  *('initial_agent', 'action_noise'),
  *('temperature', 'fitness', 'lanes', 'optimizer'),
)


@dataclasses.dataclass(frozen=True)
class GameConfig(EvolutionFlags):
  """Settings of a controller that reads what the game itself says."""

  env: str = _option('pixel_copter', 'What is played.')
  evolutions: int = config_flags.changed(Config, 'evolutions', 1)
  check_episodes: int = config_flags.changed(Config, 'check_episodes', 100)

  processes: int = config_flags.changed(Config, 'processes', 0)

  @property
  def in_(self) -> str:
    """Where the controller is evolved."""
    return 'game'

  @property
  def iterations(self) -> int:
    """How often: nothing else learns in between."""
    return 1

  @property
  def run_name(self) -> str:
    """Name of the run below `runs/train_controller/`."""
    where = re.sub(r'\W+', '_', self.env)
    return f'{where}-{CMA_ES}-{self.seed}'

  def next_command(self, folder: os.PathLike) -> str:
    """The command that compares such agents with those that learn."""
    del folder
    same = config_flags.arguments(self, ('preset', 'threads'))
    return commands.line('compare_agents', f'--env={self.env}', *same)

  def validate(self):
    """Refuses environments that a linear controller cannot read or play."""
    super().validate()
    arenas.get(self.env)
    if self.env.startswith(arenas.GYM):
      with gym_lanes.open_one(self.env) as environment:
        check_spaces(self.env, environment)


def check_spaces(env: str, environment) -> None:
  """Refuses what a linear controller cannot read or play.

  Args:
    env: Its name.
    environment: Whose `observation_space` and `action_space` are looked at.

  Raises:
    faults.UsageError: Of which kind they are.
  """
  for what, wanted, kinds, space in (
    ('observations', 'a vector', _VECTORS, environment.observation_space),
    ('actions', 'an index or a vector', _ACTIONS, environment.action_space),
  ):
    if not isinstance(space, kinds) or len(space.shape) > 1:
      raise faults.UsageError(
        f'--env must have {what} that are {wanted} for a linear controller, '
        f'got {env} with {" ".join(str(space).split())}'
      )
