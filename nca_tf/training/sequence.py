"""Trains a SequenceModel on a memory task, with a curriculum of lengths."""

import keras
import numpy as np
import tensorflow as tf

from nca_tf import checks
from nca_tf import random_numbers


class SequenceTrainer:
  """Adam on a fresh batch of sequences at every step.

      trainer = SequenceTrainer(model, task, longest=12, seed=0, ...)
      loop.fit('dnc', trainer.step, 5000, checkpoints=..., log=...)
      errors = trainer.evaluate([12, 24], 256)  # [2, 256]

  Every batch is a function of the seed and of the step's index.
  """

  def __init__(
    self,
    model,
    task,
    *,
    longest,
    seed,
    learning_rate,
    batch=32,
    warm_up=0,
    clip=1.0,
    jit=True,
  ):
    """Builds the optimiser.

    Args:
      model: a memory.sequence_model.SequenceModel, built.
      task: a datasets.memory_tasks.Task.
      longest: length of the longest sequences trained on.
      seed: of the sequences.
      learning_rate: a number or a schedule, of Adam.
      batch: sequences per update.
      warm_up: updates during which the longest length grows from the task's
        shortest; 0 starts with all lengths.
      clip: largest norm of the whole gradient.
      jit: compile with XLA.

    Raises:
      ValueError: a number is out of its range.
    """
    self.model = model
    self._task = task
    self._longest = checks.integer('longest', longest, task.SHORTEST)
    self._seed = checks.integer('seed', seed)
    self._batch = checks.integer('batch', batch, 1)
    self._warm_up = checks.integer('warm_up', warm_up, 0)
    if not callable(learning_rate):  # A schedule is.
      learning_rate = checks.real('learning_rate', learning_rate, 0)
    self.optimizer = keras.optimizers.Adam(learning_rate)
    self.optimizer.build(model.trainable_variables)
    self._clip = checks.real('clip', clip, above=0)
    jit = checks.boolean('jit', jit)
    self._train = tf.function(self._update, autograph=False, jit_compile=jit)
    self._answer = tf.function(self.model, autograph=False, jit_compile=jit)

  def curriculum_length(self, index):
    """The longest length that update `index` draws from."""
    shortest = min(self._task.SHORTEST + 1, self._longest)
    if index >= self._warm_up:
      return self._longest
    grown = (self._longest - shortest + 1) * index // self._warm_up
    return shortest + grown

  def batch(self, index):
    """The sequences of an update."""
    rng = self._generator('train', index)
    lengths = rng.integers(
      self._task.SHORTEST, self.curriculum_length(index) + 1, size=self._batch
    )
    return self._task.draw(rng, lengths, self._task.steps(self._longest))

  def step(self, index):
    """Trains on the sequences of update `index`; returns scalars."""
    batch = self.batch(index)
    loss, norm, outputs = self._train(*map(tf.constant, batch))
    return {
      'loss': loss,
      'error': self._task.errors(outputs.numpy(), batch).mean(),
      'gradient_norm': norm,
      'longest': self.curriculum_length(index),
    }

  def evaluate(self, lengths, count, steps=None):
    """Errors on held-out sequences, [lengths, count], in the task's unit.

    Args:
      lengths: of the sequences.
      count: sequences per length; the same ones at every call.
      steps: time steps to pad all sequences to, so that one graph serves all.
    """
    steps = steps or self._task.steps(max(lengths))
    errors = []
    for length in lengths:
      rng = self._generator('held out', length)
      batch = self._task.draw(rng, np.full(count, length), steps)
      outputs = self._answer(tf.constant(batch.inputs)).numpy()
      errors.append(self._task.errors(outputs, batch))
    return np.stack(errors)

  def _generator(self, purpose, index):
    return random_numbers.generator(self._seed, f'{purpose} sequences', index)

  def _update(self, inputs, targets, answers):
    model = self.model
    with tf.GradientTape() as tape:
      outputs = model(inputs, training=True)
      loss = answer_loss(self._task.KIND, outputs, targets, answers)
    variables = model.trainable_variables
    gradients = tape.gradient(loss, variables)
    gradients, norm = tf.clip_by_global_norm(gradients, self._clip)
    self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return loss, norm, outputs


def answer_loss(kind, outputs, targets, answers):
  """Mean loss over the steps that expect an answer.

  Args:
    kind: 'bits', cross-entropy of logits, in nats per bit; 'number', squared
      error; 'classes', cross-entropy in nats per answer.
    outputs: [B, T, O].
    targets: [B, T, O].
    answers: bool [B, T].
  """
  targets = tf.cast(targets, outputs.dtype)
  if kind == 'classes':
    losses = tf.nn.softmax_cross_entropy_with_logits(targets, outputs)
  elif kind == 'bits':
    losses = tf.nn.sigmoid_cross_entropy_with_logits(targets, outputs)
    losses = tf.reduce_mean(losses, -1)
  else:
    losses = tf.reduce_mean(tf.square(outputs - targets), -1)
  weights = tf.cast(answers, outputs.dtype)
  return tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)
