"""M, the memory model: predicts the next latent, the reward and the end.

Ha and Schmidhuber, World Models (2018), section 2.2 and appendix A.2, with any
registered recurrent cell in place of the LSTM. Letters: B batch, T time,
Z latent size, A action size, F features.
"""

import typing

import keras
import tensorflow as tf
from keras import ops

from nca_tf import checks
from nca_tf.memory import cells
from nca_tf.memory.unrolled import episodes
from nca_tf.world_model import mixture


class Prediction(typing.NamedTuple):
  """What M says of step t + 1, given everything up to step t."""

  # Of z at t + 1: MixtureParameters, or CategoricalParameters of its codes.
  latent: object
  done_logit: object  # [...], of the game ending at t + 1
  reward: object  # [...], of the action at t; None without a reward head


class Transitions(typing.NamedTuple):
  """Consecutive steps; step t + 1 of row b follows step t."""

  z: object  # [B, T + 1, Z]
  action: object  # [B, T + 1, A]; one-hot for discrete games
  reward: object  # [B, T + 1]
  is_first: object  # [B, T + 1] bool
  is_terminal: object  # [B, T + 1] bool; death, not the time limit
  variance: object = None  # [B, T + 1, Z], of V's posterior; None: unknown


class MemoryModel(keras.Model):
  """Recurrent cell under mixture, done and (where wanted) reward heads.

  model = MemoryModel(cells.make('dnc', 256), latent_size=64, action_size=3)
  state = model.initial(batch)
  prediction, state = model.step(z, action, is_first, state)
  prediction, state = model.unroll(z, actions, is_first, state)
  """

  def __init__(
    self,
    cell,
    latent_size,
    action_size,
    mixtures=5,
    joint=False,
    reward=False,
    latent_head=None,
    **kwargs,
  ):
    """Makes the heads around a cell.

    Args:
      cell: a Keras RNN cell, e.g. from `nca_tf.memory.cells.make`.
      latent_size: Z.
      action_size: A, the number of actions or of their components.
      mixtures: Gaussians per dimension (or jointly).
      joint: one mixture weight for all dimensions.
      reward: whether the game has a reward to predict.
      latent_head: what takes the place of a MixtureHead.
      **kwargs: of keras.Model.

    Raises:
      ValueError: a size is no integer of at least 1, or a flag no boolean.
    """
    super().__init__(**kwargs)
    self.latent_size = checks.integer('latent_size', latent_size, 1)
    self.action_size = checks.integer('action_size', action_size, 1)
    mixtures = checks.integer('mixtures', mixtures, 1)
    has_reward = checks.boolean('reward', reward)
    self.cell = cell
    # Heads and losses stay in full precision under mixed policies.
    full = self.dtype_policy.variable_dtype
    if latent_head is None:
      latent_head = mixture.MixtureHead(
        self.latent_size, mixtures, joint, dtype=full
      )
    self.latent_head = latent_head
    self.done_head = keras.layers.Dense(1, dtype=full)
    self.reward_head = keras.layers.Dense(1, dtype=full) if has_reward else None

  def build(self, input_shape=None):
    """Builds every variable by one step of a batch of one."""
    if self.built:
      return
    width = self.latent_head.input_size + self.action_size + 1
    self.cell.build((None, width))
    self.latent_head.build((None, self.cell.output_size))
    self.built = True
    z, action = (
      ops.zeros((1, self.latent_size)),
      ops.zeros((1, self.action_size)),
    )
    self.step(z, action, ops.zeros((1,), 'bool'), self.initial(1))

  def initial(self, batch):
    """State before the first step: a flat list of tensors [B, ...]."""
    return keras.tree.flatten(self.cell.get_initial_state(batch_size=batch))

  def step(self, z, action, is_first, state):
    """One step: z [B, Z], action [B, A], is_first [B] -> Prediction, state.

    The state returns to zero where an episode starts; the flag is an input of
    the cell as well, as doomrnn's restart flag is.
    """
    output, state = self.advance(z, action, is_first, state)
    return self.read_out(output), state

  def advance(self, z, action, is_first, state):
    """As `step`, but the cell's output [B, O] in place of what heads say."""
    inputs = self._join(self.latent_head.encode(z), action, is_first)
    return episodes.advance(self.cell, inputs, is_first, state)

  def unroll(self, z, action, is_first, state, kernel='auto', checkpoint=None):
    """T steps: z [B, T, Z], action [B, T, A], is_first [B, T].

    Args:
      z: latents.
      action: one-hot or continuous.
      is_first: where episodes start.
      state: before the first step.
      kernel: of `memory.unroll`, for a DNC; 'plain' for the loop over `step`.
      checkpoint: steps per chunk of `memory.unroll`, to save memory.

    Returns:
      Prediction with leading axes [B, T], and the state after the last step.
    """
    seen = self.latent_head.encode(z)
    return self.unroll_inputs(seen, action, is_first, state, kernel, checkpoint)

  def unroll_inputs(
    self, seen, action, is_first, state, kernel='auto', checkpoint=None
  ):
    """As `unroll`, from what the latent head makes of z, [B, T, I]."""
    inputs = self._join(seen, action, is_first)
    outputs, state = episodes.unroll(
      self.cell, inputs, is_first, state, kernel, checkpoint
    )
    return self.read_out(outputs), state

  def losses(
    self, transitions, state, key, done_weight=10.0, reward_weight=1.0
  ):
    """Terms of the loss by name, see `model_loss`, and the state after it.

    Args:
      transitions: Transitions of T + 1 steps.
      state: before the first step.
      key: int32 [2], of what is drawn in an M over codes.
      done_weight: as of `model_loss`.
      reward_weight: as of `model_loss`.
    """
    del key
    prediction, state = self.unroll(
      transitions.z[:, :-1],
      transitions.action[:, :-1],
      transitions.is_first[:, :-1],
      state,
    )
    terms = model_loss(prediction, transitions, done_weight, reward_weight)
    return terms, state

  def as_state(self, state):
    """A flat state as a list of tensors in the dtypes of `initial`."""
    return keras.tree.flatten(episodes.pack(self.cell, state))

  def features(self, state):
    """Named features of a state that a controller may read: h, c, reads..."""
    return cells.features(self.cell, episodes.pack(self.cell, state))

  def call(self, z, action, is_first):
    """Unrolls from the initial state; the predictions alone."""
    return self.unroll(z, action, is_first, self.initial(ops.shape(z)[0]))[0]

  def inputs(self, z, action, is_first):
    """What the cell sees from the start: z, action and flag, [B, T, I + A + 1].

    The arguments are those of `unroll`.
    """
    return self._join(self.latent_head.encode(z), action, is_first)

  def perceive(self, z, state):
    """What is left of latents [B, Z] in what the cell sees after `state`."""
    del state
    return self.latent_head.perceive(z)

  def _join(self, seen, action, is_first):
    dtype = self.compute_dtype
    flag = ops.expand_dims(ops.cast(is_first, dtype), -1)
    parts = [ops.cast(seen, dtype), ops.cast(action, dtype), flag]
    return ops.concatenate(parts, axis=-1)

  def read_out(self, output):
    """Prediction of the heads from outputs of the cell, [..., O]."""
    latent, done = self.latent_head(output), self.done_head(output)[..., 0]
    if self.reward_head is None:
      return Prediction(latent, done, None)
    return Prediction(latent, done, self.reward_head(output)[..., 0])


def masks(is_first, is_terminal):
  """Which predictions have a target, both [B, T] from flags [B, T + 1].

  The step after an episode's last belongs to another episode: nothing is
  learned across that border. After death the game gives no frame (the recorded
  one repeats the last), so the latent has no target there, only `done` has.

  Returns:
    latent mask, done mask.
  """
  follows = tf.logical_not(is_first[:, 1:])
  return tf.logical_and(follows, tf.logical_not(is_terminal[:, 1:])), follows


def model_loss(
  prediction, transitions, done_weight=10.0, reward_weight=1.0, nll=None
):
  """Mixture NLL plus weighted done cross-entropy plus squared reward error.

  The latent term is the mean over steps and dimensions, as in doomrnn; there
  the done term gives positives ten times the weight, since one step in some
  three hundred is one.

  Args:
    prediction: Prediction of T steps, from steps 0..T-1 of `transitions`.
    transitions: Transitions of T + 1 steps.
    done_weight: weight of the positives.
    reward_weight: of the squared error of rewards.
    nll: what is learnt of the latents in place of the mixture's, a scalar.

  Returns:
    dict of scalars: loss, nll (nats per dimension), done_loss (nats) and,
    with a reward head, reward_loss (before its weight).
  """
  dtype = prediction.done_logit.dtype
  latent_mask, done_mask = masks(transitions.is_first, transitions.is_terminal)
  if nll is None:
    nll = mixture.negative_log_likelihood(
      prediction.latent, transitions.z[:, 1:]
    )
    nll = masked_mean(nll, latent_mask)
  ended = tf.cast(transitions.is_terminal[:, 1:], dtype)
  done = tf.nn.weighted_cross_entropy_with_logits(
    ended, prediction.done_logit, tf.cast(done_weight, dtype)
  )
  terms = {
    'nll': nll,
    'done_loss': masked_mean(done, done_mask),
  }
  if prediction.reward is not None:
    reward = tf.cast(transitions.reward[:, :-1], dtype)
    terms['reward_loss'] = masked_mean(
      tf.square(prediction.reward - reward), done_mask
    )
  summed = dict(terms)
  if prediction.reward is not None and reward_weight != 1:
    summed['reward_loss'] *= tf.cast(reward_weight, dtype)
  return {'loss': tf.add_n(list(summed.values())), **terms}


def masked_mean(values, mask):
  """Mean over the values where the mask, of the same shape, is true."""
  mask = tf.cast(mask, values.dtype)
  # Masked entries must not carry a NaN or an infinity into the sum.
  values = tf.where(mask > 0, values, tf.zeros_like(values))
  return tf.reduce_sum(values) / tf.maximum(tf.reduce_sum(mask), 1)
