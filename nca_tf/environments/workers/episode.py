"""One episode of a game, determined by its seed."""

import zlib
from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import numpy as np

from nca_tf import random_numbers

_COMPRESSION = 1  # zlib's fastest: higher levels save 5 % for twice the time.


class Result(NamedTuple):
  """One episode of L steps."""

  index: int  # Position of its seed in the sequence of seeds
  seed: int  # The seed that determines it
  # Sum of the rewards; None where the episode failed time after time
  score: float | None
  tics: int  # L times the frame skip, cut by the end: game time survived
  terminated: bool  # Whether it ended by death and not by the time limit
  # int32 or float32 [L], float32 [L, A] of several components, or None where
  # nothing was recorded
  actions: np.ndarray | None = None
  rewards: np.ndarray | None = None  # float32 [L], or None
  # One zlib block of uint8 [L + 1, height, width, channels], or of float32
  # [L + 1, size] of a game of vectors, or None
  frames: bytes | None = None


def play(
  env: gymnasium.Env,
  policy,
  index: int,
  seed: int,
  *,
  parameters: np.ndarray | None = None,
  record: bool = False,
  on_step: Callable[[], None] | None = None,
) -> Result:
  """Plays one episode in this process.

  Args:
    env: A game.
    policy: A policy for it.
    index: Copied to the result.
    seed: Determines the episode, together with the game and the policy.
    parameters: Of the policy's controller, for policies that have one.
    record: Whether the result holds the actions, rewards and frames.
    on_step: Called before each step; may raise to end the episode.

  Raises:
    GameCrashed: The engine died.
  """
  observation, _ = env.reset(seed=seed)
  rng = random_numbers.policy_generator(seed)
  if parameters is None:
    policy.reset(rng)
  else:
    policy.reset(rng, parameters)
  frames, actions, rewards = [observation], [], []
  terminated = truncated = False
  info = {}
  while not (terminated or truncated):
    if on_step is not None:
      on_step()
    action = policy.act(observation)
    observation, reward, terminated, truncated, info = env.step(action)
    rewards.append(reward)
    if record:
      actions.append(action)
      frames.append(observation)
  tics = info.get('tics', len(rewards))
  result = Result(index, seed, float(sum(rewards)), tics, terminated)
  if not record:
    return result
  first = np.asarray(actions[0])
  kind = np.float32 if first.dtype.kind == 'f' else np.int32
  # A plain number is the same action as an array of one.
  shape = first.shape if first.size > 1 else ()
  return result._replace(
    actions=np.asarray(actions, kind).reshape(len(actions), *shape),
    rewards=np.asarray(rewards, np.float32),
    frames=zlib.compress(_stack(frames).tobytes(), _COMPRESSION),
  )


def _stack(frames):
  stacked = np.stack(frames)
  return stacked.astype(np.float32) if stacked.dtype.kind == 'f' else stacked
