"""Trains a StateModel on windows of games, carrying the state between them."""

import keras
import tensorflow as tf

_DECAY = 0.05  # The last learning rate, as a share of the first.


class StateTrainer:
  """Truncated back-propagation through time over latents.Streams.

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
    self._model = model
    self._streams = streams
    first = model.initial(len(streams.window(0)[1].is_first))
    self.state = [tf.Variable(part, trainable=False) for part in first]
    rate = keras.optimizers.schedules.CosineDecay(
      learning_rate, steps, alpha=_DECAY
    )
    self.optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    self.optimizer.build(model.trainable_variables)
    self._train = tf.function(self._update, autograph=False, jit_compile=jit)

  def step(self, index):
    """Trains on window `index`; returns the loss, nats per component."""
    fresh, window = self._streams.window(index)
    return self._train(
      tf.constant(fresh),
      tf.constant(window.mean, tf.int32),
      tf.constant(window.action, tf.int32),
      tf.constant(window.is_first),
      tf.constant(window.is_terminal),
    )

  def _update(self, fresh, x, action, is_first, is_terminal):
    model = self._model
    state = [part * (1 - tf.cast(fresh, part.dtype)) for part in self.state]
    with tf.GradientTape() as tape:
      parameters, state = model.unroll(
        x[:, :-1],
        tf.one_hot(action[:, :-1], model.action_size),
        is_first[:, :-1],
        state,
      )
      nats = model.coding.nats(parameters, x[:, 1:])
      loss = _masked_mean(nats, is_first, is_terminal, model.layout)
    variables = model.trainable_variables
    gradients = tape.gradient(loss, variables)
    self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
    for variable, value in zip(self.state, state, strict=True):
      variable.assign(value)
    return {'loss': loss}


def _masked_mean(nats, is_first, is_terminal, layout):
  """Mean over the targets; after the agent's death only who is alive counts."""
  follows = tf.logical_not(is_first[:, 1:])
  living = tf.logical_and(follows, tf.logical_not(is_terminal[:, 1:]))
  scored = tf.range(layout.components) < layout.scored
  mask = tf.where(scored, living[..., None], follows[..., None])
  mask = tf.cast(mask, nats.dtype)
  return tf.reduce_sum(nats * mask) / tf.maximum(tf.reduce_sum(mask), 1)
