"""Checkpoints of one training stage that survive being killed."""

import pathlib
import shutil

import tensorflow as tf


class Checkpoints:
  """Weights, optimiser and whatever else continues, by training step.

  A save is complete or absent: TensorFlow renames it into place, and a folder
  left by a killed save is removed here.

    checkpoints = Checkpoints(folder / 'vision', model=model, optimizer=adam)
    step = checkpoints.restore()  # 0 when there is none
    checkpoints.save(step + 100)
  """

  def __init__(self, folder, keep=2, **objects):
    """Tracks `objects`, all of them with their variables built."""
    self._folder = pathlib.Path(folder)
    self._folder.mkdir(parents=True, exist_ok=True)
    self._step = tf.Variable(0, dtype=tf.int64)
    self._checkpoint = tf.train.Checkpoint(step=self._step, **objects)
    self._manager = tf.train.CheckpointManager(
      self._checkpoint, str(self._folder), max_to_keep=keep
    )

  @property
  def latest(self):
    """Path of the newest checkpoint, or None."""
    return self._manager.latest_checkpoint

  def restore(self):
    """Loads the newest checkpoint; returns its step, 0 without one."""
    for left_over in self._folder.glob('*_temp'):
      shutil.rmtree(left_over, ignore_errors=True)
    if not self.latest:
      return 0
    status = self._checkpoint.restore(self.latest)
    status.assert_existing_objects_matched()
    status.expect_partial()  # loading a model leaves its optimiser aside
    return int(self._step.numpy())

  def save(self, step):
    """Saves everything as of `step`."""
    self._step.assign(step)
    self._manager.save(checkpoint_number=step)
