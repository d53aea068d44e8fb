"""When a game is over, who gets which reward, and who has won."""

import typing

import numpy as np

from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.game_state import State
from nca_tf.environments.pommerman.engine.variants import Variant


class Outcome(typing.NamedTuple):
  """What a step of G games gave to A agents."""

  rewards: np.ndarray  # [G, A] int64, -1, 0 or 1
  done: np.ndarray  # [G] bool, whether the game is over
  # Of `observation.observe`, or None
  observations: dict[str, np.ndarray] | None = None


def judge(state: State) -> Outcome:
  """Returns the rewards after a step, and which games are over."""
  alive, variant = state.alive, state.variant
  living = np.count_nonzero(alive, 1)
  late = state.step_count >= variant.max_steps
  done = late | is_decided(alive, variant)
  if variant.teams:
    ours, theirs = alive[:, ::2].any(1), alive[:, 1::2].any(1)
    # A team has lost when all of it are dead and one of the other lives.
    sign = ours.astype(np.int64) - theirs  # [G]
    rewards = sign[:, None] * np.array([1, -1, 1, -1])
    rewards[(late & (sign == 0)) | (living == 0)] = -1
    return Outcome(rewards, done)
  won = (living == 1)[:, None]
  if variant.game_type == variants.FFA:
    rewards = alive.astype(np.int64) - 1  # The dead get -1 again and again.
  else:
    rewards = np.zeros(alive.shape, np.int64)
  rewards[late] = -1
  rewards = np.where(won, 2 * alive - 1, rewards)
  if variant.training_agent is not None:
    done |= ~alive[:, variant.training_agent]
  return Outcome(rewards, done)


def is_decided(alive: np.ndarray, variant: Variant) -> np.ndarray:
  """Tells from alive [G, A] which games end before the limit: [G] bool."""
  over = np.count_nonzero(alive, 1) <= 1
  if variant.teams:
    # One against one plays on; a whole team, agents 0 and 2 or 1 and 3, alone
    # on the board has won.
    bits = alive @ np.array([1, 2, 4, 8])
    over |= (bits == 0b0101) | (bits == 0b1010)
  return over


def get_result(state: State, outcome: Outcome) -> tuple[np.ndarray, np.ndarray]:
  """Returns the results of games and their winners after a step.

  Returns:
    [G] WIN, TIE or INCOMPLETE, and [G, A] bool, who has won.
  """
  rewards = outcome.rewards
  if state.variant.teams:
    tie = np.all(rewards == -1, 1)
  else:
    tie = np.count_nonzero(rewards == 1, 1) != 1
  result = np.where(tie, variants.TIE, variants.WIN)
  result[~outcome.done] = variants.INCOMPLETE
  return result, (rewards == 1) & (result == variants.WIN)[:, None]
