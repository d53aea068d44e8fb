"""Settings of every experiment in which a scripted policy plays a game."""

import dataclasses

from nca_tf import config_flags
from nca_tf import environments
from nca_tf import faults


@dataclasses.dataclass(frozen=True)
class PlayConfig(config_flags.Common):
  """Which game is played, by whom and for how long."""

  env: str = config_flags.option(
    'vizdoom', 'Game to play.', choices=environments.names()
  )
  policy: str = config_flags.option('random', 'Scripted policy that plays.')
  time_limit: int = config_flags.option(
    0, "Steps after which an episode ends; 0 is the game's own.", minimum=0
  )
  processes: int = config_flags.option(
    0,
    'Games played at once; 0 is one per core.',
    minimum=0,
    maximum=1024,
    identity=False,
  )

  def validate(self):
    """Refuses a policy that the game does not have."""
    names = environments.get_spec(self.env).policies
    if self.policy not in names:
      raise faults.UsageError(
        f'--policy must be one of {", ".join(names)}, got {self.policy!r}'
      )

  @property
  def game_options(self):
    """Options of `environments.make`."""
    return {'time_limit': self.time_limit} if self.time_limit else {}
