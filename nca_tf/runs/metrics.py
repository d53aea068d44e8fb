"""Metrics of a run: one JSON line per record, and the same in TensorBoard."""

import contextlib
import io
import json
import math
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from PIL import Image
from tensorboard.plugins.histogram import summary as histogram_summary
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.text import summary as text_summary

from nca_tf import files
from nca_tf.command_line import faults

_EVENTS = 'events.out.tfevents'  # TensorBoard reads files of this name.


class MetricsLog:
  """Writes `metrics.jsonl` and the TensorBoard files of one curve of a run.

  A curve has a folder of its own, by whose name TensorBoard knows it, and tags
  that do not name it: curves of one run, or of several, lie in one chart.

  log = MetricsLog(folder.path, folder.tensorboard / 'dnc-0', {'cell': 'dnc'})
  log.write('vision', step=100, loss=45.1)
  log.image('vision/reconstructions', picture, step=100)  # [H, W, 3] uint8
  """

  def __init__(
    self,
    path: str | pathlib.Path,
    tensorboard: str | pathlib.Path,
    hyperparameters: Mapping[str, Any] | None = None,
    tag: str = '',
  ):
    """Opens the log; files are made by what is written first.

    Args:
      path: The run folder.
      tensorboard: Folder of the curve.
      hyperparameters: What TensorBoard's table of runs shows of it.
      tag: What the tags of its scalars begin with, in place of the stage.
    """
    self._path = pathlib.Path(path) / 'metrics.jsonl'
    self._folder = pathlib.Path(tensorboard)
    self._hyperparameters = hyperparameters
    self._tag = tag
    self._scalars = None
    self._has_warned = False

  def write(self, stage: str, step: int, **scalars) -> None:
    """Appends one record and its scalars under `stage/`."""
    values = {name: float(value) for name, value in scalars.items()}
    line = json.dumps({'stage': stage, 'step': int(step), **values})
    files.append(self._path, line + '\n')
    self.show(stage, step, **values)

  def show(self, stage: str, step: int, **scalars) -> None:
    """Shows scalars in TensorBoard alone: the speed, which no run repeats."""
    with self._writer().as_default(step=step):
      for name, value in scalars.items():
        if math.isfinite(value):
          tf.summary.scalar(f'{self._tag or stage}/{name}', value)

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

  def rewind(self, stage: str, step: int) -> None:
    """Forgets the records of `stage` after `step`: they are made again."""
    kept = [
      record
      for record in self.records()
      if record['stage'] != stage or record['step'] <= step
    ]
    lines = ''.join(json.dumps(record) + '\n' for record in kept)
    files.write_whole(self._path, lines)
    self._rewind_events(f'{self._tag or stage}/', step)

  def image(self, tag: str, picture, step: int) -> None:
    """One RGB picture, uint8 [H, W, 3]."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format='PNG')
    self.animation(tag, stream.getvalue(), picture.shape[:2], step)

  def animation(self, tag: str, gif: bytes, size, step: int) -> None:
    """An animated GIF, given as its bytes and its (height, width)."""
    image = tf.compat.v1.Summary.Image(
      height=size[0], width=size[1], colorspace=3, encoded_image_string=gif
    )
    value = tf.compat.v1.Summary.Value(image=image)
    self._put(tag, tf.compat.v1.Summary(value=[value]), step)

  def histogram(self, tag: str, values, step: int) -> None:
    """Distribution of any array."""
    self._put(tag, histogram_summary.pb(tag, values), step)

  def text(self, tag: str, markdown: str, step: int = 0) -> None:
    """A text or a table in Markdown."""
    self._put(tag, text_summary.pb(tag, markdown), step)

  def flush(self):
    """Makes TensorBoard see what was written."""
    if self._scalars:
      self._scalars.flush()

  def _writer(self):
    """Writes the scalars of this process; files of others stay beside it."""
    if not self._scalars:
      if self._hyperparameters:
        found = hparams.hparams_pb(_flatten(self._hyperparameters))
        self._put(found.value[0].tag, found, 0)
      self._scalars = tf.summary.create_file_writer(
        str(self._folder), filename_suffix=f'.scalars-{time.time_ns()}'
      )
    return self._scalars

  def _put(self, tag, summary, step):
    """Writes a file of its own, which takes the place of an earlier one.

    Pictures and texts are made again where a run was killed or goes on.
    """
    summary = tf.compat.v1.Summary.FromString(summary.SerializeToString())
    summary.value[0].tag = tag
    now = {'wall_time': time.time()}
    event = tf.compat.v1.Event(step=step, summary=summary, **now)
    version = tf.compat.v1.Event(file_version='brain.Event:2', **now)
    # TensorBoard reads files by name, and takes a step back for a new start.
    name = f'{_EVENTS}.{tag.replace("/", "-")}-{step:012}'
    _write_events(self._folder / name, [version, event])

  def _rewind_events(self, prefix, step):
    """Drops events after `step` whose tags begin with `prefix`."""
    if self._scalars:
      self._scalars.close()
      self._scalars = None
    for file in sorted(self._folder.glob(f'{_EVENTS}*')):
      events = list(_read_events(file))
      kept = [
        event
        for event in events
        if event.step <= step or not _has_tag(event, prefix)
      ]
      if len(kept) < len(events):
        _write_events(file, kept)


def _write_events(file, events):
  """Writes a file of events whole or not at all."""
  file.parent.mkdir(parents=True, exist_ok=True)
  # By a name that TensorBoard does not read.
  partial = file.with_name(f'events{files.PARTIAL}')
  with tf.io.TFRecordWriter(str(partial)) as writer:
    for event in events:
      writer.write(event.SerializeToString())
  partial.replace(file)


def _read_events(file):
  """Yields the events of a file up to where it was cut off."""
  with contextlib.suppress(tf.errors.DataLossError):
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
      yield tf.compat.v1.Event.FromString(record)


def _has_tag(event, prefix):
  return any(value.tag.startswith(prefix) for value in event.summary.value)


def _flatten(hyperparameters):
  """Numbers and texts, which are all that TensorBoard's table knows."""
  found = {}
  for name, value in hyperparameters.items():
    if isinstance(value, (list, tuple)):
      value = ', '.join(map(str, value))
    is_plain = isinstance(value, (bool, int, float))
    found[name] = value if is_plain else str(value)
  return found


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
