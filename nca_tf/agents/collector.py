"""Windows of play from batched environments, in one graph.

An environment is two pure functions, in the graph:

    reset(lanes, seed) -> state, observation
    step(state, action, seed) -> state, observation, reward [B], terminated
      [B], truncated [B]

`seed` is int32 [2], another one at each step. A lane that has ended goes on as
if it had not; the collector gives it a boundary step, as TF-Agents does, and
then a new start. One whose `resets_itself` is true starts such a lane again by
itself with the step after its end, see `vector_bridge`.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.agents import tf_agents


class Window(NamedTuple):
  """What a window of play leaves for an agent.

  Attributes:
    experience: Trajectory [B, T].
    state: The policy's flat state before the first step.
    final: TimeStep [B] after the window.
    final_values: [B, S], of the observation in `final`.
    returns: Sums of rewards of the episodes that ended in the window, and how
      many ended, [2].
  """

  experience: tf_agents.Trajectory
  state: list
  final: tf_agents.TimeStep
  final_values: tf.Tensor
  returns: tf.Tensor


class Collector(tf.Module):
  """Plays an environment in B lanes and continues where it stopped.

  All that continues is in variables, for checkpoints: the environment's state,
  the time step, the policy's state, and how many steps were played.
  """

  def __init__(self, environment, agent, lanes: int, seed: int):
    """Starts all lanes."""
    super().__init__('collector')
    self.environment = environment
    self.agent = agent
    self.lanes = lanes
    self._seed = seed
    self.steps = tf.Variable(0, dtype=tf.int32, trainable=False)
    state, observation = environment.reset(lanes, self._key('resets', 0))
    self._template = {
      'environment': state,
      'time_step': self._start(observation),
      'policy': agent.collect_policy.get_initial_state(lanes),
      'returns': tf.zeros([lanes], tf.float32),
    }
    self.carry = [
      tf.Variable(part, trainable=False)
      for part in tf.nest.flatten(self._template)
    ]

  def collect(self, steps: int) -> Window:
    """Plays T steps in every lane; call it inside a graph."""
    carry = self._pack(list(map(tf.identity, self.carry)))
    first = carry['policy']
    arrays, ended = None, tf.zeros([2], tf.float32)
    spec = self.agent.collect_data_spec
    arrays = [
      tf.TensorArray(part.dtype, steps, element_shape=[self.lanes, *part.shape])
      for part in tf.nest.flatten(spec)
    ]

    def body(index, carry, arrays, ended):
      carry, trajectory, found = self._step(carry, self.steps + index)
      arrays = [
        array.write(index, part)
        for array, part in zip(arrays, tf.nest.flatten(trajectory), strict=True)
      ]
      return index + 1, carry, arrays, ended + found

    _, carry, arrays, ended = tf.while_loop(
      lambda index, *_: index < steps,
      body,
      (tf.constant(0), carry, arrays, ended),
      parallel_iterations=1,
    )
    flat = []
    for array in arrays:
      part = array.stack()
      flat.append(tf.transpose(part, [1, 0, *range(2, len(part.shape))]))
    for variable, part in zip(self.carry, tf.nest.flatten(carry), strict=True):
      variable.assign(part)
    self.steps.assign_add(steps)
    final = carry['time_step']
    last = self.agent.collect_policy.action(
      final, carry['policy'], seed=self._key('actions', self.steps)
    )
    return Window(
      tf.nest.pack_sequence_as(spec, flat),
      first,
      final,
      last.info['values'],
      ended,
    )

  def _step(self, carry, number):
    """One step of all lanes: carry, Trajectory [B], what ended."""
    time_step = carry['time_step']
    played = self.agent.collect_policy.action(
      time_step, carry['policy'], seed=self._key('actions', number)
    )
    state, observation, reward, terminated, truncated = self.environment.step(
      carry['environment'], played.action, self._key('steps', number)
    )
    is_last = time_step.is_last()
    is_over = (terminated | truncated) & ~is_last
    following = tf_agents.TimeStep(
      step_type=tf.where(
        is_over, tf_agents.StepType.LAST, tf_agents.StepType.MID
      ),
      reward=tf.cast(reward, tf.float32),
      discount=1 - tf.cast(terminated, tf.float32),
      observation=observation,
    )

    def renew():
      fresh, seen = self.environment.reset(
        self.lanes, self._key('resets', number + 1)
      )
      return _select(is_last, (fresh, self._start(seen)), (state, following))

    if getattr(self.environment, 'resets_itself', False):
      following = _select(is_last, self._start(observation), following)
    else:
      state, following = tf.cond(
        tf.reduce_any(is_last), renew, lambda: (state, following)
      )
    returns = carry['returns'] + following.reward
    found = tf.stack(
      [
        tf.reduce_sum(tf.where(is_over, returns, 0.0)),
        tf.reduce_sum(tf.cast(is_over, tf.float32)),
      ]
    )
    trajectory = tf_agents.Trajectory(
      step_type=time_step.step_type,
      observation=time_step.observation,
      action=played.action,
      policy_info=played.info,
      next_step_type=following.step_type,
      reward=following.reward,
      discount=following.discount,
    )
    carry = {
      'environment': state,
      'time_step': following,
      'policy': played.state,
      'returns': tf.where(is_over | is_last, 0.0, returns),
    }
    return carry, trajectory, found

  def _start(self, observation) -> Any:
    lanes = [self.lanes]
    return tf_agents.TimeStep(
      step_type=tf.fill(lanes, tf.constant(tf_agents.StepType.FIRST)),
      reward=tf.zeros(lanes),
      discount=tf.ones(lanes),
      observation=observation,
    )

  def _key(self, purpose, step):
    return random_numbers.key(self._seed, f'{purpose} of a collector', step)

  def _pack(self, flat):
    return tf.nest.pack_sequence_as(self._template, flat)


def _select(mask, ours, theirs):
  """Takes ours where the mask [B] is true, in nests of tensors [B, ...]."""

  def select(one, other):
    # It copies lanes whole, where `tf.where` asks for each number of an image.
    return tf.raw_ops.Select(condition=mask, x=one, y=other)

  return tf.nest.map_structure(select, ours, theirs)
