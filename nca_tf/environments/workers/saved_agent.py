"""An agent's SavedModel as a policy: it looks, remembers and acts.

Written by `saved_models.export.export_agent`, or by anything that writes the
signatures `initial_state` and `act` and an `agent.json`. TensorFlow is imported
when the first agent is loaded, so that scripted policies play without it. It
uses as many threads as the environment's variables say; `workers` sets them to
one, with which the seed and the controller's parameters determine an episode.
"""

import json
import os
import pathlib
from typing import Any

import numpy as np

_INFO = 'agent.json'
SETTINGS = ('env', 'action_kind', 'frame_skip')
_NEEDED = (*SETTINGS, 'digest')


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
    parameters can be replaced, parameters (their number); and what else its
    writer has added.

  Raises:
    ValueError: There is no agent, or its description is damaged.
  """
  path = find(folder)
  if path is None:
    raise ValueError(f'folder must hold an agent ({_INFO}), got {folder}')
  try:
    info = json.loads((path / _INFO).read_text(encoding='utf-8'))
    if not isinstance(info, dict):
      raise ValueError(f'not an object but {type(info).__name__}')
  except ValueError as error:
    raise ValueError(
      f'{path / _INFO} must describe an agent: {error}'
    ) from error
  lacking = [name for name in _NEEDED if name not in info]
  if lacking:
    raise ValueError(f'{path / _INFO} must name {", ".join(lacking)}')
  return info


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
      ValueError: There is no agent.
    """
    import tensorflow as tf

    self._info = read_info(folder)
    self._tf = tf
    self._loaded = tf.saved_model.load(str(find(folder)))
    signatures = self._loaded.signatures
    initial = signatures['initial_state'](batch=tf.constant(1))
    self._names = sorted(initial)
    self._initial = [initial[name] for name in self._names]
    self._own = None  # [P] of the controller, where it has replaceable ones.
    if 'parameters' in self._info:
      self._own = signatures['parameters']()['parameters']
    # Own parameters and others' go through one and the same graph, so that the
    # same numbers play the same game.
    self._step = self._compile(
      signatures['act' if self._own is None else 'act_as']
    )
    self.reset()

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
