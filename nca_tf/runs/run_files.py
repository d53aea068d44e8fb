"""Whether what a finished stage left is still what it was."""

import pathlib

from tensorflow.core.protobuf import saved_model_pb2

from nca_tf.runs import checkpoints
from nca_tf.runs import run_folder


def is_trained(run: run_folder.RunFolder, stage: str) -> bool:
  """Tells whether a finished training has the checkpoint of its last step."""
  step = run.info(stage).get('step')
  folder = run.checkpoints / stage
  return has_step(folder, step) if step else False


def has_step(folder: pathlib.Path, step: int) -> bool:
  """Tells whether the checkpoint of a step is there and can be read."""
  return checkpoints.find_fault(folder / f'ckpt-{step}') is None


def is_saved_model(folder: pathlib.Path) -> bool:
  """Tells whether a SavedModel is there, and its weights can be read."""
  try:
    graph = (folder / 'saved_model.pb').read_bytes()
    saved_model_pb2.SavedModel.FromString(graph)
  # A reader of damaged bytes may raise anything.
  except Exception:
    return False
  return checkpoints.find_fault(folder / 'variables' / 'variables') is None
