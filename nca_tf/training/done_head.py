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
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.datasets import latents as latents_lib
from nca_tf.world_model import hazard
from nca_tf.world_model import model as model_lib

HORIZON = 30  # Steps that M imagines from each start.
_EPISODES = 700  # Recorded episodes, at most.
_KEPT = 0.5  # Share of the steps without a death.
_BATCH = 1024
_EPOCHS = 6
_RATE = 3e-3
_FLOOR = 1e-5


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


class DoneHeadTrainer:
  """Trains a dense layer to tell deaths, by weighted cross-entropy.

  trainer = DoneHeadTrainer(model.done_head, rows, seed=0, done_weight=10)
  loop.fit('done_head', trainer.step, trainer.steps, checkpoints=..., log=...)
  """

  def __init__(
    self,
    head: keras.layers.Dense,
    rows: Rows,
    *,
    seed: int,
    done_weight: float,
  ):
    """Takes a built head, and what `collect` has made."""
    self._head = head
    self._rows = rows
    self._seed = seed
    self._weight = done_weight
    self.steps = max(1, _EPOCHS * len(rows.died) // _BATCH)
    rate = keras.optimizers.schedules.PolynomialDecay(
      _RATE, self.steps, end_learning_rate=_FLOOR
    )
    self.optimizer = keras.optimizers.Adam(rate)
    self.optimizer.build(head.trainable_variables)
    self._train = tf.function(self._update, autograph=False)

  def step(self, index: int) -> dict[str, tf.Tensor]:
    """Trains on a batch; returns the loss in nats per row."""
    rng = random_numbers.generator(
      self._seed, 'batches of the done head', index
    )
    chosen = rng.integers(len(self._rows.died), size=_BATCH)
    return self._train(*(tf.constant(part[chosen]) for part in self._rows))

  def _update(self, output, died, weight):
    variables = self._head.trainable_variables
    with tf.GradientTape() as tape:
      logit = self._head(output)[:, 0]
      loss = tf.nn.weighted_cross_entropy_with_logits(
        died, tf.cast(logit, died.dtype), self._weight
      )
      loss = tf.reduce_mean(weight * loss)
    gradients = tape.gradient(loss, variables)
    self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return {'loss': loss}
