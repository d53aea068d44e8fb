"""TF-Agents' own driver over a batched environment, to measure it."""

import contextlib
import importlib
import io
import time
import warnings

import tensorflow as tf

from nca_tf import keras_2
from nca_tf import random_numbers
from nca_tf.agents import tf_agents

with (
  keras_2.importing(),
  warnings.catch_warnings(),
  # gym says there that it is unmaintained.
  contextlib.redirect_stderr(io.StringIO()),
):
  warnings.simplefilter('ignore')
  _drivers = importlib.import_module('tf_agents.drivers.dynamic_step_driver')
  _environments = importlib.import_module(
    'tf_agents.environments.tf_environment'
  )


class Adapter(_environments.TFEnvironment):
  """An environment of `agents.collector` as TF-Agents' environments are."""

  def __init__(self, environment, agent, lanes: int, seed: int):
    """Starts all lanes; the agent gives the specs."""
    self._environment, self._lanes, self._seed = environment, lanes, seed
    self._count = tf.Variable(0, trainable=False)
    template = self._begin()
    self._template = template
    self._carry = [tf.Variable(part) for part in tf.nest.flatten(template)]
    super().__init__(agent.time_step_spec, agent.action_spec, lanes)

  def _key(self, purpose):
    return random_numbers.key(self._seed, f'{purpose} of a driver', self._count)

  def _begin(self):
    lanes = [self._lanes]
    state, observation = self._environment.reset(
      self._lanes, self._key('resets')
    )
    return state, tf_agents.TimeStep(
      tf.fill(lanes, tf.constant(tf_agents.StepType.FIRST)),
      tf.zeros(lanes),
      tf.ones(lanes),
      observation,
    )

  def _read(self):
    return tf.nest.pack_sequence_as(
      self._template, [tf.identity(part) for part in self._carry]
    )

  def _write(self, carry):
    for variable, part in zip(self._carry, tf.nest.flatten(carry), strict=True):
      variable.assign(part)
    return carry[1]

  def _current_time_step(self):
    return self._read()[1]

  def _reset(self):
    self._count.assign_add(1)
    return self._write(self._begin())

  def _step(self, action):
    self._count.assign_add(1)
    state, time_step = self._read()
    state, observation, reward, terminated, truncated = self._environment.step(
      state, action, self._key('steps')
    )
    following = tf_agents.TimeStep(
      tf.where(
        terminated | truncated, tf_agents.StepType.LAST, tf_agents.StepType.MID
      ),
      reward,
      1 - tf.cast(terminated, tf.float32),
      observation,
    )
    is_last = time_step.is_last()

    def select(fresh, gone_on):
      shape = [-1] + [1] * (len(fresh.shape) - 1)
      return tf.where(tf.reshape(is_last, shape), fresh, gone_on)

    carry = tf.cond(
      tf.reduce_any(is_last),
      lambda: tf.nest.map_structure(select, self._begin(), (state, following)),
      lambda: (state, following),
    )
    return self._write(carry)


class Driver:
  """DynamicStepDriver with an agent's collecting policy.

  Attributes:
    steps: Of the environment, of a call of `play`, about.
  """

  def __init__(self, environment, agent, lanes, steps, seed, compiles=False):
    """Takes so many steps a call; in one graph where it compiles."""
    self._seen = tf.Variable(0, trainable=False)
    driver = _drivers.DynamicStepDriver(
      Adapter(environment, agent, lanes, seed),
      agent.collect_policy,
      observers=[self._observe],
      num_steps=steps,
    )
    self._run = driver.run
    if compiles:
      self._run = tf.function(driver.run, autograph=False)

  def _observe(self, trajectory):
    is_step = tf.cast(~trajectory.is_boundary(), tf.int32)
    return self._seen.assign_add(tf.reduce_sum(is_step))

  def play(self) -> dict:
    """Returns CPU seconds and steps."""
    before, began = int(self._seen), time.process_time()
    self._run()
    steps = int(self._seen) - before
    return {'seconds': time.process_time() - began, 'steps': steps}
