"""What the library takes of TF-Agents; else only a benchmark imports it."""

import contextlib
import io
import warnings

from nca_tf import keras_2

__all__ = [
  'LossInfo',
  'PolicyStep',
  'StepType',
  'TFAgent',
  'TFPolicy',
  'TimeStep',
  'Trajectory',
  'tensor_spec',
  'tfd',
  'time_step_spec',
]

with (
  keras_2.importing(),
  warnings.catch_warnings(),
  # gym says there that it is unmaintained.
  contextlib.redirect_stderr(io.StringIO()),
):
  warnings.simplefilter('ignore')
  import tensorflow_probability as tfp
  from tf_agents.agents.tf_agent import LossInfo
  from tf_agents.agents.tf_agent import TFAgent
  from tf_agents.policies.tf_policy import TFPolicy
  from tf_agents.specs import tensor_spec
  from tf_agents.trajectories.policy_step import PolicyStep
  from tf_agents.trajectories.time_step import StepType
  from tf_agents.trajectories.time_step import TimeStep
  from tf_agents.trajectories.time_step import time_step_spec
  from tf_agents.trajectories.trajectory import Trajectory

  tfd = tfp.distributions
  tfd.Categorical  # noqa: B018 - it loads its modules when they are named.
