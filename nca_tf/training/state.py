"""Trains a StateModel on windows of games, carrying the state between them."""

import keras
import tensorflow as tf

from nca_tf.training import model as model_training
from nca_tf.world_model import model as model_lib

_DECAY = 0.05  # The last learning rate, as a share of the first.


class StateTrainer(model_training.WindowTrainer):
  """Trains a StateModel on its nats per component.

  trainer = StateTrainer(model, streams, steps=1000, learning_rate=2e-3)
  loop.fit('model', trainer.step, 1000, checkpoints=..., log=...)
  """

  def __init__(self, model, streams, *, steps, learning_rate, jit=False):
    """Builds the optimiser and the carried state.

    Args:
      model: a built StateModel.
      streams: datasets.latents.Streams, whose means are the integers.
      steps: windows in all, over which the learning rate falls along a cosine.
      learning_rate: at the first window.
      jit: compile with XLA.
    """
    rate = keras.optimizers.schedules.CosineDecay(
      learning_rate, steps, alpha=_DECAY
    )
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    super().__init__(model, streams, optimizer, jit)

  def step(self, index):
    """Trains on window `index`; returns the loss, nats per component."""
    return {'loss': super().step(index)['loss']}

  def _losses(self, window, index, state):
    model = self._model
    x = tf.cast(window.mean, tf.int32)
    action = tf.one_hot(tf.cast(window.action, tf.int32), model.action_size)
    parameters, state = model.unroll(
      x[:, :-1], action[:, :-1], window.is_first[:, :-1], state
    )
    nats = model.coding.nats(parameters, x[:, 1:])
    ends = window.is_first, window.is_terminal
    return {'loss': _masked_mean(nats, *ends, model.layout)}, state


def _masked_mean(nats, is_first, is_terminal, layout):
  """Mean over the targets; after the agent's death only who is alive counts."""
  living, follows = model_lib.masks(is_first, is_terminal)
  scored = tf.range(layout.components) < layout.scored
  mask = tf.where(scored, living[..., None], follows[..., None])
  return model_lib.masked_mean(nats, mask)
