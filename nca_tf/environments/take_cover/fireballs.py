"""Where fireballs are on Take Cover's screen, from what the engine knows."""

from collections.abc import Iterable

import numpy as np

# Tics until a fireball reaches the player's row, from and below.
_ARRIVALS = {'near': (0, 20), 'middle': (20, 36), 'far': (36, 60)}
NAMES = tuple(f'fireball {name}' for name in _ARRIVALS)
COLUMNS = 8  # Of the screen's width.
NOWHERE = np.zeros((len(NAMES), COLUMNS), bool)


def find(objects: Iterable) -> np.ndarray:
  """Whether a fireball is in a column of the screen, bool [3, 8].

  The player looks along x, over 90 degrees: what is as far to its left as it
  is ahead is at the screen's left edge. Rows are those of `NAMES`.

  Args:
    objects: ViZDoom's, of one state.
  """
  objects = list(objects)
  found = NOWHERE.copy()
  player = next((x for x in objects if x.name == 'DoomPlayer'), None)
  if player is None:
    return found
  for ball in objects:
    ahead = ball.position_x - player.position_x
    if ball.name != 'DoomImpBall' or ball.velocity_x >= 0 or ahead <= 0:
      continue
    arrival = ahead / -ball.velocity_x
    left = (ball.position_y - player.position_y) / ahead  # 1 at the left edge.
    column = int(np.floor(COLUMNS * (1 - left) / 2))
    if 0 <= column < COLUMNS:
      for row, (first, end) in enumerate(_ARRIVALS.values()):
        found[row, column] |= first <= arrival < end
  return found
