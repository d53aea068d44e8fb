"""Settings of every experiment in which someone plays a game."""

import dataclasses

from nca_tf import environments
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments.pommerman.original import package
from nca_tf.environments.workers import saved_agent


@dataclasses.dataclass(frozen=True)
class PlayConfig(config_flags.Common):
  """Which game is played, by whom and for how long."""

  env: str = config_flags.option(
    'vizdoom', 'Game to play.', choices=environments.names()
  )
  action_kind: str = config_flags.option(
    'discrete',
    'Actions as an index, or as one number in -1..1 that the game cuts at '
    '+-1/3, as published.',
    choices=('discrete', 'continuous'),
  )
  policy: str = config_flags.option(
    'random',
    'Who plays: a scripted policy, or the folder of an agent, or of the run '
    'that made one.',
  )
  time_limit: int = config_flags.option(
    0, "Tics after which an episode ends; 0 is the game's own.", minimum=0
  )
  frame_skip: int = config_flags.option(
    1,
    'Tics for which each action is held. Time limits and scores stay in tics.',
    minimum=1,
  )
  engine: str = config_flags.option(
    'native',
    "Who plays Pommerman: our engine, or the original's package where it is "
    'installed.',
    choices=('native', 'package'),
    identity=False,
  )
  processes: int = config_flags.option(
    0,
    'Games played at once; 0 is one per core.',
    minimum=0,
    maximum=1024,
    identity=False,
  )

  def validate(self):
    """Refuses a policy that the game does not have, or an agent of another."""
    self._check_game()
    names = self.game_spec.policies
    if self.policy in names:
      return
    if saved_agent.find(self.policy) is None:
      raise faults.UsageError(
        f'--policy must be one of {", ".join(names)}, or the folder of an '
        f'agent, got {self.policy!r}'
      )
    try:
      info = saved_agent.read_info(self.policy)
    except ValueError as error:
      raise faults.UsageError(f'--policy: {error}') from error
    for name in saved_agent.SETTINGS:
      if getattr(self, name) != info[name]:
        raise faults.UsageError(
          f'--{name} must be {info[name]}, the one of the agent {self.policy}, '
          f'got {getattr(self, name)}'
        )

  def _check_game(self):
    """Refuses an engine or a kind of action that the game does not have."""
    if self.env == 'pommerman' and self.action_kind != 'discrete':
      raise faults.UsageError(
        f'--action_kind must be discrete in pommerman, got {self.action_kind!r}'
      )
    if self.engine == 'native':
      return
    if self.env != 'pommerman':
      raise faults.UsageError(
        f'--engine must be native in {self.env}, got {self.engine!r}'
      )
    if not package.is_installed():
      raise faults.UsageError(f'--engine: {package.MISSING}')

  @property
  def game_options(self):
    """Options of `environments.make`."""
    options = {'action_kind': self.action_kind}
    if self.time_limit:
      options['time_limit'] = self.time_limit
    if self.frame_skip > 1:
      options['frame_skip'] = self.frame_skip
    if self.engine != 'native':
      options['engine'] = self.engine
    return options

  @property
  def game_spec(self):
    """What is known of the game, environments.GameSpec."""
    return environments.get_spec(self.env, **self.game_options)
