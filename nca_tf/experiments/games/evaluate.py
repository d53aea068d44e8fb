"""Scores an agent or a scripted policy in the real game.

Ha & Schmidhuber 2018 (arXiv:1803.10122), table 2; the baselines that an agent
has to beat are theirs, and the blind metronome.
"""

import dataclasses
from typing import Any, ClassVar

from nca_tf import environments
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments.workers import player as player_lib
from nca_tf.environments.workers import saved_agent
from nca_tf.experiments.games import settings
from nca_tf.play import film
from nca_tf.play import score
from nca_tf.runs import run as run_lib

NAME = 'evaluate'


@dataclasses.dataclass(frozen=True)
class Config(settings.AgentConfig):
  """What to score; `resolved` says what its `auto` settings are."""

  env: str = config_flags.option(
    'auto',
    f"Game to play: {', '.join(environments.names())}, or any of Gymnasium's "
    "as gym:ID, such as gym:CartPole-v1; auto is the agent's, or vizdoom.",
  )
  action_kind: str = config_flags.option(
    'auto',
    'Actions as an index, or as numbers in -1..1 (which Take Cover cuts at '
    "+-1/3, as published); auto is the agent's, or the game's own.",
    choices=('auto', 'discrete', 'continuous'),
  )
  frame_skip: int = config_flags.option(
    0,
    "Tics for which each action is held; auto is the agent's own, or 1. Time "
    'limits and scores stay in tics.',
    auto=0,
    minimum=1,
  )
  agent: str = config_flags.option(
    '',
    'Folder of an agent, or of the run that made one; it plays in place of '
    '--policy.',
  )
  episodes: int = config_flags.option(
    200, 'Episodes to play.', minimum=1, identity=False
  )
  record: str = config_flags.option(
    '',
    'GIF or MP4 file for a film of the first episodes.',
    identity=False,
  )
  record_episodes: int = config_flags.option(
    1, 'Episodes in the film.', minimum=1, maximum=20, identity=False
  )

  PRESETS: ClassVar = {
    'smoke': {'episodes': 6, 'time_limit': 120},
    'laptop': {},
    'paper': {'episodes': 1000},
  }

  def __post_init__(self):
    """Leaves 'auto' as it is: an agent's kind comes before the game's."""

  def validate(self):
    """Refuses settings that contradict the agent's, and other wrong ones."""
    if self.agent and self.policy != Config.policy:
      raise faults.UsageError(
        f'--agent plays in place of --policy, got both {self.agent!r} and '
        f'{self.policy!r}'
      )
    super(Config, self.resolved).validate()
    if self.record:
      film.check(self.record)
      film.check_game(self.resolved)

  @property
  def resolved(self) -> 'Config':
    """The same with an agent as the policy, and all settings known."""
    values = {'env': 'vizdoom', 'action_kind': 'auto', 'frame_skip': 1}
    policy = self.agent or self.policy
    if self.agent or saved_agent.find(policy):
      try:
        info = player_lib.load(policy).info
      except ValueError as error:
        raise faults.UsageError(f'--agent: {error}') from error
      values = {name: info[name] for name in values}
    for name in values:
      if getattr(self, name) not in ('auto', 0):
        values[name] = getattr(self, name)
    kind = settings.find_action_kind(values['env'], values['action_kind'])
    values['action_kind'] = kind
    return dataclasses.replace(self, agent='', policy=policy, **values)


def run(config: Config) -> dict[str, Any]:
  """Plays, prints the figures and returns them; they are in `stages.json`."""
  config = config.resolved
  label = config.player.label
  name = f'{config.env}-{label}-{config.seed}'
  about = f'{config.env}, {label}'
  with run_lib.start(config, NAME, name, about, computes=False) as run:
    _check_player(run, label)
    file = run.path / 'episodes.jsonl'
    figures = score.summarise_episodes(score.play(config, file), config.seed)
    run.finish('evaluate', figures)
    print(score.describe(label, figures))
    print(f'{file} holds every episode')
    if config.record:
      frames = film.record(config, config.record)
      print(f'{config.record} shows {frames} frames')
  return figures


def _check_player(run: run_lib.Run, label: str):
  """Refuses a folder with episodes of an agent that has changed since."""
  found = run.stage('player', lambda: {'name': label})['name']
  if found != label:
    raise faults.UsageError(
      f'{run.path} holds episodes of {found}, the command has {label}; '
      'choose another --run_dir'
    )
