"""Plays a dream: a scripted policy, an agent, or a person at the keyboard.

Ha and Schmidhuber, World Models (2018), section 4: the dream as a game.
"""

import dataclasses
import json
import os
from typing import ClassVar

import numpy as np
import tensorflow as tf

from nca_tf import precision
from nca_tf.analysis import animation
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments.workers import saved_agent
from nca_tf.experiments.controller import evolution as controller_evolution
from nca_tf.experiments.controller import settings as train_controller
from nca_tf.experiments.dream import film as dream_film
from nca_tf.experiments.dream import keyboard as dream_keyboard
from nca_tf.experiments.dream import session as dream_session
from nca_tf.experiments.dream import terminal
from nca_tf.experiments.world_model import finished as finished_model
from nca_tf.experiments.world_model import run as world_model_stages
from nca_tf.experiments.world_model import settings as train_world_model
from nca_tf.runs import progress
from nca_tf.runs import run_folder
from nca_tf.world_model import codec as codec_lib
from nca_tf.world_model import dream as dream_lib

NAME = 'play_dream'
KEYBOARD = 'keyboard'

_option = config_flags.option


@dataclasses.dataclass(frozen=True)
class Config(config_flags.Common):
  """Which dream is played, and by whom."""

  world_model: str = _option(
    '',
    'Folder of a finished run of bin/train_world_model; empty is the one in '
    f'which the agent was evolved, or {train_controller.Config.world_model}.',
  )
  policy: str = _option(
    'metronome',
    f'Who plays: a scripted policy, or {KEYBOARD}: you, in this terminal.',
  )
  agent: str = _option(
    '',
    'Folder of a run of bin/train_controller, whose agent plays in place of '
    '--policy.',
  )
  output: str = _option(
    '',
    'GIF file to write; empty is RUN_DIR/dream.gif, and none with '
    f'--policy={KEYBOARD}.',
    identity=False,
  )
  lanes: int = _option(
    3, f'Dreams side by side; {KEYBOARD} plays one.', minimum=1, maximum=6
  )
  steps: int = _option(
    0,
    'Steps to play; 0 is until all are dead or the time is up.',
    minimum=0,
  )
  temperature: float = _option(
    train_controller.Config.temperature,
    "Of the dream's mixtures; above 1 it is harder.",
    minimum=0.01,
  )
  fitness: str = _option(
    train_controller.Config.fitness,
    'How one dies: expected, where fewer than 1 % would be left; sampled, '
    'where M says so, as published.',
    choices=dream_lib.FITNESS,
  )

  PRESETS: ClassVar = {
    'smoke': {'lanes': 2, 'steps': 30},
    'laptop': {},
    'paper': {'fitness': 'sampled'},
  }

  def validate(self):
    """Refuses whatever would not play, before anything is loaded."""
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
    if self.agent:
      self._check_agent()
    elif self.policy not in (*spec.policies, KEYBOARD):
      raise faults.UsageError(
        f'--policy must be one of {", ".join(spec.policies)}, {KEYBOARD}, '
        f'got {self.policy!r}'
      )

  @property
  def is_keyboard(self) -> bool:
    """Whether a person plays."""
    return self.policy == KEYBOARD

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
      return train_controller.Config.world_model
    return _find_world_model(self.agent, self.agent_info.get('iteration', 1))

  @property
  def world_model_config(self) -> train_world_model.Config:
    """Settings of the world model."""
    return finished_model.read_config(
      'world_model', self.model_folder, train_world_model.Config
    )

  def _check_agent(self):
    info, model = self.agent_info, self.world_model_config
    for name in saved_agent.SETTINGS:
      if info[name] != getattr(model, name):
        raise faults.UsageError(
          f'--world_model must have {name} {info[name]}, as the agent '
          f'{self.agent}, got {self.model_folder} with {getattr(model, name)}'
        )
    needed = {'reads', 'memory'} & set(info.get('features', ()))
    if needed and model.cell != 'dnc':
      raise faults.UsageError(
        f'--world_model must have a dnc, whose {", ".join(sorted(needed))} the '
        f'agent {self.agent} reads, got {self.model_folder} with an '
        f'{model.cell}'
      )


def _find_world_model(agent, iteration) -> str:
  """The folder of the world model in which an agent was evolved."""
  export = saved_agent.find(agent).resolve()
  run = export.parents[1]
  try:
    found = json.loads((run / 'config.json').read_text(encoding='utf-8'))
    binary, settings = found['binary'], found['config']
    first, untrained = settings['world_model'], settings['untrained']
  except (OSError, ValueError, KeyError, TypeError):
    binary = None
  if binary != train_controller.NAME:
    raise faults.UsageError(
      f'--agent must be the folder of a run of bin/{train_controller.NAME}, '
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


def run(config: Config) -> dream_session.Session:
  """Plays, shows or films it, and prints how long each dream lasted."""
  if config.output or config.is_keyboard:
    return _play(config, config.output)
  model, player = config.world_model_config, _label(config)
  name = f'{model.env}-{model.cell}-{player}-{config.temperature:g}'
  with run_folder.RunFolder.open(
    config, NAME, f'{name}-{config.seed}'
  ) as folder:
    session = _play(config, folder.path / 'dream.gif')
    folder.finish('play', {'tics': session.tics()})
    return session


def _label(config):
  return 'agent' if config.agent else config.policy


def _play(config, output):
  """Plays; `output` may be empty."""
  precision.set_precision(config.precision)
  model = world_model_stages.load(
    config.model_folder, config.world_model_config
  )
  lanes = 1 if config.is_keyboard else config.lanes
  session = dream_session.Session(model, config, lanes)
  steps = min(config.steps or session.horizon, session.horizon)
  if config.is_keyboard:
    dream_keyboard.play(session, codec_lib.Codec(model.vision, 1), steps)
  else:
    player = _make_player(config, model)
    with progress.Progress('dream', steps, 'steps') as bar:
      while session.steps < steps and not session.is_over:
        session.step(player.act(session.observation))
        bar.update(session.steps, alive=np.sum(~session.over))
  print('\n'.join(dream_film.describe(session)))
  if output:
    film, fps = dream_film.draw(session, model.codec, _label(config))
    animation.write_gif(film, output, fps)
    print(f'{output} shows {len(film)} pages at half speed')
  return session


def _make_player(config, model):
  if not config.agent:
    return dream_session.Scripted(
      config.policy, model.spec, config.lanes, config.seed
    )
  controller = controller_evolution.make_controller(
    model, config.agent_info['features']
  )
  parameters = _read_parameters(config.agent)
  if len(parameters) != controller.size:
    raise faults.UsageError(
      f'--world_model must have the sizes for {len(parameters)} parameters of '
      f'the agent {config.agent}, got {config.model_folder}, for '
      f'{controller.size}'
    )
  return dream_session.Controlled(controller, parameters)


def _read_parameters(agent):
  """The controller's own parameters [P], from its SavedModel."""
  loaded = tf.saved_model.load(str(saved_agent.find(agent)))
  return loaded.signatures['parameters']()['parameters'].numpy()
