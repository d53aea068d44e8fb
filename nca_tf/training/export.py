"""SavedModels of V and M with named signatures and explicit state.

Every signature takes any batch size and answers a flat dict of tensors; state
goes in as `h` and comes out as `next_h`. Loading one needs TensorFlow alone.
"""

import os
import pathlib
import shutil

import tensorflow as tf

from nca_tf.memory import cells
from nca_tf.world_model import codec
from nca_tf.world_model import mixture


def export_vision(vision, folder):
  """Writes the SavedModel `vision`: encode, decode.

  encode: frames uint8 [B, 64, 64, 3] -> mean, log_variance [B, Z].
  decode: z [B, Z] -> frames uint8 [B, 64, 64, 3].
  """
  dtype = tf.as_dtype(vision.variable_dtype)

  def encode(frames):
    mean, log_variance = vision.encode(codec.scale(frames, dtype))
    return {'mean': mean, 'log_variance': log_variance}

  def decode(z):
    return {'frames': codec.quantise(vision.decode(z))}

  frame = tf.TensorSpec([None, 64, 64, 3], tf.uint8, name='frames')
  latent = tf.TensorSpec([None, vision.latent_size], dtype, name='z')
  signatures = {
    'encode': _concrete(encode, frames=frame),
    'decode': _concrete(decode, z=latent),
  }
  _save(vision, signatures, folder)


def export_model(model, folder):
  """Writes the SavedModel `model`: initial_state, step, dream.

  initial_state: batch int32 [] -> every state tensor by name.
  step: z [B, Z], action [B, A], is_first bool [B], temperature [], seed int32
    [2], state -> next_z (sampled), next_mean, done_probability, reward (if M
    predicts one), next_<state>.
  dream: z [B, Z] and action [B, T, A] -> z [B, T, Z] and done_probability
    [B, T] of T steps that M plays to itself, next_<state>.
  """
  dtype = tf.as_dtype(model.variable_dtype)
  names = cells.state_names(model.cell)
  state = {
    name: tf.TensorSpec(
      [None, *part.shape[1:]], tf.as_dtype(part.dtype), name=name
    )
    for name, part in zip(names, model.initial(1), strict=True)
  }
  latent = tf.TensorSpec([None, model.latent_size], dtype, name='z')
  action = tf.TensorSpec([None, model.action_size], dtype, name='action')
  actions = tf.TensorSpec([None, None, model.action_size], dtype, name='action')
  common = {
    'z': latent,
    'is_first': tf.TensorSpec([None], tf.bool, name='is_first'),
    'temperature': tf.TensorSpec([], tf.float32, name='temperature'),
    'seed': tf.TensorSpec([2], tf.int32, name='seed'),
    **state,
  }

  def initial_state(batch):
    return dict(zip(names, model.initial(batch), strict=True))

  def step(z, action, is_first, temperature, seed, **state):
    carry = [state[name] for name in names]
    outputs, carry = imagine(
      model, z, action, is_first, carry, temperature, seed
    )
    return {**outputs, **_next(names, carry)}

  def dream(z, action, is_first, temperature, seed, **state):
    carry = [state[name] for name in names]
    latents, done, carry = unroll_dream(
      model, z, action, is_first, carry, temperature, seed
    )
    return {'z': latents, 'done_probability': done, **_next(names, carry)}

  signatures = {
    'initial_state': _concrete(
      initial_state, batch=tf.TensorSpec([], tf.int32, name='batch')
    ),
    'step': _concrete(step, action=action, **common),
    'dream': _concrete(dream, action=actions, **common),
  }
  _save(model, signatures, folder)


def imagine(model, z, action, is_first, state, temperature, seed):
  """One step of M with a sampled next latent.

  Returns:
    dict of next_z, next_mean, done_probability and, with a reward head,
    reward; and the state as a list.
  """
  prediction, state = model.step(z, action, is_first, state)
  outputs = {
    'next_z': mixture.sample(prediction.latent, seed, temperature),
    'next_mean': mixture.mixture_mean(prediction.latent),
    'done_probability': tf.sigmoid(prediction.done_logit),
  }
  if prediction.reward is not None:
    outputs['reward'] = prediction.reward
  return outputs, state


def unroll_dream(model, z, action, is_first, state, temperature, seed):
  """T steps of M on its own samples: action [B, T, A] -> z [B, T, Z].

  Returns:
    Latents [B, T, Z], done probabilities [B, T], the state as a list.
  """
  steps = tf.shape(action)[1]
  actions = tf.TensorArray(
    action.dtype, steps, element_shape=[None, model.action_size]
  ).unstack(tf.transpose(action, [1, 0, 2]))
  latents = tf.TensorArray(
    z.dtype, steps, element_shape=[None, model.latent_size]
  )
  done = tf.TensorArray(z.dtype, steps, element_shape=[None])

  def body(index, z, is_first, state, latents, done):
    outputs, state = imagine(
      model,
      z,
      actions.read(index),
      is_first,
      state,
      temperature,
      tf.stack([seed[0], seed[1] + index]),
    )
    z = outputs['next_z']
    return (
      index + 1,
      z,
      tf.zeros_like(is_first),
      state,
      latents.write(index, z),
      done.write(index, outputs['done_probability']),
    )

  _, _, _, state, latents, done = tf.while_loop(
    lambda index, *_: index < steps,
    body,
    (tf.constant(0), z, is_first, list(state), latents, done),
    maximum_iterations=steps,
  )
  return (
    tf.transpose(latents.stack(), [1, 0, 2]),
    tf.transpose(done.stack()),
    state,
  )


def _next(names, state):
  return {f'next_{name}': part for name, part in zip(names, state, strict=True)}


def _concrete(function, **specs):
  function = tf.function(function, autograph=False)
  return function.get_concrete_function(**specs)


def _save(trackable, signatures, folder):
  """Saves under a temporary name: an export is complete or absent."""
  folder = pathlib.Path(folder)
  temporary = folder.with_name(folder.name + '.partial')
  shutil.rmtree(temporary, ignore_errors=True)
  module = tf.Module()
  module.model = trackable
  tf.saved_model.save(module, str(temporary), signatures=signatures)
  shutil.rmtree(folder, ignore_errors=True)
  os.replace(temporary, folder)
