"""Frames of a game beside what it says of them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nca_tf import environments
from nca_tf import random_numbers
from nca_tf.environments.workers import player as player_lib


class Labelled(NamedTuple):
  """F frames of several episodes."""

  frames: np.ndarray  # uint8 [F, H, W, C]
  labels: np.ndarray  # bool [F, rows, columns], see `GameSpec.labels`
  episode: np.ndarray  # [F], number of each frame's episode


def play(
  env: str,
  player: player_lib.Player,
  episodes: int,
  seed: int,
  options: Mapping[str, Any],
) -> Labelled:
  """Plays episodes of a game that has labels, in this process.

  Args:
    env: The game.
    player: Who plays.
    episodes: How many.
    seed: Of the episodes, which are others than recorded with this seed.
    options: Of `environments.make`.
  """
  game = environments.make(env, labels=True, **options)
  policy = player.make(environments.get_spec(env, **options))
  base = random_numbers.derive(seed, 'labelled episodes')
  rows = []
  try:
    for number in range(episodes):
      own = environments.episode_seed(base, number)
      policy.reset(random_numbers.generator(own, 'labelled episode'))
      frame, info = game.reset(seed=own)
      is_over = False
      while not is_over:
        rows.append((frame, info['labels'], number))
        frame, _, terminated, truncated, info = game.step(policy.act(frame))
        is_over = terminated or truncated
  finally:
    game.close()
  return Labelled(*map(np.array, zip(*rows, strict=True)))
