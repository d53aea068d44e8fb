"""PPO as an agent of TF-Agents, with streams of values.

Schulman et al., Proximal policy optimization algorithms (2017), equations 7 and
9, on minibatches. TF-Agents' own PPO agents differ in what matters here: they
bootstrap from the value before the last one, take time limits for deaths, start
recurrent networks from zeros in the middle of an episode, and have one value.

Letters: B lanes, T steps, S streams.
"""

import dataclasses
from collections.abc import Sequence

import keras
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.agents import moments
from nca_tf.agents import network as network_lib
from nca_tf.agents import tf_agents
from nca_tf.agents.ppo import advantages as advantages_lib
from nca_tf.agents.ppo import policy as policy_lib

EXTRINSIC = advantages_lib.Stream('extrinsic', 0.99)


@dataclasses.dataclass(frozen=True)
class Settings:
  """How PPO learns.

  Attributes:
    learning_rate: Adam's, a number or a schedule.
    epochs: Passes over a window.
    minibatches: Per pass; of a recurrent network, groups of lanes.
    clip: Epsilon of the ratio of probabilities.
    entropy: Weight of the policy's entropy.
    value_weight: Weight of the values' squared errors.
    trace_decay: Lambda of the advantages.
    largest_gradient: Norm to which gradients are clipped.
    normalizes: Whether vector observations are normalised, clipped at 5.
  """

  learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 3e-4
  epochs: int = 4
  minibatches: int = 4
  clip: float = 0.2
  entropy: float = 0.01
  value_weight: float = 0.5
  trace_decay: float = 0.95
  largest_gradient: float = 0.5
  normalizes: bool = True


class PPOAgent(tf_agents.TFAgent):
  """Learns from windows [B, T] of the environment's steps.

  `train(experience, state, final_values, rewards)` takes a Trajectory of TF-
  Agents' layout, boundary steps included; see `collector`, which makes it.

  Attributes:
    network: The `ActorCritic`.
    streams: Of rewards and values.
    moments: Of the observations, or None.
  """

  settings_class = Settings
  SCALARS = ('loss', 'policy_loss', 'value_loss', 'entropy', 'kl', 'clipped')

  def __init__(
    self,
    time_step_spec: tf_agents.TimeStep,
    action_kind,
    network: network_lib.ActorCritic,
    streams: Sequence[advantages_lib.Stream] = (EXTRINSIC,),
    settings: Settings = Settings(),  # noqa: B008
    seed: int = 0,
  ):
    """Takes a network for these streams, and builds it.

    Raises:
      ValueError: The network has another number of values.
    """
    if network.streams != len(streams):
      raise ValueError(
        f'network must have {len(streams)} streams, got {network.streams}'
      )
    observation = time_step_spec.observation
    with random_numbers.weights(seed, 'agent'):
      network.build(observation.shape)
    self.network = network
    self.streams = tuple(streams)
    self.settings = settings
    self.seed = seed
    self._kind = action_kind
    is_vector = observation.dtype.is_floating and len(observation.shape) == 1
    self.moments = (
      moments.Moments(tuple(observation.shape))
      if is_vector and settings.normalizes
      else None
    )
    self.optimizer = keras.optimizers.Adam(settings.learning_rate, epsilon=1e-5)
    self.optimizer.build(network.trainable_variables)
    policies = [
      policy_lib.NetworkPolicy(
        time_step_spec, action_kind, network, self.prepare, greedy=greedy
      )
      for greedy in (True, False)
    ]
    super().__init__(
      time_step_spec,
      action_kind.spec,
      *policies,
      train_sequence_length=None,
      train_step_counter=tf.Variable(0, dtype=tf.int64, trainable=False),
    )

  def initial_state(self, batch) -> list:
    """Returns the flat state of the cell; empty without one."""
    return self.network.initial_state(batch)

  def act(self, observation, is_first, state) -> tuple[tf.Tensor, list]:
    """Takes the likeliest actions.

    Args:
      observation: [B, ...].
      is_first: Bool [B], where an episode begins.
      state: Flat, of the cell.

    Returns:
      Actions [B, ...], and the next state, flat.
    """
    parameters, _, state = self.network.step(
      self.prepare(observation), is_first, state
    )
    action = self._kind.distribution(parameters).mode()
    return tf.cast(action, self.action_spec.dtype), state

  def prepare(self, observation: tf.Tensor) -> tf.Tensor:
    """Returns what the network sees of an observation."""
    if self.moments is None:
      return observation
    return self.moments.normalize(observation, 5.0)

  def _initialize(self):
    pass

  def _train(
    self, experience, weights=None, state=(), final_values=None, rewards=None
  ):
    """Updates the network.

    Args:
      experience: Trajectory [B, T].
      weights: Unused.
      state: The policy's flat state before the window.
      final_values: [B, S], of the observation after the window.
      rewards: [B, T, S]; None for the environment's as the one stream.

    Returns:
      LossInfo; `extra` has scalars by name.
    """
    del weights
    values = experience.policy_info['values']
    if rewards is None:
      rewards = experience.reward[..., None]
    is_boundary = experience.is_boundary()
    advantages = advantages_lib.estimate(
      self.streams,
      rewards,
      tf.concat([values, final_values[:, None]], 1),
      experience.discount,
      is_boundary,
      self.settings.trace_decay,
    )
    batch = {
      'observation': self.prepare(experience.observation),
      'is_first': experience.is_first(),
      'action': experience.action,
      'log_prob': experience.policy_info['log_prob'],
      'targets': advantages + values,
      'advantages': self._combine(advantages, is_boundary),
      'weights': tf.cast(~is_boundary, values.dtype),
      # A boundary step's value is of no action, unless the stream goes on.
      'value_weights': tf.where(
        tf.constant([stream.is_episodic for stream in self.streams]),
        tf.cast(~is_boundary, values.dtype)[..., None],
        tf.ones([], values.dtype),
      ),
    }
    infos = self._run_epochs(batch, list(state))
    self.train_step_counter.assign_add(1)
    if self.moments is not None:
      shape = [-1, *experience.observation.shape[2:]]
      self.moments.update(tf.reshape(experience.observation, shape))
    variance = tf.math.reduce_variance(batch['targets'])
    infos['explained_variance'] = 1 - tf.math.reduce_variance(
      advantages
    ) / tf.maximum(variance, 1e-12)
    return tf_agents.LossInfo(infos['loss'], infos)

  def _combine(self, advantages, is_boundary):
    """Returns the policy's advantages [B, T], normalised over real steps."""
    weights = tf.constant([s.weight for s in self.streams], advantages.dtype)
    total = tf.reduce_sum(weights * advantages, -1)
    real = tf.boolean_mask(total, ~is_boundary)
    mean, variance = tf.nn.moments(real, [0])
    return (total - mean) / (tf.sqrt(variance) + 1e-8)

  def _run_epochs(self, batch, state):
    """Updates on shuffled minibatches; returns the means of the scalars."""
    lanes, steps = (tf.shape(batch['action'])[axis] for axis in (0, 1))
    if self.network.cell is None:  # Every step stands alone.
      batch = {
        name: tf.reshape(
          part, tf.concat([[lanes * steps, 1], tf.shape(part)[2:]], 0)
        )
        for name, part in batch.items()
      }
    rows = tf.shape(batch['action'])[0]
    count = self.settings.epochs * self.settings.minibatches
    size = rows // self.settings.minibatches
    orders = self._draw_orders(rows)

    def body(index, sums):
      epoch, part = (
        index // self.settings.minibatches,
        (index % self.settings.minibatches),
      )
      chosen = orders[epoch, part * size : (part + 1) * size]
      piece = {name: tf.gather(value, chosen) for name, value in batch.items()}
      scalars = self._update(piece, [tf.gather(s, chosen) for s in state])
      return index + 1, [a + b for a, b in zip(sums, scalars, strict=True)]

    start = tf.constant(0), [tf.zeros([], tf.float32)] * len(self.SCALARS)
    _, sums = tf.while_loop(
      lambda index, _: index < count, body, start, parallel_iterations=1
    )
    return dict(zip(self.SCALARS, [s / count for s in sums], strict=True))

  def _draw_orders(self, rows):
    """Returns in which order each epoch takes the rows, [epochs, rows]."""
    key = random_numbers.key(self.seed, 'minibatches', self.train_step_counter)

    def draw(epoch):
      numbers = tf.random.stateless_uniform(
        [rows],
        key + [0, 7919 * (epoch + 1)],
        None,
        None,
        tf.int32,
        alg='philox',
      )
      return tf.argsort(numbers)

    return tf.map_fn(draw, tf.range(self.settings.epochs))

  def _update(self, batch, state):
    """Makes one step of the optimiser; returns its scalars."""
    variables = self.network.trainable_variables
    with tf.GradientTape() as tape:
      loss, scalars = self._find_loss(batch, state)
    gradients = tape.gradient(loss, [v.value for v in variables])
    gradients, _ = tf.clip_by_global_norm(
      gradients, self.settings.largest_gradient
    )
    self.optimizer.apply(gradients, variables)
    return [loss, *scalars]

  def _find_loss(self, batch, state):
    settings, weights = self.settings, batch['weights']
    total = tf.maximum(tf.reduce_sum(weights), 1.0)

    def mean(values):
      return tf.reduce_sum(values * weights) / total

    parameters, values = self.network(
      batch['observation'], batch['is_first'], state
    )
    distribution = self._kind.distribution(parameters)
    change = distribution.log_prob(batch['action']) - batch['log_prob']
    # Nobody takes the action of a boundary step: it may have any probability.
    change = tf.where(weights > 0, change, 0.0)
    ratio = tf.exp(change)
    clipped = tf.clip_by_value(ratio, 1 - settings.clip, 1 + settings.clip)
    gain = batch['advantages']
    policy_loss = -mean(tf.minimum(ratio * gain, clipped * gain))
    errors = tf.square(values - batch['targets']) * batch['value_weights']
    value_loss = 0.5 * tf.reduce_sum(errors) / total
    entropy = mean(distribution.entropy())
    loss = policy_loss + settings.value_weight * value_loss
    loss -= settings.entropy * entropy
    kl = mean(ratio - 1 - change)
    far = mean(tf.cast(tf.abs(ratio - 1) > settings.clip, loss.dtype))
    return loss, (policy_loss, value_loss, entropy, kl, far)
