"""Trains M on latents: windows with carried state, z drawn anew each time."""

import functools

import keras
import numpy as np
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf import random_tensors
from nca_tf.world_model import model as model_lib
from nca_tf.world_model import vision as vision_lib


class Decay(keras.optimizers.schedules.LearningRateSchedule):
  """(initial - floor) * rate ** step + floor, as in doomrnn."""

  def __init__(self, initial, rate, floor=1e-5):
    """Learning rate at step 0, factor per step, and limit."""
    self.initial = initial
    self.rate = rate
    self.floor = floor

  def __call__(self, step):
    """Learning rate at `step`."""
    step = tf.cast(step, tf.float32)
    return (self.initial - self.floor) * self.rate**step + self.floor

  def get_config(self):
    """Constructor arguments."""
    return {'initial': self.initial, 'rate': self.rate, 'floor': self.floor}


class WindowTrainer:
  """Truncated back-propagation through time over latents.Streams.

  A subclass has `_losses(window, index, state)`, which returns the terms of
  the loss, by name, and the state after the window.
  """

  def __init__(self, model, streams, optimizer, jit):
    """Takes a built model and Keras' optimiser of it; see the subclasses."""
    self._model = model
    self._streams = streams
    batch = streams.window(0)[1].is_first.shape[0]
    self.state = [
      tf.Variable(tf.zeros_like(part), trainable=False)
      for part in model.initial(batch)
    ]
    self.optimizer = optimizer
    self.optimizer.build(model.trainable_variables)
    self._train = tf.function(self._update, autograph=False, jit_compile=jit)

  def step(self, index):
    """Trains on window `index`; returns the terms of the loss."""
    fresh, window = self._streams.window(index)
    return self._train(
      tf.constant(fresh), tensors(window), tf.constant(index, tf.int32)
    )

  def _update(self, fresh, window, index):
    model = self._model
    state = [part * (1 - tf.cast(fresh, part.dtype)) for part in self.state]
    with tf.GradientTape() as tape:
      terms, state = self._losses(window, index, state)
    gradients = tape.gradient(terms['loss'], model.trainable_variables)
    self.optimizer.apply_gradients(
      zip(gradients, model.trainable_variables, strict=True)
    )
    for variable, value in zip(self.state, state, strict=True):
      variable.assign(value)
    return {**terms, 'gradient_norm': tf.linalg.global_norm(gradients)}


class ModelTrainer(WindowTrainer):
  """Trains a MemoryModel on latents.

  trainer = ModelTrainer(model, streams, seed=0, learning_rate=Decay(1e-3, 1))
  loop.fit('model', trainer.step, 1000, checkpoints=..., log=...)
  """

  def __init__(
    self,
    model,
    streams,
    *,
    seed,
    learning_rate,
    done_weight=10.0,
    reward_weight=1.0,
    jit=False,
  ):
    """Builds the model, its optimiser and the carried state.

    Args:
      model: a MemoryModel.
      streams: datasets.latents.Streams.
      seed: of the posterior samples.
      learning_rate: a number or a schedule.
      done_weight: weight of the steps that end the game.
      reward_weight: of the squared error of rewards, see `reward_weight`.
      jit: compile with XLA.
    """
    model.build()
    self._seed = seed
    self._weights = done_weight, reward_weight
    # Each value is clipped to +-1, as in doomrnn.
    optimizer = keras.optimizers.Adam(learning_rate, clipvalue=1.0)
    super().__init__(model, streams, optimizer, jit)
    held_out = functools.partial(self._losses, purpose='held-out model')
    self._evaluate = tf.function(held_out, autograph=False)

  def evaluate(self, streams, windows=8):
    """Mean terms over the first windows of held-out streams."""
    windows = min(windows, streams.windows_per_epoch)
    first = tensors(streams.window(0)[1])
    state = self._model.initial(first.is_first.shape[0])
    totals = {}
    for index in range(windows):
      window = tensors(streams.window(index)[1])
      terms, state = self._evaluate(window, tf.constant(index), state)
      for name, value in terms.items():
        totals[name] = totals.get(name, 0) + float(value) / windows
    return totals

  def _losses(self, window, index, state, purpose='model'):
    model = self._model
    key = random_numbers.key(self._seed, purpose, index)
    transitions = sample_transitions(window, model.action_size, key)
    return model.losses(transitions, state, key + [1, 0], *self._weights)


def reward_weight(rewards) -> float:
  """What the squared error of rewards weighs in M's loss.

  Games count in units of their own: of rewards that vary by more than 1 the
  error is taken in their standard deviations, so that it does not drown the
  rest of the loss.
  """
  return 1 / max(1.0, float(np.var(rewards, dtype=np.float64)))


def tensors(window):
  """Latents of NumPy arrays -> Latents of tensors."""
  return type(window)(*(tf.constant(field) for field in window))


def sample_transitions(window, action_size, key=None):
  """Latents [B, T + 1] -> Transitions.

  Args:
    window: Latents of tensors.
    action_size: number of discrete actions, or of continuous components.
    key: of the random stream; None takes the posterior mean.
  """
  dtype = keras.backend.floatx()
  z = tf.cast(window.mean, dtype)
  log_variance = tf.cast(window.log_variance, dtype)
  if key is not None:
    noise = random_tensors.normal(key, tf.shape(z), dtype)
    z = vision_lib.sample_posterior(z, log_variance, noise)
  action = window.action
  if action.dtype.is_integer:
    action = tf.one_hot(action, action_size, dtype=dtype)
  else:
    shape = tf.concat([tf.shape(z)[:-1], [action_size]], 0)
    action = tf.reshape(tf.cast(action, dtype), shape)
  return model_lib.Transitions(
    z,
    action,
    window.reward,
    window.is_first,
    window.is_terminal,
    tf.exp(log_variance),
  )
