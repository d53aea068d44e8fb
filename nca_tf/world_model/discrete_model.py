"""M over discrete codes: it learns what its codes say of V's latents as well.

See `categorical`. Letters as in `model`.
"""

import keras
import tensorflow as tf

from nca_tf import checks
from nca_tf import random_tensors
from nca_tf.world_model import categorical
from nca_tf.world_model import model as model_lib

_LEAST_VARIANCE = 1e-2  # Of V's noise in a dimension of z.


class DiscreteModel(model_lib.MemoryModel):
  """A MemoryModel whose cell sees, and whose prior is of, discrete codes.

  All but its loss is as in a MemoryModel: it takes V's latents and draws them.

    model = DiscreteModel(cells.make('dnc', 256), latent_size=64, action_size=3)
  """

  remembers = False  # Whether posterior and decoder see the cell's output.

  def __init__(
    self,
    cell,
    latent_size,
    action_size,
    groups=16,
    classes=16,
    reward=False,
    **kwargs,
  ):
    """Makes the heads around a cell.

    Args:
      cell: a Keras RNN cell, e.g. from `nca_tf.memory.cells.make`.
      latent_size: Z.
      action_size: A, the number of actions or of their components.
      groups: G, categorical variables of a code.
      classes: C of each of them.
      reward: whether the game has a reward to predict.
      **kwargs: of keras.Model.

    Raises:
      ValueError: a size is no integer of at least 1, or `reward` no boolean.
    """
    size = checks.integer('latent_size', latent_size, 1)
    # In full precision under mixed policies, as all heads are.
    full = keras.config.dtype_policy().variable_dtype
    head = categorical.CategoricalHead(
      size, groups, classes, self.remembers, dtype=full
    )
    super().__init__(
      cell, size, action_size, reward=reward, latent_head=head, **kwargs
    )

  def losses(
    self, transitions, state, key, done_weight=10.0, reward_weight=1.0
  ):
    """As of a MemoryModel; here nll is all that is learnt of the latents.

    That is what the codes leave of z, and the balanced KL of the codes'
    posterior from their prior, over Z; the terms kl and reconstruction have
    both in nats per step.
    """
    head = self.latent_head
    shape = [*transitions.is_first.shape, head.uniform_size]
    uniform = random_tensors.uniform(key, shape, head.dtype)
    later, prediction, state = self._teach(transitions, state, uniform)
    follows, _ = model_lib.masks(transitions.is_first, transitions.is_terminal)
    loss, kl = categorical.balanced_kl(later.posterior, prediction.latent)
    dtype = transitions.z.dtype
    variance = tf.reduce_mean(tf.cast(transitions.variance, dtype), (0, 1))
    left = head.reconstruction(
      later, transitions.z[:, 1:], tf.maximum(variance, _LEAST_VARIANCE)
    )
    # An episode's first frame is encoded too, though nothing predicts it.
    real = tf.logical_not(transitions.is_terminal[:, 1:])
    kl = model_lib.masked_mean(kl, follows)
    left = model_lib.masked_mean(left, real)
    learnt = model_lib.masked_mean(loss, follows) + left
    terms = model_lib.model_loss(
      prediction,
      transitions,
      done_weight,
      reward_weight,
      nll=learnt / self.latent_size,
    )
    return {**terms, 'kl': kl, 'reconstruction': left}, state

  def _teach(self, transitions, state, uniform):
    """Codes of all steps but the first, the Prediction of them, and a state."""
    codes = self.latent_head.teach(transitions.z, uniform)
    prediction, state = self.unroll_inputs(
      codes.codes[:, :-1],
      transitions.action[:, :-1],
      transitions.is_first[:, :-1],
      state,
    )
    posterior = categorical.CategoricalParameters(codes.posterior.logits[:, 1:])
    later = categorical.Codes(posterior, codes.codes[:, 1:])
    return later, prediction, state
