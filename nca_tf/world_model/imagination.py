"""M on its own: one step, and any number of them.

Letters: B batch, T steps, Z latent size, A action size.
"""

import typing
from collections.abc import Callable

import tensorflow as tf

from nca_tf import checks


class Carry(typing.NamedTuple):
  """What M goes on from."""

  z: object  # [B, Z], the latent that M sees next
  memory: object  # list of [B, ...], the state of M's cell
  is_first: object  # [B] bool, whether an episode starts here


class Trajectory(typing.NamedTuple):
  """What M imagined at T steps."""

  z: object  # [B, T, Z]; entry t is of the step after action t
  done_probability: object  # [B, T], of the game ending with that step
  reward: object  # [B, T]; None where M predicts no reward


def step(model, carry: Carry, action, draw: Callable):
  """One step of M.

  Args:
    model: MemoryModel.
    carry: before the step.
    action: [B, A], one-hot for discrete games.
    draw: function of `Prediction.latent` to the next latent [B, Z].

  Returns:
    model.Prediction, and the Carry after the step.
  """
  prediction, memory = model.step(carry.z, action, carry.is_first, carry.memory)
  never = tf.zeros_like(carry.is_first)
  return prediction, Carry(draw(prediction.latent), list(memory), never)


def imagine(model, carry: Carry, policy: Callable, length, draw: Callable):
  """Lets M run by itself: it sees the latents that it drew.

  Args:
    model: MemoryModel.
    carry: where it starts.
    policy: function of the step t and the Carry to the action [B, A].
    length: T, a number or a scalar tensor.
    draw: function of `Prediction.latent` and t to the next latent.

  Returns:
    Trajectory and the Carry after the last step.

  Raises:
    ValueError: `length` is a number, but no integer of at least 0.
  """
  if not tf.is_tensor(length):
    length = checks.integer('length', length, 0)
  dtype = model.variable_dtype
  memory = model.as_state(carry.memory)
  carry = Carry(tf.cast(carry.z, dtype), memory, carry.is_first)
  scalars = 1 if model.reward_head is None else 2
  arrays = [
    tf.TensorArray(dtype, length, element_shape=shape)
    for shape in [carry.z.shape, *[carry.z.shape[:1]] * scalars]
  ]

  def body(t, carry, arrays):
    prediction, carry = step(
      model, carry, policy(t, carry), lambda latent: draw(latent, t)
    )
    imagined = carry.z, tf.sigmoid(prediction.done_logit), prediction.reward
    pairs = zip(arrays, imagined, strict=False)
    return t + 1, carry, [array.write(t, value) for array, value in pairs]

  _, carry, arrays = tf.while_loop(
    lambda t, *_: t < length,
    body,
    (tf.constant(0), carry, arrays),
    maximum_iterations=length,
  )
  z, *scalars = [array.stack() for array in arrays]
  done, *reward = map(tf.transpose, scalars)
  z = tf.transpose(z, [1, 0, 2])
  return Trajectory(z, done, reward[0] if reward else None), carry


def replay(actions) -> Callable:
  """Policy for `imagine`: the actions [B, T, A] that were taken."""
  actions = tf.transpose(actions, [1, 0, 2])
  steps = tf.TensorArray(
    actions.dtype, tf.shape(actions)[0], element_shape=actions.shape[1:]
  ).unstack(actions)
  return lambda t, carry: steps.read(t)


def sampler(
  model, temperature, seed, normal: Callable | None = None
) -> Callable:
  """How `imagine` draws at tau, with keys seed, seed + [0, 1] and so on.

  Arguments as of `mixture.sample`, from what `model` predicts.
  """
  return lambda latent, t: model.latent_head.sample(
    latent, tf.stack([seed[0], seed[1] + t]), temperature, normal
  )
