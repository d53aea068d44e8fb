"""Finds and loads the world models that train_world_model has finished."""

import dataclasses
import json
import pathlib
import shutil

from nca_tf.command_line import faults
from nca_tf.runs import checkpoints

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
  """Returns the same as a Config; settings that are new have their defaults.

  Where V came from does not matter any more: `initial_vision` is left out.
  """
  settings = read_settings(flag, folder)
  known = {field.name for field in dataclasses.fields(config_class)}
  settings = {
    name: tuple(value) if isinstance(value, list) else value
    for name, value in settings.items()
    if name in known and name != 'initial_vision'
  }
  if isinstance(settings.get('rollouts'), str):  # As it was in version 0.1.
    settings['rollouts'] = tuple(filter(None, [settings['rollouts']]))
  return config_class(**settings)


def check_architecture(flag: str, folder, config):
  """Refuses a world model of another architecture than `config` asks for."""
  names = ['env', 'action_kind', 'frame_skip', 'vision', 'latent_size', 'cell']
  names += ['units', 'mixtures', 'joint']
  if config.cell == 'dnc':
    names += ['memory_slots', 'word_size', 'read_heads']
  _check_equal(flag, folder, config, names)


def check_vision(flag: str, folder, config):
  """Refuses a world model with another V, or with other data at the start.

  The numbers of the latents' parts are those of the shards, so the rollouts of
  `config` must begin with those that V has encoded.
  """
  names = ['env', 'action_kind', 'frame_skip', 'vision', 'latent_size']
  _check_equal(flag, folder, config, [*names, 'held_out'])
  own = (pathlib.Path(folder, 'rollouts'),)
  wanted = read_settings(flag, folder)['rollouts'] or own
  given = config.rollouts[: len(wanted)]
  if list(map(_resolve, wanted)) != list(map(_resolve, given)):
    raise faults.UsageError(
      f'--rollouts must begin with {",".join(map(str, wanted))}, those of '
      f'--{flag}={folder}, got {",".join(config.rollouts) or "none"}'
    )


def _resolve(folder):
  return pathlib.Path(folder).resolve()


def _check_equal(flag, folder, config, names):
  settings = read_settings(flag, folder)
  for name in names:
    if settings.get(name) != getattr(config, name):
      raise faults.UsageError(
        f'--{name} must be {settings.get(name)}, that of --{flag}={folder}, '
        f'got {getattr(config, name)}'
      )


def copy_vision(source, folder):
  """Takes over V, which counts as finished, and the latents that it made.

  Args:
    source: A run folder of train_world_model with both.
    folder: run_folder.RunFolder to copy them to.
  """
  path = pathlib.Path(source)
  finished = json.loads((path / 'stages.json').read_text())
  for part in ('checkpoints/vision', 'latents'):
    shutil.copytree(path / part, folder.path / part, dirs_exist_ok=True)
  folder.finish('vision', finished['vision'])


def restore(folder, part: str, model):
  """Sets the weights of V ('vision') or M ('model').

  Raises:
    faults.Fault: There is no checkpoint.
  """
  path = pathlib.Path(folder) / 'checkpoints' / part
  if not checkpoints.Checkpoints(path, model=model).restore():
    raise faults.Fault(f'{path} must hold a checkpoint, it has none')
