"""A controller with one M in the dream of another.

What a controller reads and what its dream does come from one M as a rule. Here
a guest watches what a host dreams, as it would watch the game: whether the one
or the other makes a controller good can be told apart.
"""

from nca_tf.world_model import model as model_lib


class Guest:
  """The host's predictions and the guest's features, for `dream.Dream`.

  both = Guest(host=dreams, guest=reads)
  prediction, memory = both.step(z, action, is_first, both.initial(lanes))
  both.features(memory)  # Of the guest.
  """

  def __init__(self, host: model_lib.MemoryModel, guest: model_lib.MemoryModel):
    """Takes two built Ms over the latents of one V.

    Raises:
      ValueError: Their latents or actions have different sizes.
    """
    for name in ('latent_size', 'action_size'):
      wanted, got = getattr(host, name), getattr(guest, name)
      if wanted != got:
        raise ValueError(f'guest must have {name} {wanted}, got {got}')
    self._host, self._guest = host, guest
    self._parts = len(host.initial(1))
    self.latent_size = host.latent_size
    self.latent_head = host.latent_head
    self.variable_dtype = host.variable_dtype

  def initial(self, batch: int) -> list:
    """States of both before the first step, tensors [B, ...]."""
    return [*self._host.initial(batch), *self._guest.initial(batch)]

  def step(self, z, action, is_first, state):
    """As of a MemoryModel: the host's Prediction, and the states of both."""
    host, guest = state[: self._parts], state[self._parts :]
    prediction, host = self._host.step(z, action, is_first, host)
    _, guest = self._guest.advance(z, action, is_first, guest)
    return prediction, [*host, *guest]

  def perceive(self, z, state):
    """As of a MemoryModel, the host's."""
    return self._host.perceive(z, state[: self._parts])

  def features(self, state) -> dict:
    """Named features of the guest that a controller may read."""
    return self._guest.features(state[self._parts :])
