"""What every game says about itself, and how it reports a broken engine."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class GameSpec:
  """Facts about a game that models, recorders and tables need.

  Attributes:
    name: Name in `environments.names()`.
    observation_shape: Height, width and channels of a uint8 frame.
    actions: Number of discrete actions.
    action_kind: 'discrete' (an index) or 'continuous' (one float in [-1, 1]).
    time_limit: Tics after which an episode is truncated; a tic is the game's
      own time unit, in which scores are counted as well.
    has_reward: Whether the reward says more than "one more step survived".
    policies: Names of the scripted policies that make sense in this game.
    frame_skip: Tics for which each action is held: the length of a step.
    screen_shape: Height, width and channels of what the engine draws, uint8.
    screen_rows: How many of its rows, from the top, are scaled (bilinearly,
      with antialiasing) to the observation; 0 is all.
    mirrored_actions: What each action is in the game's mirror image, left and
      right exchanged; empty where that is another game.
  """

  name: str
  observation_shape: tuple[int, ...]
  actions: int
  action_kind: str
  time_limit: int
  has_reward: bool
  policies: tuple[str, ...]
  frame_skip: int = 1
  screen_shape: tuple[int, ...] = ()
  screen_rows: int = 0
  mirrored_actions: tuple[int, ...] = ()


class GameCrashed(RuntimeError):
  """The game's engine died; the next `reset` starts a new one.

  The episode is lost, but with the same seed it can be played again.
  """
