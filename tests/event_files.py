"""Reads what TensorBoard reads: the event files below a folder."""

import collections
import pathlib

import tensorflow as tf
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams import plugin_data_pb2

HYPERPARAMETERS = metadata.SESSION_START_INFO_TAG


def read_steps(folder):
  """{curve: {tag: [steps, as they come in the files]}}.

  A curve is the name of a folder with event files, from `folder` on.
  """
  curves = collections.defaultdict(lambda: collections.defaultdict(list))
  for file in sorted(pathlib.Path(folder).rglob('*tfevents*')):
    curve = str(file.parent.relative_to(folder))
    for event in tf.compat.v1.train.summary_iterator(str(file)):
      for value in event.summary.value:
        curves[curve][value.tag].append(event.step)
  return {curve: dict(tags) for curve, tags in curves.items()}


def read_scalars(folder, tag):
  """{step: value} of one tag of a curve's folder."""
  return {
    event.step: float(tf.make_ndarray(value.tensor))
    for file in sorted(pathlib.Path(folder).glob('*tfevents*'))
    for event in tf.compat.v1.train.summary_iterator(str(file))
    for value in event.summary.value
    if value.tag == tag
  }


def read_hyperparameters(folder):
  """{name: value}, of a curve's folder; the last of several."""
  found = {}
  for file in sorted(pathlib.Path(folder).glob('*tfevents*')):
    for event in tf.compat.v1.train.summary_iterator(str(file)):
      for value in event.summary.value:
        if value.tag == HYPERPARAMETERS:
          content = value.metadata.plugin_data.content
          data = plugin_data_pb2.HParamsPluginData.FromString(content)
          start = data.session_start_info
          found = {
            name: getattr(each, each.WhichOneof('kind'))
            for name, each in start.hparams.items()
          }
  return found


def size_of(folder):
  """Bytes of all event files below a folder."""
  files = pathlib.Path(folder).rglob('*tfevents*')
  return sum(file.stat().st_size for file in files)
