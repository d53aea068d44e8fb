"""Metrics of a run: one JSON line per record, and the same in TensorBoard."""

import json
import math
import pathlib

import tensorflow as tf

from nca_tf import files
from nca_tf.command_line import faults


class MetricsLog:
  """Writes `metrics.jsonl` and TensorBoard event files of one run folder.

  log = MetricsLog(folder.path, folder.tensorboard)
  log.write('vision', step=100, loss=45.1)
  log.image('vision/reconstructions', picture, step=100)  # [H, W, 3] uint8
  """

  def __init__(self, path, tensorboard):
    """Opens the log; `path` is the run folder."""
    self._path = pathlib.Path(path) / 'metrics.jsonl'
    self._has_warned = False
    self._writer = tf.summary.create_file_writer(str(tensorboard))

  def write(self, stage, step, **scalars):
    """Appends one record and its scalars under `stage/`."""
    values = {name: float(value) for name, value in scalars.items()}
    line = json.dumps({'stage': stage, 'step': int(step), **values})
    files.append(self._path, line + '\n')
    with self._writer.as_default(step=step):
      for name, value in values.items():
        if math.isfinite(value):
          tf.summary.scalar(f'{stage}/{name}', value)

  def records(self, stage=None):
    """Records written so far (of one stage).

    Lines that cannot be read are left out, which is said once; not so a torn
    last line, which a kill leaves.
    """
    if not self._path.exists():
      return []
    records, damaged = [], 0
    for line in self._path.read_bytes().splitlines(keepends=True):
      record = _parse(line)
      if record is None:
        damaged += line.endswith(b'\n')
      elif stage in (None, record['stage']):
        records.append(record)
    if damaged and not self._has_warned:
      self._has_warned = True
      faults.warn(f'{self._path}: {damaged} damaged lines are left out')
    return records

  def rewind(self, stage, step):
    """Forgets the records of `stage` after `step`: they are made again."""
    kept = [
      record
      for record in self.records()
      if record['stage'] != stage or record['step'] <= step
    ]
    lines = ''.join(json.dumps(record) + '\n' for record in kept)
    files.write_whole(self._path, lines)

  def image(self, tag, picture, step):
    """One RGB picture, uint8 [H, W, 3]."""
    with self._writer.as_default(step=step):
      tf.summary.image(tag, picture[None])
    self.flush()

  def animation(self, tag, gif, size, step):
    """An animated GIF, given as its bytes and its (height, width)."""
    image = tf.compat.v1.Summary.Image(
      height=size[0], width=size[1], colorspace=3, encoded_image_string=gif
    )
    value = tf.compat.v1.Summary.Value(tag=tag, image=image)
    summary = tf.compat.v1.Summary(value=[value])
    with self._writer.as_default(step=step):
      tf.summary.experimental.write_raw_pb(summary.SerializeToString())
    self.flush()

  def histogram(self, tag, values, step):
    """Distribution of any array."""
    with self._writer.as_default(step=step):
      tf.summary.histogram(tag, values)

  def text(self, tag, markdown, step=0):
    """A text or a table in Markdown."""
    with self._writer.as_default(step=step):
      tf.summary.text(tag, markdown)
    self.flush()

  def flush(self):
    """Makes TensorBoard see what was written."""
    self._writer.flush()


def _parse(line):
  """Returns the record of a line, or None if it is none."""
  try:
    record = json.loads(line)
    is_whole = isinstance(record['stage'], str) and type(record['step']) is int
    values = [record[name] for name in record if name != 'stage']
    return record if is_whole and all(map(_is_number, values)) else None
  except (ValueError, TypeError, KeyError, RecursionError):
    return None


def _is_number(value):
  return isinstance(value, int | float) and not isinstance(value, bool)
