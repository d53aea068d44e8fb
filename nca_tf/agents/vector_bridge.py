"""Gymnasium's vector environments among those in the graph."""

import pickle

import gymnasium
import numpy as np
import tensorflow as tf

from nca_tf.agents import spaces as spaces_lib
from nca_tf.command_line import faults


class VectorBridge(tf.train.experimental.PythonState):
  """A vector environment, in the manner of `collector`.

  A lane that has ended starts again with its next step, by itself. The
  environment's state goes into checkpoints by pickle; of one that does not
  pickle as it is, all episodes are cut off by a time limit instead, and others
  begin.

  Attributes:
    resets_itself: True.
    fault: What stopped a step inside a graph, or None.
  """

  resets_itself = True

  def __init__(
    self,
    environment: gymnasium.vector.VectorEnv,
    time_limit: int,
    pickles: bool = True,
  ):
    """Takes an environment.

    Args:
      environment: A vector environment.
      time_limit: Steps after which it truncates.
      pickles: Whether it goes on as it was when it was pickled.

    Raises:
      ValueError: It does not start lanes again with the step after their end,
        or has other observations than boxes and indices.
    """
    mode = environment.metadata.get('autoreset_mode')
    if mode != gymnasium.vector.AutoresetMode.NEXT_STEP:
      raise ValueError(f'autoreset_mode must be NEXT_STEP, got {mode}')
    self.environment = environment
    self.time_limit = time_limit
    self.observation_space = environment.single_observation_space
    self.action_space = environment.single_action_space
    self.spec = get_observation_spec(self.observation_space)
    self.fault = None
    self._pickles = pickles
    self._is_cut_off = False

  def reset(self, lanes: int, seed) -> tuple[tf.Tensor, tf.Tensor]:
    """Starts all lanes; returns a counter of steps [B], and observations.

    Raises:
      ValueError: The environment has another number of lanes.
    """
    if lanes != self.environment.num_envs:
      raise ValueError(
        f'lanes must be {self.environment.num_envs}, got {lanes}'
      )
    words = np.random.SeedSequence(np.asarray(seed).tolist()).generate_state(1)
    observation, _ = self.environment.reset(seed=int(words[0] >> 1))
    observation = tf.constant(self._check(observation))
    return tf.zeros([lanes], tf.int32), observation

  def step(self, state, action, seed):
    """Plays a step in each lane; `seed` is unused."""
    del seed
    lanes = self.environment.num_envs
    types = [self.spec.dtype, tf.float32, tf.bool, tf.bool]
    # The counter goes through, so that no step can overtake another.
    *found, state = tf.numpy_function(
      self._step, [state, action], [*types, tf.int32]
    )
    shapes = [[lanes, *self.spec.shape], [lanes], [lanes], [lanes]]
    for part, shape in zip(found, shapes, strict=True):
      part.set_shape(shape)
    state.set_shape([lanes])
    return state, *found

  def serialize(self) -> bytes:
    """Returns the environment as it is, for a checkpoint."""
    return pickle.dumps(self.environment) if self._pickles else b''

  def deserialize(self, string_value: bytes) -> None:
    """Goes on where a checkpoint was written."""
    if self._pickles:
      self.environment = pickle.loads(string_value)
    else:
      self._is_cut_off = True

  def _step(self, state, action):
    try:
      if self._is_cut_off:
        self._is_cut_off = False
        return self._cut_off(state)
      action = self._check_actions(action)
      observation, reward, *ends, _ = self.environment.step(action)
      reward = np.asarray(reward, np.float32)
      if not np.all(np.isfinite(reward)):
        raise faults.Fault(f'rewards must be finite, got {reward}')
      ends = [np.asarray(end, bool) for end in ends]
      return self._check(observation), reward, *ends, state + 1
    except Exception as error:
      self.fault = error
      raise

  def _cut_off(self, state):
    words = np.random.SeedSequence(int(state[0])).generate_state(1)
    observation, _ = self.environment.reset(seed=int(words[0] >> 1))
    nothing = np.zeros(len(state), np.float32)
    ends = np.zeros(len(state), bool), np.ones(len(state), bool)
    return self._check(observation), nothing, *ends, state + 1

  def close(self) -> None:
    """Ends the games."""
    self.environment.close()

  def _check_actions(self, action):
    """Returns actions of the space: those outside a box are clipped."""
    space = self.action_space
    if isinstance(space, gymnasium.spaces.Box):
      fits = np.isfinite(action)
      action = np.clip(action, space.low, space.high)
    else:
      is_one = isinstance(space, gymnasium.spaces.Discrete)
      fits = (action >= 0) & (action < (space.n if is_one else space.nvec))
    if not np.all(fits):
      raise faults.Fault(
        f'actions must be in {space}, got {action[~fits][0]}: has the policy '
        'diverged? A smaller --learning_rate may help'
      )
    return action

  def _check(self, observation):
    if spaces_lib.is_joined(self.observation_space):
      observation = spaces_lib.join(self.observation_space, observation)
    found = np.asarray(observation, self.spec.dtype.as_numpy_dtype)
    wanted = (self.environment.num_envs, *self.spec.shape)
    if found.shape != wanted:
      raise faults.Fault(
        f'observations must be of shape {wanted}, got {found.shape}'
      )
    if found.dtype.kind == 'f' and not np.all(np.isfinite(found)):
      raise faults.Fault(
        'observations must be finite, got '
        f'{np.sum(~np.isfinite(found))} of {found.size} numbers that are not'
      )
    space = self.observation_space
    if isinstance(space, gymnasium.spaces.Discrete):
      if np.any((found < 0) | (found >= space.n)):
        raise faults.Fault(
          f'observations must be from 0 to {space.n - 1}, got {found.min()} to '
          f'{found.max()}'
        )
    return found


def get_observation_spec(space: gymnasium.Space) -> tf.TensorSpec:
  """Returns what a network sees of an observation space.

  Raises:
    ValueError: It is of a kind that networks here do not take.
  """
  spaces_lib.check_observations(space)
  if isinstance(space, gymnasium.spaces.Discrete):
    return tf.TensorSpec((), tf.int32)
  if spaces_lib.is_joined(space):
    return tf.TensorSpec((gymnasium.spaces.flatdim(space),), tf.float32)
  is_image = space.dtype == np.uint8 and len(space.shape) == 3
  return tf.TensorSpec(space.shape, tf.uint8 if is_image else tf.float32)
