"""Settings of a dream that is played: by whom, and how it ends."""

import dataclasses
import os
from typing import ClassVar

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments.workers import saved_agent
from nca_tf.experiments.controller import settings as controller_settings
from nca_tf.experiments.dream import terminal
from nca_tf.experiments.games import settings as games_settings
from nca_tf.experiments.world_model import settings as world_model_settings
from nca_tf.memory import cells
from nca_tf.runs import run_folder

NAME = 'play_dream'
KEYBOARD = 'keyboard'

_DEFAULT_MODEL = controller_settings.Config.world_model
_option = config_flags.option


@dataclasses.dataclass(frozen=True)
class Config(controller_settings.DreamFlags):
  """Which dream is played, and by whom."""

  world_model: str = _option(
    '',
    'Folder of a finished run of bin/train_world_model; empty is the one in '
    f'which the agent was evolved, or {_DEFAULT_MODEL}.',
  )
  policy: str = _option(
    'metronome',
    f'Who plays: a scripted policy of the game, or {KEYBOARD}: you, in this '
    'terminal.',
    names=lambda: (*games_settings.policy_names(), KEYBOARD),
  )
  agent: str = _option(
    '', 'Run of bin/train_controller whose agent plays in place of --policy.'
  )
  output: str = _option(
    '',
    f'GIF file; empty is RUN_DIR/dream.gif, and none with --policy={KEYBOARD}.',
    identity=False,
  )
  lanes: int = _option(
    3, f'Dreams side by side; {KEYBOARD} plays one.', minimum=1, maximum=6
  )
  steps: int = _option(
    0,
    'Steps to play; auto plays until all are dead or time is up.',
    auto=0,
    minimum=1,
  )

  PRESETS: ClassVar = {
    'smoke': {'lanes': 2, 'steps': 30},
    'laptop': {},
    'paper': {'fitness': 'sampled'},
  }

  @property
  def run_name(self) -> str:
    """Name of the run below `runs/play_dream/`."""
    model = self.world_model_config
    name = f'{model.env}-{model.cell}-{self.label}-{self.temperature:g}'
    return f'{name}-{self.seed}'

  def check_folder(self):
    """Refuses a run folder of other settings, before TensorFlow."""
    if self.needs_folder:
      run_folder.check(self, NAME, self.run_name)

  @property
  def needs_folder(self) -> bool:
    """Whether the film goes into a run folder."""
    return not (self.output or self.is_keyboard)

  def validate(self):
    """Refuses what would not play, before anything is loaded."""
    super().validate()
    if self.agent and self.policy != Config.policy:
      raise faults.UsageError(
        f'--agent plays in place of --policy, got both {self.agent!r} and '
        f'{self.policy!r}'
      )
    if self.output and not self.output.endswith('.gif'):
      raise faults.UsageError(
        f'--output must name a .gif file, got {self.output!r}'
      )
    if os.path.isdir(self.output):
      raise faults.UsageError(
        f'--output must name a file, got folder {self.output}'
      )
    if self.is_keyboard and not terminal.is_there():
      raise faults.UsageError(
        f'--policy={KEYBOARD} needs a terminal as standard input and output, '
        'got something else; start it from a terminal'
      )
    spec = self.world_model_config.game_spec
    is_index = spec.action_kind == 'discrete'
    steers = spec.actions > 2 if is_index else spec.components == 1
    if self.is_keyboard and not (spec.has_frames and steers):
      raise faults.UsageError(
        f'--policy={KEYBOARD} steers pictures to the left and right, got '
        f'{spec.name}, whose actions or observations are others'
      )
    if self.agent:
      self._check_agent()
    elif self.policy not in (*spec.policies, KEYBOARD):
      raise faults.UsageError(
        f'--policy must be one of {spec.policy_names}, {KEYBOARD}, got '
        f'{self.policy!r}'
      )

  @property
  def is_keyboard(self) -> bool:
    """Whether a person plays."""
    return self.policy == KEYBOARD

  @property
  def label(self) -> str:
    """Who plays."""
    return 'agent' if self.agent else self.policy

  @property
  def agent_info(self):
    """What the agent says of itself."""
    try:
      return saved_agent.read_info(self.agent)
    except ValueError as error:
      raise faults.UsageError(f'--agent: {error}') from error

  @property
  def model_folder(self) -> str:
    """Folder of the world model."""
    if self.world_model:
      return self.world_model
    if not self.agent:
      return _DEFAULT_MODEL
    return _find_world_model(self.agent, self.agent_info.get('iteration', 1))

  @property
  def world_model_config(self) -> world_model_settings.Config:
    """Settings of the world model."""
    return world_model_settings.read_config('world_model', self.model_folder)

  def _check_agent(self):
    info, model = self.agent_info, self.world_model_config
    if not info.get('features'):
      raise faults.UsageError(
        "--agent must read z or M's state, as controllers of "
        f'bin/{controller_settings.NAME} do, got {self.agent}, which reads '
        'frames'
      )
    for name in saved_agent.SETTINGS:
      if info[name] != getattr(model, name):
        raise faults.UsageError(
          f'--world_model must have {name} {info[name]}, as the agent '
          f'{self.agent}, got {self.model_folder} with {getattr(model, name)}'
        )
    entry = cells.get(model.cell)
    lacking = set(info['features']) - {'z', *entry.feature_names}
    if lacking:
      raise faults.UsageError(
        f'--world_model must have a cell with {", ".join(sorted(lacking))}, '
        f'which the agent {self.agent} reads, got {self.model_folder} with '
        f'{entry.article} {model.cell}'
      )


def _find_world_model(agent, iteration) -> str:
  """The folder of the world model in which an agent was evolved."""
  run = saved_agent.find(agent).resolve().parents[1]
  try:
    found = run_folder.read_config(run)
    binary, settings = found['binary'], found['config']
    first, untrained = str(settings['world_model']), settings['untrained']
  except (FileNotFoundError, KeyError):
    binary = None
  except ValueError as error:
    raise faults.UsageError(
      f'--agent: {error}; put it back, or give --world_model'
    ) from error
  if binary != controller_settings.NAME:
    raise faults.UsageError(
      f'--agent must be the folder of a run of bin/{controller_settings.NAME}, '
      f'or have a --world_model beside it, got {agent!r}'
    )
  if untrained:
    raise faults.UsageError(
      '--agent must have a trained M, whose dream means something, got '
      f'{agent!r}, made with --untrained'
    )
  if iteration > 1:
    return str(run / f'iteration-{iteration}' / 'world_model')
  return first
