"""Agents with no memory, an LSTM and a DNC compared in games of memory."""

import dataclasses
from typing import ClassVar

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments.memory_games import registry
from nca_tf.experiments.agents import arenas
from nca_tf.experiments.agents import settings as agent_settings
from nca_tf.experiments.memory_games import comparison
from nca_tf.memory import cell_flags
from nca_tf.memory import cells
from nca_tf.runs import commands
from nca_tf.runs import run_folder

NAME = 'compare_memory'
REFERENCE = 'dnc'  # All others get as many weights as this one.
_Agent = agent_settings.Config
_option, _changed = config_flags.option, config_flags.changed


@dataclasses.dataclass(frozen=True)
class Config(cell_flags.CellFlags):
  """Settings of all trainings alike."""

  tasks: tuple[str, ...] = _option(
    tuple(f'{game}_easy' for game in registry.CARD_GAMES),
    'Games to play, of bin/train_agent, such as repeat_first_easy, '
    'memory_chain, cue_recall-40-3 or gym:popgym-<id>.',
    identity=False,
  )
  lengths: tuple[int, ...] = _option(
    (10, 30, 100),
    'Lengths of memory_chain and cue_recall where --tasks gives none.',
    minimum=1,
    maximum=10_000,
    identity=False,
  )
  cells: tuple[str, ...] = _option(
    (agent_settings.NO_CELL, 'lstm', 'dnc'),
    'What to compare, all with as many weights as the DNC.',
    choices=lambda: (agent_settings.NO_CELL, *cells.names()),
    identity=False,
  )
  seeds: tuple[int, ...] = _option(
    (0, 1, 2, 3, 4),
    'Seeds to repeat everything with; --seed is added to each. The same '
    'folder goes on with more of them.',
    minimum=0,
    identity=False,
  )
  steps: int = _option(
    500_000,
    'Steps to learn from in each game that has no length.',
    minimum=1,
  )
  episodes: int = _option(
    10_000, 'Episodes to learn from at each length.', minimum=1
  )
  units: int = _changed(_Agent, 'units', 64)
  memory_slots: int = _changed(_Agent, 'memory_slots', 16)
  word_size: int = _changed(_Agent, 'word_size', 16)
  layers: tuple[int, ...] = _changed(_Agent, 'layers', (64,))
  lanes: int = _changed(_Agent, 'lanes', 64)
  window: int = _option(
    104,
    'Steps of each lane per update; of a game with a length, those of an '
    'episode.',
    minimum=2,
    maximum=65536,
  )
  learning_rate: float = _changed(_Agent, 'learning_rate', 3e-3)
  epochs: int = _changed(_Agent, 'epochs', 4)
  minibatches: int = _changed(_Agent, 'minibatches', 4)
  clip: float = _changed(_Agent, 'clip', 0.2)
  entropy: float = _changed(_Agent, 'entropy', 0.01)
  discount: float = _changed(_Agent, 'discount', 0.99)
  score_episodes: int = _changed(_Agent, 'score_episodes', 200)

  PRESETS: ClassVar = {
    'smoke': {
      'tasks': ('repeat_first_easy', 'memory_chain'),
      'lengths': (2, 4),
      'seeds': (0, 1),
      'layers': (8,),
      'units': 8,
      'memory_slots': 4,
      'word_size': 4,
      'read_heads': 1,
      'lanes': 8,
      'window': 16,
      'steps': 8 * 16 * 20,
      'episodes': 8 * 20,
      'score_episodes': 8,
    },
    'laptop': {},
    # POPGym's steps and sizes, and all lengths of memory_len.
    'paper': {
      'steps': 10_000_000,
      'units': 256,
      'lengths': registry.LENGTHS,
    },
  }

  @property
  def cell_names(self) -> tuple[str, ...]:
    """The cells that are compared, and the one whose weights they have."""
    named = (name for name in self.cells if name != agent_settings.NO_CELL)
    return tuple(dict.fromkeys((*named, REFERENCE)))

  @property
  def compared(self) -> list[str]:
    """All games, as `bin/train_agent` names them."""
    return comparison.find_tasks(self.tasks, self.lengths)

  def training(
    self, task: str, cell: str, seed: int, **sizes
  ) -> agent_settings.Config:
    """Returns the settings of one training, as of `bin/train_agent`.

    Args:
      task: One of `compared`.
      cell: Its memory.
      seed: One of `seeds`.
      **sizes: What differs for the sake of equal weights.
    """
    given = {'env': task, 'cell': cell, 'run_dir': '', **sizes}
    if comparison.find_length(task) is not None:
      # Whole episodes, with their boundary steps.
      given['window'] = registry.count_steps(task) + 1
      given['steps'] = self.episodes * given['window']
    return config_flags.convert(self, _Agent, **given, seed=self.seed + seed)

  @property
  def run_name(self) -> str:
    """Name of the run below `runs/compare_memory/`."""
    return str(self.seed)

  def next_command(self) -> str:
    """The command that trains the last agent alone, with all its curves."""
    config = self.training(self.compared[-1], self.cells[-1], self.seeds[0])
    return commands.line(agent_settings.NAME, *config_flags.arguments(config))

  def check_folder(self):
    """Refuses a run folder of other settings, before TensorFlow."""
    run_folder.check(self, NAME, self.run_name)

  def validate(self):
    """Refuses what none of the trainings could do, before the first begins."""
    super().validate()
    for name in ('tasks', 'cells', 'seeds', 'lengths'):
      values = getattr(self, name)
      if not values or len(set(values)) < len(values):
        raise faults.UsageError(
          f'--{name} must name at least one, none of them twice, got '
          f'{",".join(map(str, values)) or "none"}'
        )
    for name in self.compared:
      try:
        arenas.get(name)
      except faults.UsageError as error:
        text = str(error).replace('--env', '--tasks')
        raise faults.UsageError(text) from error
    for task in self.compared:
      self.training(task, REFERENCE, self.seeds[0]).validate()
