"""V, M and C together: a player of the real game."""

import typing

import tensorflow as tf

from nca_tf.world_model import codec


class Agent(typing.NamedTuple):
  """V, M and C as one player of the real game.

  agent = Agent(vision, model, controller)
  action, state = agent.act(frames, parameters, is_first, model.initial(batch))
  """

  vision: object
  model: object
  controller: object

  def act(self, frames, parameters, is_first, state):
    """One step of the game.

    Args:
      frames: uint8 [B, 64, 64, 3], or float32 [B, N] of a game of vectors.
      parameters: [P], or [B, P].
      is_first: bool [B], whether an episode starts here.
      state: M's, a list of [B, ...]; returns to zero where is_first.

    Returns:
      Actions [B] (or [B, A]), and M's state after it has seen the frame and
      the action.
    """
    z, _ = codec.encode(self.vision, frames)
    # M starts from zero there; C has to see that zero already.
    state = [
      tf.where(
        tf.reshape(is_first, [-1] + [1] * (part.shape.rank - 1)),
        tf.zeros_like(part),
        part,
      )
      for part in state
    ]
    seen = self.model.perceive(z, state)
    features = {'z': seen, **self.model.features(state)}
    features = {name: tf.cast(x, z.dtype) for name, x in features.items()}
    action = self.controller.act(parameters, features)
    # The prediction is not used: the graph leaves its heads out.
    _, state = self.model.step(
      z, self.controller.encode(action), is_first, state
    )
    return action, state
