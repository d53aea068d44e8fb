"""Finds and loads the world models that train_world_model has finished."""

import dataclasses
import json
import pathlib

from nca_tf import faults
from nca_tf.training import checkpoints

_BINARY = 'train_world_model'


def read_settings(flag: str, folder) -> dict:
  """Returns the settings with which a finished world model was trained.

  Args:
    flag: Named in the error, without dashes.
    folder: A run folder of train_world_model.

  Raises:
    faults.UsageError: It is no such folder, or M is not finished.
  """
  path = pathlib.Path(folder)
  try:
    found = json.loads((path / 'config.json').read_text())
    finished = json.loads((path / 'stages.json').read_text())
    settings, binary = found['config'], found['binary']
  except (OSError, ValueError, KeyError, TypeError):
    settings, binary, finished = None, None, {}
  if binary != _BINARY or 'model' not in finished:
    raise faults.UsageError(
      f'--{flag} must be the folder of a finished run of bin/{_BINARY}, '
      f'got {str(folder)!r}'
    )
  return settings


def read_config(flag: str, folder, config_class):
  """Returns the same as a Config; settings that are new have their defaults."""
  settings = read_settings(flag, folder)
  known = {field.name for field in dataclasses.fields(config_class)}
  settings = {
    name: tuple(value) if isinstance(value, list) else value
    for name, value in settings.items()
    if name in known and name != 'rollouts'
  }
  return config_class(**settings)


def check_architecture(flag: str, folder, config):
  """Refuses a world model of another architecture than `config` asks for."""
  settings = read_settings(flag, folder)
  names = ['env', 'action_kind', 'vision', 'latent_size', 'cell', 'units']
  names += ['mixtures', 'joint']
  if config.cell == 'dnc':
    names += ['memory_slots', 'word_size', 'read_heads']
  for name in names:
    if settings.get(name) != getattr(config, name):
      raise faults.UsageError(
        f'--{name} must be {settings.get(name)}, that of --{flag}={folder}, '
        f'got {getattr(config, name)}'
      )


def restore(folder, part: str, model):
  """Sets the weights of V ('vision') or M ('model')."""
  path = pathlib.Path(folder) / 'checkpoints' / part
  checkpoints.Checkpoints(path, model=model).restore()
