"""Whole episodes of a policy in a batched environment."""

import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.agents import tf_agents


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

  def key(purpose, step):
    return random_numbers.key(seed, f'{purpose} of an evaluation', step)

  state, observation = environment.reset(lanes, key('resets', 0))
  start = (
    tf.constant(0),
    state,
    observation,
    policy.get_initial_state(lanes),
    tf.zeros([lanes]),
    tf.zeros([lanes], tf.int32),
    tf.zeros([lanes], tf.bool),
  )

  def goes_on(step, *others):
    return (step <= environment.time_limit) & ~tf.reduce_all(others[-1])

  def body(step, state, observation, memory, returns, lengths, is_over):
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
    return step + 1, state, observation, played.state, returns, lengths, is_over

  *_, returns, lengths, _ = tf.while_loop(
    goes_on, body, start, parallel_iterations=1
  )
  return returns, lengths
