"""SavedModels of V, M and whole agents: named signatures, explicit state.

Every signature takes any batch size and answers a flat dict of tensors; state
goes in as `h` and comes out as `next_h`. Loading one needs TensorFlow alone.
"""

import hashlib
import json
import os
import pathlib
import shutil
import typing

import numpy as np
import tensorflow as tf

from nca_tf import environments
from nca_tf.memory import cells
from nca_tf.saved_models import screen as screen_lib
from nca_tf.world_model import codec
from nca_tf.world_model import mixture

AGENT_SETTINGS = ('env', 'action_kind', 'frame_skip')


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
  names, state = _state_specs(model)
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


def export_sequence_model(model, input_size, folder):
  """Writes the SavedModel of a memory.sequence_model.SequenceModel.

  initial_state: batch int32 [] -> every state tensor by name.
  step: inputs [B, F], state -> outputs [B, O], next_<state>.
  """
  names = cells.state_names(model.cell)
  first = tf.nest.flatten(model.get_initial_state(1))
  state = {
    name: tf.TensorSpec([None, *part.shape[1:]], part.dtype, name=name)
    for name, part in zip(names, first, strict=True)
  }
  structure = model.get_initial_state(1)

  def initial_state(batch):
    parts = tf.nest.flatten(model.get_initial_state(batch))
    return dict(zip(names, parts, strict=True))

  def step(inputs, **state):
    carry = tf.nest.pack_sequence_as(structure, [state[n] for n in names])
    outputs, carry = model.step(inputs, carry)
    return {'outputs': outputs, **_next(names, tf.nest.flatten(carry))}

  inputs = tf.TensorSpec([None, input_size], tf.float32, name='inputs')
  signatures = {
    'initial_state': _concrete(
      initial_state, batch=tf.TensorSpec([], tf.int32, name='batch')
    ),
    'step': _concrete(step, inputs=inputs, **state),
  }
  _save(model, signatures, folder)


def export_agent(vision, model, controller, parameters, folder, info):
  """Writes the SavedModel of an agent, and `agent.json` into it.

  initial_state: batch int32 [] -> every state tensor by name, and is_first.
  act: frames uint8 [B, 64, 64, 3], state -> action (int32 [B], or float32 [B]
    in -1..1), next_<state>.
  act_as: like `act`, for the controller `parameters` [B, P].
  parameters: nothing -> parameters [P], those of `act`.
  act_screen: like `act`, from the screen as the game draws it, uint8
    [B, H, W, 3].

  Args:
    vision: V.
    model: M, of which only the cell is needed.
    controller: C, e.g. world_model.controller.LinearController.
    parameters: [P], the controller's.
    folder: where to.
    info: env, action_kind and frame_skip, and whatever else `agent.json` shall
      say, for JSON.

  Raises:
    ValueError: `info` lacks a setting or contradicts the controller, or there
      are not P parameters.
  """
  parameters = np.asarray(parameters, np.float32)
  info = _describe_agent(controller, parameters, info)
  info['digest'] = _digest([*vision.weights, *model.weights, parameters])
  agent = Agent(vision, model, controller)
  own = tf.Variable(parameters, trainable=False, dtype=tf.float32)
  names, state = _state_specs(model)
  state['is_first'] = tf.TensorSpec([None], tf.bool, name='is_first')
  game = environments.get_spec(info['env'])

  def initial_state(batch):
    parts = dict(zip(names, model.initial(batch), strict=True))
    return {**parts, 'is_first': tf.ones([batch], tf.bool)}

  def act_as(frames, parameters, is_first, **state):
    carry = [state[name] for name in names]
    action, carry = agent.act(frames, parameters, is_first, carry)
    following = {
      **_next(names, carry),
      'next_is_first': tf.zeros_like(is_first),
    }
    return {'action': action, **following}

  def act(frames, **state):
    return act_as(frames, own, **state)

  def act_screen(screen, **state):
    return act(screen_lib.observe(screen, game), **state)

  frames = tf.TensorSpec([None, 64, 64, 3], tf.uint8, name='frames')
  candidates = tf.TensorSpec(
    [None, controller.size], tf.float32, name='parameters'
  )
  screen = tf.TensorSpec([None, *game.screen_shape], tf.uint8, name='screen')
  signatures = {
    'initial_state': _concrete(
      initial_state, batch=tf.TensorSpec([], tf.int32, name='batch')
    ),
    'parameters': _concrete(lambda: {'parameters': own + 0}),
    'act': _concrete(act, frames=frames, **state),
    'act_as': _concrete(act_as, frames=frames, parameters=candidates, **state),
    'act_screen': _concrete(act_screen, screen=screen, **state),
  }
  _save([vision, model, own], signatures, folder, {'agent.json': info})


def _describe_agent(controller, parameters, info):
  missing = [name for name in AGENT_SETTINGS if name not in info]
  if missing:
    raise ValueError(f'info must name {", ".join(missing)}, got {sorted(info)}')
  if info['action_kind'] != controller.action_kind:
    raise ValueError(
      f'info must be of the action_kind {controller.action_kind!r} of the '
      f'controller, got {info["action_kind"]!r}'
    )
  if tuple(parameters.shape) != (controller.size,):
    raise ValueError(
      f'parameters must be of shape [{controller.size}], got '
      f'{list(parameters.shape)}'
    )
  features = {'features': list(controller.sizes), 'parameters': controller.size}
  return {**info, **features}


def _digest(weights):
  """Names an agent by its numbers: the same for the same weights."""
  whole = hashlib.sha256()
  for weight in weights:
    whole.update(np.asarray(weight).tobytes())
  return whole.hexdigest()[:16]


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
      frames: uint8 [B, 64, 64, 3].
      parameters: [P], or [B, P].
      is_first: bool [B], whether an episode starts here.
      state: M's, a list of [B, ...]; returns to zero where is_first.

    Returns:
      Actions [B], and M's state after it has seen the frame and the action.
    """
    dtype = tf.as_dtype(self.vision.variable_dtype)
    z, _ = self.vision.encode(codec.scale(frames, dtype))
    # M starts from zero there; C has to see that zero already.
    state = [
      tf.where(
        tf.reshape(is_first, [-1] + [1] * (part.shape.rank - 1)),
        tf.zeros_like(part),
        part,
      )
      for part in state
    ]
    features = {'z': z, **self.model.features(state)}
    features = {name: tf.cast(x, z.dtype) for name, x in features.items()}
    action = self.controller.act(parameters, features)
    _, state = self.model.step(
      z, self.controller.encode(action), is_first, state
    )  # Nobody asks for the prediction: its heads are pruned from the graph.
    return action, state


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


def _state_specs(model):
  """Returns the names of M's state, and its TensorSpecs [None, ...] by name."""
  names = cells.state_names(model.cell)
  return names, {
    name: tf.TensorSpec(
      [None, *part.shape[1:]], tf.as_dtype(part.dtype), name=name
    )
    for name, part in zip(names, model.initial(1), strict=True)
  }


def _next(names, state):
  return {f'next_{name}': part for name, part in zip(names, state, strict=True)}


def _concrete(function, **specs):
  function = tf.function(function, autograph=False)
  return function.get_concrete_function(**specs)


def _save(trackable, signatures, folder, files=None):
  """Saves under a temporary name: an export is complete or absent.

  Args:
    trackable: What the signatures read.
    signatures: Concrete functions by name.
    folder: Where to.
    files: What else to write there, JSON objects by file name.
  """
  folder = pathlib.Path(folder)
  temporary = folder.with_name(folder.name + '.partial')
  shutil.rmtree(temporary, ignore_errors=True)
  module = tf.Module()
  module.model = trackable
  tf.saved_model.save(module, str(temporary), signatures=signatures)
  for name, value in (files or {}).items():
    text = json.dumps(value, indent=2) + '\n'
    (temporary / name).write_text(text, encoding='utf-8')
  shutil.rmtree(folder, ignore_errors=True)
  os.replace(temporary, folder)
