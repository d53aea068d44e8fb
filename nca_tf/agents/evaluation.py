"""Whole episodes of a policy in a batched environment."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.agents import tf_agents


class Played(NamedTuple):
  """The first episode of each of B lanes.

  Attributes:
    returns: float32 [B].
    lengths: Steps, int32 [B].
    actions: [T, B, ...] of the longest one's T steps; those of a lane mean
      nothing after its length.
  """

  returns: Any
  lengths: Any
  actions: Any


class Episodes:
  """Plays the same way as `play`, compiled once for all seeds.

  Its policy may have variables that change from one call to the next.
  """

  def __init__(self, environment, policy, lanes: int):
    """Takes what `play` takes."""
    self._environment = environment
    self._lanes = lanes
    self._compiled = None

    def follow(state, observation, words):
      return _follow(
        environment,
        policy,
        lanes,
        (state, observation),
        lambda purpose, step: tf.stack([words[purpose], step]),
      )

    self._follow = tf.function(follow, autograph=False)

  def play(self, seed: int) -> Played:
    """Plays an episode in every lane; returns arrays.

    Raises:
      faults.Fault: The environment's observations or rewards are not finite,
        or change their shape.
    """
    words = {
      purpose: tf.constant(_key(seed, purpose, 0)[0])
      for purpose in ('actions', 'steps')
    }
    try:
      start = self._environment.reset(self._lanes, _key(seed, 'resets', 0))
      if self._compiled is None:
        self._compiled = self._follow.get_concrete_function(*start, words)
      played = self._compiled(*start, words)
    except tf.errors.OpError:
      fault = getattr(self._environment, 'fault', None)
      if fault is not None:
        raise fault from None
      raise
    return Played(*(part.numpy() for part in played))


def play(
  environment, policy, lanes: int, seed: int
) -> tuple[tf.Tensor, tf.Tensor]:
  """Plays the first episode of every lane; call it inside a graph.

  Args:
    environment: As in `collector`, with a `time_limit`.
    policy: Of TF-Agents.
    lanes: B.
    seed: Of the environment and of the policy.

  Returns:
    Returns float32 [B], and lengths int32 [B].
  """
  state, observation = environment.reset(lanes, _key(seed, 'resets', 0))
  played = _follow(
    environment,
    policy,
    lanes,
    (state, observation),
    lambda purpose, step: _key(seed, purpose, step),
  )
  return played.returns, played.lengths


def _key(seed, purpose, step):
  return random_numbers.key(seed, f'{purpose} of an evaluation', step)


def _follow(
  environment, policy, lanes, start, key: Callable[[str, Any], tf.Tensor]
) -> Played:
  """Plays on from a start; `key` takes a purpose and a step."""
  start = (
    tf.constant(0),
    *start,
    policy.get_initial_state(lanes),
    tf.zeros([lanes]),
    tf.zeros([lanes], tf.int32),
    tf.zeros([lanes], tf.bool),
  )
  spec = policy.action_spec
  taken = tf.TensorArray(
    spec.dtype, 0, dynamic_size=True, element_shape=[lanes, *spec.shape]
  )

  def goes_on(step, *others):
    return (step <= environment.time_limit) & ~tf.reduce_all(others[-2])

  def body(step, state, observation, memory, returns, lengths, is_over, taken):
    step_type = tf.where(
      step > 0, tf_agents.StepType.MID, tf_agents.StepType.FIRST
    )
    time_step = tf_agents.TimeStep(
      tf.fill([lanes], step_type),
      tf.zeros([lanes]),
      tf.ones([lanes]),
      observation,
    )
    played = policy.action(time_step, memory, seed=key('actions', step))
    state, observation, reward, *ends = environment.step(
      state, played.action, key('steps', step)
    )
    returns += tf.where(is_over, 0.0, tf.cast(reward, tf.float32))
    lengths += tf.cast(~is_over, tf.int32)
    is_over |= ends[0] | ends[1]
    taken = taken.write(step, played.action)
    carry = step + 1, state, observation, played.state
    return *carry, returns, lengths, is_over, taken

  *_, returns, lengths, _, taken = tf.while_loop(
    goes_on, body, (*start, taken), parallel_iterations=1
  )
  return Played(returns, lengths, taken.stack())
