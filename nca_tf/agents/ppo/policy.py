"""The policy of a network, as TF-Agents' policies are."""

import tensorflow as tf

from nca_tf.agents import tf_agents


class NetworkPolicy(tf_agents.TFPolicy):
  """Acts by an `ActorCritic`; collecting, it says what PPO needs to know.

  `info` of a collecting policy is {'log_prob': [B], 'values': [B, S]}.
  """

  def __init__(
    self, time_step_spec, action_kind, network, prepare, seed=None, greedy=True
  ):
    """Takes the network.

    Args:
      time_step_spec: Of TF-Agents.
      action_kind: One of `agents.actions`.
      network: A built `ActorCritic`.
      prepare: Function of observations, before the network sees them.
      seed: Unused by a greedy policy; TF-Agents passes the seed of a step.
      greedy: Whether it takes the likeliest action instead of a draw.
    """
    del seed
    info = ()
    if not greedy:
      info = {
        'log_prob': tf.TensorSpec((), tf.float32),
        'values': tf.TensorSpec((network.streams,), tf.float32),
      }
    state = [
      tf.TensorSpec(part.shape[1:], part.dtype)
      for part in network.initial_state(1)
    ]
    super().__init__(
      time_step_spec,
      action_kind.spec,
      policy_state_spec=state,
      info_spec=info,
      clip=False,
      emit_log_probability=False,
    )
    self._kind = action_kind
    self._network = network
    self._prepare = prepare
    self._greedy = greedy

  def _variables(self):
    return [variable.value for variable in self._network.variables]

  def _get_initial_state(self, batch_size):
    return self._network.initial_state(batch_size)

  def _distribution(self, time_step, policy_state):
    raise NotImplementedError('ask for an action')

  def _action(self, time_step, policy_state, seed):
    parameters, values, state = self._network.step(
      self._prepare(time_step.observation), time_step.is_first(), policy_state
    )
    distribution = self._kind.distribution(parameters)
    if self._greedy:
      action = distribution.mode()
      return tf_agents.PolicyStep(tf.cast(action, self._kind.spec.dtype), state)
    action = distribution.sample(seed=seed)
    info = {
      'log_prob': distribution.log_prob(action),
      'values': values,
    }
    return tf_agents.PolicyStep(action, state, info)
