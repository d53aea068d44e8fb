"""Fits M's done head again, on futures that M imagines itself.

In M's training the head sees states that come from true frames, and in a dream
none of those: its hazard is right one step ahead and far too low a few steps
later. Here M runs on its own from true states under the recorded actions, and
the head learns which of these states were those of a death. Nothing else of M
changes. Letters: R rows, O outputs of M's cell.
"""

import typing

import keras
import numpy as np
from sklearn import linear_model

from nca_tf import random_numbers
from nca_tf.datasets import latents as latents_lib
from nca_tf.world_model import hazard
from nca_tf.world_model import model as model_lib

HORIZON = 30  # Steps that M imagines from each start.
_EPISODES = 700  # Recorded episodes, at most.
_KEPT = 0.5  # Share of the steps without a death.


class Rows(typing.NamedTuple):
  """Imagined states."""

  output: np.ndarray  # [R, O], of M's cell
  died: np.ndarray  # [R] float32, whether the game ended there
  weight: np.ndarray  # [R] float32


def collect(
  model: model_lib.MemoryModel, latents: latents_lib.Latents, seed: int
) -> Rows:
  """Imagines states from recorded episodes.

  All deaths are kept, and half of the other steps with twice the weight.

  Args:
    model: M.
    latents: Whole episodes, of which at most 700 are used.
    seed: Of everything that is drawn.
  """
  rng = random_numbers.generator(seed, 'rows of the done head')
  count = len(latents.episodes)
  if count > _EPISODES:
    chosen = np.sort(rng.permutation(count)[:_EPISODES])
    latents = latents_lib.select(latents, chosen)
  parts = []
  for futures in hazard.imagine(model, latents, HORIZON, seed):
    died = futures.died
    is_kept = rng.random(died.shape) < _KEPT
    kept = futures.happened & (died | is_kept)
    weight = np.where(died[kept], 1, 1 / _KEPT)
    parts.append((futures.output[kept], died[kept], weight))
  joined = (np.concatenate(part) for part in zip(*parts, strict=True))
  return Rows(*(part.astype(np.float32) for part in joined))


def fit(head: keras.layers.Dense, rows: Rows, done_weight: float) -> None:
  """Sets a dense layer to the logistic regression of the rows.

  It is fitted without weighing deaths, so that over all rows as many of them
  are imagined as there were; what they weighed in M's loss is then added to the
  bias, for a dream takes that back from it.

  Args:
    head: M's done head, built.
    rows: Of `collect`, with deaths and other rows among them.
    done_weight: What a death weighed in M's loss.
  """
  # Its Newton steps are of O + 1 unknowns, however many rows there are.
  regression = linear_model.LogisticRegression(solver='newton-cholesky')
  regression.fit(rows.output, rows.died > 0, sample_weight=rows.weight)
  bias = regression.intercept_ + np.log(done_weight)
  head.set_weights([regression.coef_.T, bias])
