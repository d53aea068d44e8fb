"""Checkpoints of one training stage that survive kills and power cuts."""

import os
import pathlib
import re
import shutil

import tensorflow as tf

from nca_tf import files
from nca_tf.command_line import faults

_KEPT = 2  # The newest, and the one that is left if that is damaged.


def find_fault(prefix: str | os.PathLike) -> str | None:
  """Returns why tensors cannot be read from PREFIX.index and its data, or None.

  Every tensor is read, so that its checksum is compared.

  Raises:
    OSError: The machine refuses to read them, which is no damage.
  """
  prefix = pathlib.Path(prefix)
  parts = prefix.parent.glob(f'{prefix.name}.data-*')
  for path in (prefix.with_name(f'{prefix.name}.index'), *parts):
    if not path.is_file():
      return f'{path.name} is lost'
    open(path, 'rb').close()
  try:
    reader = tf.train.load_checkpoint(str(prefix))
    for name in reader.get_variable_to_dtype_map():
      reader.get_tensor(name)
  # Damaged bytes raise many of TensorFlow's and Python's own errors.
  except Exception as error:
    text = ' '.join(str(getattr(error, 'message', error)).split())
    return text[:200] or type(error).__name__
  return None


class Checkpoints:
  """Weights, optimiser and whatever else continues, by training step.

  A save is complete or absent: TensorFlow renames it into place, and a folder
  left by a killed save is removed here. The files `ckpt-STEP.index` say what
  there is; `checkpoint`, a list of them, is written for TensorFlow's own tools.

    checkpoints = Checkpoints(folder / 'vision', model=model, optimizer=adam)
    step = checkpoints.restore()  # 0 when there is none
    checkpoints.save(step + 100)
  """

  def __init__(self, folder, **objects):
    """Tracks `objects`, all of them with their variables built."""
    self._folder = pathlib.Path(folder)
    self._step = tf.Variable(0, dtype=tf.int64)
    self._checkpoint = tf.train.Checkpoint(step=self._step, **objects)

  @property
  def latest(self):
    """Path of the newest checkpoint that can be read, or None."""
    step = latest_step(self._folder)
    return str(self._path(step)) if step else None

  def restore(self):
    """Loads the newest checkpoint that can be read; returns its step, or 0.

    Those that cannot be read are passed over, and said in a line each.

    Raises:
      ValueError: It is of other objects.
    """
    for left_over in self._folder.glob('*_temp'):
      shutil.rmtree(left_over, ignore_errors=True)
    step = latest_step(self._folder, faults.warn)
    return self.load(step) if step else 0

  def load(self, step):
    """Loads the checkpoint of one step, which it returns.

    Raises:
      ValueError: It is lost, damaged, or of other objects.
    """
    path = self._path(step)
    fault = find_fault(path)
    if fault:
      raise ValueError(f'{path} is damaged ({fault})')
    try:
      status = self._checkpoint.read(str(path))
      status.assert_existing_objects_matched()
    except (AssertionError, ValueError) as error:
      reason = ' '.join(str(error).split())[:200]
      raise ValueError(f'{path} is of another model ({reason})') from error
    status.expect_partial()  # loading a model leaves its optimiser aside
    return int(self._step.numpy())

  def save(self, step):
    """Saves everything as of `step`, for good: also after a power cut.

    Raises:
      OSError, tf.errors.OpError: It cannot be written; those before it stay.
    """
    self._folder.mkdir(parents=True, exist_ok=True)
    self._step.assign(step)
    self._checkpoint.write(str(self._path(step)))
    for path in self._folder.glob(f'ckpt-{step}.*'):
      with open(path, 'rb') as file:
        os.fsync(file.fileno())
    steps = [each for each in _steps(self._folder) if each <= step]
    for path in self._folder.glob('ckpt-*.*'):
      name = re.match(r'ckpt-(\d+)\.', path.name)
      if name and int(name[1]) not in steps[:_KEPT]:
        path.unlink()
    lines = [f'model_checkpoint_path: "ckpt-{step}"']
    lines += [
      f'all_model_checkpoint_paths: "ckpt-{each}"'
      for each in reversed(steps[:_KEPT])
    ]
    files.write_whole(self._folder / 'checkpoint', '\n'.join([*lines, '']))

  def _path(self, step):
    return self._folder / f'ckpt-{step}'


def latest_step(folder: str | os.PathLike, on_damage=None) -> int:
  """Returns the step of the newest checkpoint that can be read, or 0.

  `on_damage`, if given, is called with a line for each newer one.
  """
  folder = pathlib.Path(folder)
  for step in _steps(folder):
    fault = find_fault(folder / f'ckpt-{step}')
    if fault is None:
      return step
    if on_damage:
      on_damage(
        f'{folder}/ckpt-{step} is damaged ({fault}); the one before it is '
        'taken, or its stage begins anew'
      )
  return 0


def _steps(folder):
  """Steps of which there is an index or data, the newest first."""
  pattern = re.compile(r'ckpt-(\d{1,18})\.(?:index|data-.*)')
  found = (pattern.fullmatch(path.name) for path in folder.glob('ckpt-*.*'))
  return sorted({int(each[1]) for each in found if each}, reverse=True)
