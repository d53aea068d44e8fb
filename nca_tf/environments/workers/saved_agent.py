"""An agent's SavedModel as a policy: it looks, remembers and acts.

Written by `export_agent` and `export_policy` of `saved_models.export`, or by
anything that writes the signatures `initial_state` and `act` and an
`agent.json`. TensorFlow is imported
when the first agent is loaded, so that scripted policies play without it. It
uses as many threads as the environment's variables say; `workers` sets them to
one, with which the seed and the controller's parameters determine an episode.
"""

import json
import os
import pathlib
import re
from typing import Any

import numpy as np

from nca_tf import checks
from nca_tf.environments import game

_INFO = 'agent.json'
SETTINGS = ('env', 'action_kind', 'frame_skip')
_NEEDED = (*SETTINGS, 'digest')
_KINDS = ('discrete', 'continuous')
# A digest becomes part of a folder's name.
_LABEL = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,63}', re.ASCII)
_LARGEST_INFO = 1 << 20  # Bytes.


def find(folder: str | os.PathLike) -> pathlib.Path | None:
  """Returns the SavedModel of an agent, in a run's folder as well, or None."""
  for path in (pathlib.Path(folder), pathlib.Path(folder, 'export', 'agent')):
    if (path / _INFO).is_file():
      return path
  return None


def read_info(folder: str | os.PathLike) -> dict[str, Any]:
  """Returns what the agent that `find` finds in a folder says of itself.

  Returns:
    env, action_kind, frame_skip, digest (of all weights); where a controller's
    parameters can be replaced, parameters (their number); where it needs other
    options of `environments.make` than the game's own, options; observation
    (shape and dtype) where it is said; and what else its writer has added.

  Raises:
    ValueError: There is no agent, or its description is damaged.
  """
  path = find(folder)
  if path is None:
    raise ValueError(f'folder must hold an agent ({_INFO}), got {folder}')
  try:
    with open(path / _INFO, 'rb') as file:
      data = file.read(_LARGEST_INFO + 1)
    if len(data) > _LARGEST_INFO:
      raise ValueError(f'more than {_LARGEST_INFO} bytes')
    return _check_info(json.loads(data.decode()))
  except (ValueError, RecursionError) as error:  # The latter of deep lists.
    raise ValueError(
      f'{path / _INFO} must describe an agent: {error}'
    ) from error


def _check_info(info):
  """Returns a description whose entries are of their types and ranges."""
  if not isinstance(info, dict):
    raise ValueError(f'not an object but {type(info).__name__}')
  lacking = [name for name in _NEEDED if name not in info]
  if lacking:
    raise ValueError(f'it must name {", ".join(lacking)}')
  digest = info['digest']
  for name, wanted, fits in (
    ('env', 'the name of a game', isinstance(info['env'], str)),
    ('action_kind', ' or '.join(_KINDS), info['action_kind'] in _KINDS),
    (
      'digest',
      'letters, digits, ".", "_" and "-"',
      isinstance(digest, str) and _LABEL.fullmatch(digest),
    ),
  ):
    if not fits:
      given = checks.shorten(info[name])
      raise ValueError(f'{name} must be {wanted}, got {given}')
  checks.integer('frame_skip', info['frame_skip'], 1, game.LONGEST)
  if 'parameters' in info:
    checks.integer('parameters', info['parameters'], 1)
  if not isinstance(info.get('options', {}), dict):
    given = checks.shorten(info['options'])
    raise ValueError(f'options must be an object, got {given}')
  if 'observation' in info:
    _check_observation(info['observation'])
  return info


def _check_observation(value):
  try:
    shape, _ = value
    for size in shape:
      checks.integer('a size', size, 1)
  except (TypeError, ValueError) as error:
    raise ValueError(
      f'observation must be a shape and a type, got {checks.shorten(value)}'
    ) from error


class SavedAgent:
  """A policy that an agent's SavedModel follows.

  One call of a compiled graph per step: on one core 0.4 ms with an LSTM of 256
  units, against 1.3 ms through the signature.

    policy = SavedAgent('runs/train_controller/vizdoom-dnc-0')
    policy.reset(rng)
    action = policy.act(observation)  # uint8 [64, 64, 3] -> int, or np.float32
  """

  blind = False

  def __init__(self, folder: str | os.PathLike):
    """Loads and compiles the agent that `find` finds in a folder.

    Raises:
      OSError: Its files cannot be read.
      ValueError: There is no agent, or it is damaged.
    """
    import tensorflow as tf

    self._info = read_info(folder)
    self._tf = tf
    path = find(folder)
    try:
      self._load(path)
    # TensorFlow raises anything at damaged files, also OSError.
    except Exception as error:
      if isinstance(error, OSError) and error.errno is not None:
        raise
      reason = ' '.join(str(error).split()) or type(error).__name__
      raise ValueError(
        f'{path} must hold the SavedModel of an agent: {reason[:200]}'
      ) from error
    self.reset()

  def _load(self, path):
    """Loads the SavedModel and compiles its step."""
    tf = self._tf
    self._loaded = tf.saved_model.load(str(path))
    signatures = self._loaded.signatures
    initial = signatures['initial_state'](batch=tf.constant(1))
    self._names = sorted(initial)
    self._initial = [initial[name] for name in self._names]
    self._own = None  # [P] of the controller, where it has replaceable ones.
    if 'parameters' in self._info:
      self._own = signatures['parameters']()['parameters']
      if self._own.shape != (self._info['parameters'],):
        raise ValueError(
          f'{_INFO} names {self._info["parameters"]} parameters, the model has '
          f'{self._own.shape}'
        )
    # Own parameters and others' go through one and the same graph, so that the
    # same numbers play the same game.
    self._step = self._compile(
      signatures['act' if self._own is None else 'act_as']
    )

  @property
  def parameters(self) -> np.ndarray | None:
    """The controller's own [P], where they can be replaced."""
    return None if self._own is None else self._own.numpy()

  def __reduce__(self):
    """Refuses: what a graph holds stays in its process."""
    raise TypeError(
      'SavedAgent cannot be pickled or copied: load its folder again, or pass '
      'the player of workers.player.load on'
    )

  def reset(self, rng: np.random.Generator | None = None, parameters=None):
    """Starts an episode.

    Args:
      rng: Not used: an agent draws nothing.
      parameters: [P] of the controller; None is the agent's own.

    Raises:
      ValueError: There are not P parameters, or the agent takes none.
    """
    del rng
    self._state = self._initial
    self._parameters = [] if self._own is None else [self._own]
    if parameters is None:
      return
    if self._own is None:
      raise ValueError('parameters must be None: this agent takes none')
    parameters = np.asarray(parameters, np.float32)
    if parameters.shape != tuple(self._own.shape):
      raise ValueError(
        f'parameters must be of shape {list(self._own.shape)}, '
        f'got {list(parameters.shape)}'
      )
    self._parameters = [self._tf.constant(parameters)]

  def act(self, observation: np.ndarray):
    """Returns the action on a frame, uint8 [64, 64, 3], or a vector."""
    if np.asarray(observation).dtype.kind == 'f':  # Some games' are float64.
      observation = np.asarray(observation, np.float32)
    frame = self._tf.constant(observation)
    action, *self._state = self._step(frame, *self._parameters, *self._state)
    if self._info['action_kind'] == 'continuous':
      return np.float32(action.numpy())
    return int(action)

  def _compile(self, act):
    """Returns (frame, [parameters,] *state) -> (action, *state), unbatched."""
    tf, names = self._tf, self._names
    own = [] if self._own is None else [self._own]
    single = ('frames', 'parameters')[: 1 + len(own)]

    def step(*inputs):
      inputs = dict(zip((*single, *names), inputs, strict=True))
      for name in single:
        inputs[name] = inputs[name][None]
      outputs = act(**inputs)
      return outputs['action'][0], *(outputs[f'next_{name}'] for name in names)

    frames = act.structured_input_signature[1]['frames']
    return tf.function(
      step, autograph=False, jit_compile=True
    ).get_concrete_function(
      tf.TensorSpec(frames.shape[1:], frames.dtype),
      *(tf.TensorSpec(x.shape, x.dtype) for x in [*own, *self._initial]),
    )
