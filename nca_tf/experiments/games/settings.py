"""Settings of every experiment in which someone plays a game."""

import contextlib
import dataclasses
import functools
from typing import Any

from nca_tf import environments
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments import workers
from nca_tf.environments.workers import player as player_lib
from nca_tf.environments.workers import saved_agent


def find_action_kind(env: str, kind: str) -> str:
  """Returns the game's own kind for 'auto'; 'auto' where there is no game."""
  if kind == 'auto':
    with contextlib.suppress(ValueError, ImportError):  # `validate` says it.
      return environments.get_spec(env).action_kind
  return kind


def policy_names() -> tuple[str, ...]:
  """Returns the names of the scripted policies of all games."""
  specs = map(environments.get_spec, environments.names())
  return tuple(dict.fromkeys(name for spec in specs for name in spec.policies))


@dataclasses.dataclass(frozen=True)
class PlayConfig(config_flags.Common):
  """Which game is played, by whom and for how long."""

  env: str = config_flags.option(
    'vizdoom',
    f"Game to play: {', '.join(environments.names())}, or any of Gymnasium's "
    'as gym:ID, such as gym:CartPole-v1.',
  )
  action_kind: str = config_flags.option(
    'auto',
    'Actions as an index, or as numbers in -1..1 (which Take Cover cuts at '
    "+-1/3, as published); auto is the game's own, an index where it has both.",
    choices=('auto', 'discrete', 'continuous'),
  )
  policy: str = config_flags.option(
    'random',
    'Who plays: a scripted policy of the game, or the folder of an agent, or '
    'of the run that made one.',
    names=policy_names,
  )
  time_limit: int = config_flags.option(
    0,
    "Tics after which an episode ends; auto is the game's own.",
    auto=0,
    minimum=1,
  )
  frame_skip: int = config_flags.option(
    1,
    'Tics for which each action is held. Time limits and scores stay in tics.',
    minimum=1,
  )
  view: str = config_flags.option(
    environments.WHOLE,
    'Part of the screen that is shown, where the game has several: band is the '
    'rows of Take Cover in which fireballs fly, 32x128.',
    choices=environments.views,
  )
  engine: str = config_flags.option(
    'native',
    "What computes the game: native is the library's own engine; package is "
    "the original's of Pommerman, where that is installed.",
    choices=environments.engines,
    identity=False,
  )
  processes: int = config_flags.option(
    0,
    'Games played at once; auto is one per core.',
    auto=0,
    minimum=1,
    maximum=1024,
    identity=False,
  )

  def __post_init__(self):
    """Fills in the game's own kind of action, so that config.json says it."""
    kind = find_action_kind(self.env, self.action_kind)
    object.__setattr__(self, 'action_kind', kind)

  def validate(self):
    """Refuses what the game does not have, and an agent of another game."""
    super().validate()
    self._check_game()
    try:
      self.player  # noqa: B018  It is read here for the first time.
    except ValueError as error:
      raise faults.UsageError(f'--{error}') from error

  def _check_game(self):
    """Refuses an engine or a kind of action that the game does not have."""
    try:
      spec = environments.get_spec(self.env)
    except ImportError as error:
      raise faults.UsageError(f'--env: {error}') from error
    except ValueError as error:
      text = str(error).removeprefix('name ')
      raise faults.UsageError(f'--env {text}') from error
    for name, value, known in (
      ('action_kind', self.action_kind, spec.action_kinds),
      ('view', self.view, spec.views),
      ('engine', self.engine, spec.engines),
    ):
      if value not in known:
        raise faults.UsageError(
          f'--{name} must be {" or ".join(known)} in {self.env}, got {value!r}'
        )
    if missing := spec.engines[self.engine]():
      raise faults.UsageError(f'--engine: {missing}')

  @functools.cached_property
  def player(self) -> player_lib.Player:
    """Who plays, `ValueError` where --policy names nobody who can."""
    return player_lib.resolve(self.policy, self.game_spec)

  @property
  def game_options(self) -> dict[str, Any]:
    """Options of `environments.make`."""
    options = {'action_kind': self.action_kind}
    if self.time_limit:
      options['time_limit'] = self.time_limit
    if self.frame_skip > 1:
      options['frame_skip'] = self.frame_skip
    if self.view != environments.WHOLE:
      options['view'] = self.view
    if self.engine != 'native':
      options['engine'] = self.engine
    return options

  def play(self, first: int, end: int, record: bool = False):
    """Plays episodes `first` to `end`, see `workers.play`; to be closed.

    Episode `index` depends on the seed and on `index` alone.
    """
    return workers.play(
      self.env,
      self.player,
      [environments.episode_seed(self.seed, i) for i in range(first, end)],
      processes=self.processes,
      record=record,
      options=self.game_options,
    )

  @property
  def game_spec(self) -> environments.GameSpec:
    """What is known of the game.

    Raises:
      faults.UsageError: A package that the game needs is not installed.
    """
    try:
      return environments.get_spec(self.env, **self.game_options)
    except ImportError as error:
      raise faults.UsageError(f'--env: {error}') from error


class AgentConfig(PlayConfig):
  """A PlayConfig that opens the game as the agent who plays has learnt it."""

  def validate(self):
    """Refuses options of an agent that its game does not have, as well."""
    self._check_game()
    try:
      options = self._agent_options
    except ValueError as error:
      raise faults.UsageError(f'--{error}') from error
    try:
      if options:
        environments.make(self.env, **options).close()
    except (ImportError, TypeError, ValueError) as error:
      raise faults.UsageError(
        f'--policy: options in {self.policy} must be those of {self.env}, got '
        f'{options}: {error}'
      ) from error
    super().validate()

  @property
  def game_options(self) -> dict[str, Any]:
    """Options of `environments.make`: the agent's, unless flags say others."""
    return {**self._agent_options, **super().game_options}

  @property
  def _agent_options(self):
    if not saved_agent.find(self.policy):
      return {}
    try:
      return player_lib.load(self.policy).info.get('options', {})
    except ValueError as error:
      raise ValueError(f'policy: {error}') from error
