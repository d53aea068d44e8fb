"""The local optimum that learners of PixelCopter are known to end in.

A fair coin climbs into the ceiling within 7 steps (-4.8 points); to do nothing
gives -2.65; one to three ups and then nothing gives up to 1 point, on any level
and without a look at it.
"""

import numpy as np

from nca_tf.environments.pixel_copter import engine

NAME = 'a few ups, then nothing'
RETURNS = (-1.0, 1.0)
_MOST_UPS = 3
_BEGINNING = 30  # Tics: all ups are within them.
_FALL = 10  # Tics without an up, at least, before the end.


def holds(actions: np.ndarray, lengths: np.ndarray) -> np.ndarray:
  """Tells which episodes have a few ups at the beginning, and then nothing.

  Where each tic has an up with the same probability, it is at most 0.32 of all
  episodes, whatever the probability.

  Args:
    actions: [T, N] of N episodes; after an episode's end they mean nothing.
    lengths: Tics of each episode, [N], at most T.

  Returns:
    bool [N].
  """
  tics = np.arange(len(actions))[:, None]
  is_up = (np.asarray(actions) == engine.UP) & (tics < lengths)
  count = is_up.sum(0)
  last = np.where(is_up, tics, -1).max(0, initial=-1)
  is_over = (last < _BEGINNING) & (lengths - last > _FALL)
  return (count >= 1) & (count <= _MOST_UPS) & is_over
