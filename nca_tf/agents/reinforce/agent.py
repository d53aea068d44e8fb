"""REINFORCE with a learnt baseline, as an agent of TF-Agents.

Williams, Simple statistical gradient-following algorithms for connectionist
reinforcement learning (1992), section 4, with the value of an observation as
the baseline. One step of the optimiser along the gradient of a whole window:

    mean over steps of  grad log pi(a_t | o_t) (G_t - V(o_t))

G_t is the discounted sum of rewards to the episode's end. An episode that the
window or a time limit cuts off goes on with the value of the observation after
it: the windows are shorter than many episodes, and to leave out what has not
ended would leave out the long ones.
"""

import dataclasses

import tensorflow as tf

from nca_tf.agents.ppo import agent as ppo


@dataclasses.dataclass(frozen=True)
class Settings:
  """How REINFORCE learns.

  Attributes:
    learning_rate: Adam's.
    entropy: Weight of the policy's entropy.
    value_weight: Weight of the values' squared errors.
    largest_gradient: Norm to which gradients are clipped.
    normalizes: Whether vector observations are normalised, clipped at 5.
  """

  learning_rate: float = 1e-3
  entropy: float = 0.01
  value_weight: float = 0.5
  largest_gradient: float = 0.5
  normalizes: bool = True


class ReinforceAgent(ppo.PPOAgent):
  """Learns once from each window of its own policy's play.

  Its arguments, streams and what it trains on are those of `PPOAgent`, which
  makes several steps of the optimiser with ratios of probabilities instead.
  """

  settings_class = Settings
  SCALARS = ('loss', 'policy_loss', 'value_loss', 'entropy')

  def __init__(self, *arguments, settings: Settings = Settings(), **options):  # noqa: B008
    """Takes what `PPOAgent` takes, and settings of its own."""
    whole = ppo.Settings(
      epochs=1,
      minibatches=1,
      trace_decay=1.0,  # Advantages are then returns less values.
      **dataclasses.asdict(settings),
    )
    super().__init__(*arguments, settings=whole, **options)

  def _find_loss(self, batch, state):
    weights = batch['weights']
    total = tf.maximum(tf.reduce_sum(weights), 1.0)
    parameters, values = self.network(
      batch['observation'], batch['is_first'], state
    )
    distribution = self._kind.distribution(parameters)
    log_prob = distribution.log_prob(batch['action'])
    # Nobody takes the action of a boundary step: it may have any probability.
    log_prob = tf.where(weights > 0, log_prob, 0.0)
    policy_loss = -tf.reduce_sum(log_prob * batch['advantages']) / total
    errors = tf.square(values - batch['targets']) * batch['value_weights']
    value_loss = 0.5 * tf.reduce_sum(errors) / total
    entropy = tf.reduce_sum(distribution.entropy() * weights) / total
    loss = policy_loss + self.settings.value_weight * value_loss
    loss -= self.settings.entropy * entropy
    return loss, (policy_loss, value_loss, entropy)
