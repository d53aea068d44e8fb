"""What M forecasts of held-out episodes: one step, and open loop.

One-step forecasts are teacher-forced: M sees every frame up to t and forecasts
t + 1. Open-loop forecasts start there and feed M its own mean latent with the
actions that were really taken.
"""

import typing

import numpy as np
import tensorflow as tf

from nca_tf import checks
from nca_tf.world_model import imagination

CHUNK = 25  # steps from one start of an open-loop forecast to the next


class Forecasts(typing.NamedTuple):
  """Forecasts of E episodes, padded to T transitions.

  Entry [e, t] is the forecast of step t + 1 made at step t.
  """

  mean: np.ndarray  # [E, T, Z]
  nll: np.ndarray  # [E, T] nats per dimension
  done_logit: np.ndarray  # [E, T]
  open_loop: np.ndarray  # [E, starts, K, Z]; entry k is of step start + k + 1
  starts: np.ndarray  # [starts], the last step that M saw


class Episodes(typing.NamedTuple):
  """E episodes padded to one length; all [E, T + 1, ...]."""

  z: np.ndarray  # latents seen and forecast, [E, T + 1, Z]
  action: np.ndarray  # [E, T + 1, A], one-hot for discrete games
  is_first: np.ndarray  # [E, T + 1]
  frames: np.ndarray  # [E], number of real frames, then padding
  ended: np.ndarray  # [E], whether the step after the last frame is death


def pad(latents, action_size, noise=None, chunk=CHUNK):
  """Latents of whole episodes -> Episodes.

  The step that repeats the last frame after death is no frame of its own.

  Args:
    latents: datasets.latents.Latents.
    action_size: number of discrete actions.
    noise: numpy Generator to draw z from its posterior; None takes its mean.
    chunk: a divisor of the padded length T.
  """
  slices = latents.episodes
  length = max(part.stop - part.start for part in slices)
  length = 1 + -(-(length - 1) // chunk) * chunk
  count, size = len(slices), latents.mean.shape[1]
  z = np.zeros((count, length, size), np.float32)
  action = np.zeros((count, length, action_size), np.float32)
  is_first = np.zeros((count, length), bool)
  is_first[:, 0] = True
  frames, ended = np.zeros(count, int), np.zeros(count, bool)
  for row, part in enumerate(slices):
    steps = part.stop - part.start
    mean = latents.mean[part].astype(np.float32)
    if noise is not None:
      scale = np.exp(0.5 * latents.log_variance[part].astype(np.float32))
      mean = mean + scale * noise.standard_normal(mean.shape, np.float32)
    z[row, :steps] = mean
    action[row, :steps] = one_hot(latents.action[part], action_size)
    ended[row] = latents.is_terminal[part][-1]
    frames[row] = steps - ended[row]
  return Episodes(z, action, is_first, frames, ended)


def one_hot(action, action_size):
  """Discrete actions [T] -> [T, A]; continuous ones pass through."""
  if np.issubdtype(action.dtype, np.integer):
    return np.eye(action_size, dtype=np.float32)[action]
  return action.reshape(len(action), action_size)


def forecast(model, episodes, horizon=50):
  """Forecasts of a MemoryModel for all Episodes at once, `horizon` K.

  Raises:
    ValueError: `horizon` is no integer of at least 1.
  """
  horizon = checks.integer('horizon', horizon, 1)
  head = model.latent_head

  @tf.function(autograph=False)
  def teacher(z, action, is_first, target, state):
    prediction, state = model.unroll(z, action, is_first, state)
    nll = head.negative_log_likelihood(prediction.latent, target)
    mean = head.mean(prediction.latent)
    return mean, nll, prediction.done_logit, state

  @tf.function(autograph=False)
  def free(first, actions, state):
    never = tf.zeros(tf.shape(first)[:1], tf.bool)
    carry, act = (
      imagination.Carry(first, state, never),
      imagination.replay(actions),
    )
    imagined, _ = imagination.imagine(
      model,
      carry,
      act,
      horizon - 1,
      lambda latent, t: head.mean(latent),
    )
    return tf.concat([first[:, None], imagined.z], 1)

  count, length, _ = episodes.z.shape
  state = model.initial(count)
  one_step, ahead, starts = [], [], []
  for begin in range(0, length - 1, CHUNK):
    window = slice(begin, begin + CHUNK)
    seen = episodes.z, episodes.action, episodes.is_first
    target = episodes.z[:, begin + 1 : begin + CHUNK + 1]
    mean, nll, done, state = teacher(
      *(part[:, window] for part in seen), target, state
    )
    one_step.append((mean, nll, done))
    start = begin + CHUNK - 1
    actions = episodes.action[:, start + 1 : start + horizon]
    missing = horizon - 1 - actions.shape[1]
    actions = np.pad(actions, ((0, 0), (0, missing), (0, 0)))
    ahead.append(free(mean[:, -1], actions, state).numpy())
    starts.append(start)
  mean, nll, done = (
    np.concatenate([part.numpy() for part in parts], axis=1)
    for parts in zip(*one_step, strict=True)
  )
  return Forecasts(mean, nll, done, np.stack(ahead, 1), np.array(starts))
