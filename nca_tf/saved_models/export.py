"""SavedModels of V, M and whole agents: named signatures, explicit state.

Every signature takes any batch size and returns a flat dict of tensors; state
goes in as `h` and comes out as `next_h`. Loading one needs TensorFlow alone.
What they refuse stands in `signature`, how to use them, also in TensorFlow
Lite, in docs/deploying.md. Letters: B batch, T steps, Z latent size, A action
size, K Gaussians, P parameters.
"""

import hashlib
import os
import pathlib
import shutil

import numpy as np
import tensorflow as tf

from nca_tf import environments
from nca_tf import files
from nca_tf import random_tensors
from nca_tf.environments.workers import saved_agent
from nca_tf.memory import cells
from nca_tf.saved_models import screen as screen_lib
from nca_tf.saved_models import signature
from nca_tf.saved_models import translation
from nca_tf.world_model import codec
from nca_tf.world_model import imagination


def _frames(vision):
  """What V takes as a game gives it: frames, or vectors."""
  dtype = tf.uint8 if vision.takes_frames else tf.float32
  return tf.TensorSpec([None, *vision.observation_shape], dtype, name='frames')


def export_vision(vision, folder):
  """Writes the SavedModel `vision`: encode, decode.

  encode: frames uint8 [B, 64, 64, 3], B >= 1 -> mean, log_variance [B, Z]. A
    tensor of floats is refused; a NumPy array of floats TensorFlow casts.
  decode: z [B, Z] -> frames uint8 [B, 64, 64, 3].

  Of a game of vectors the frames are float32 [B, N].
  """
  dtype = tf.as_dtype(vision.variable_dtype)

  def encode(frames):
    mean, log_variance = codec.encode(vision, frames)
    return {'mean': mean, 'log_variance': log_variance}

  def decode(z):
    return {'frames': codec.decode(vision, z)}

  latent = tf.TensorSpec([None, vision.latent_size], dtype, name='z')
  signatures = {
    'encode': signature.make(encode, frames=_frames(vision)),
    'decode': signature.make(decode, z=latent),
  }
  _save(_variables(vision), signatures, folder)


def export_model(model, folder):
  """Writes the SavedModel `model`: initial_state, step, dream.

  initial_state: batch int32 [] -> every state tensor by name.
  predict: z [B, Z], action [B, A], is_first bool [B], state -> the mixture's
    logits ([B, Z, K], or [B, K] if joint), loc and scale [B, Z, K] (of an M
    over codes logits [B, G, C]), next_mean [B, Z], done_probability [B], reward
    [B] (if M predicts one), next_<state>. Draws nothing.
  step: as predict, with temperature [] above 0 and seed int32 [2] -> next_z
    [B, Z] as drawn, next_mean, done_probability, reward, next_<state>. The draw
    of a lane depends on its place in the batch, not on the batch's size.
  dream: as step with action [B, T, A] -> z [B, T, Z] and done_probability
    [B, T] of T steps in which M sees its own draws, next_<state>. Its step t
    draws as `step` does with the seed + [0, t].
  """
  dtype = tf.as_dtype(model.variable_dtype)
  names, state = _state_specs(model.cell, model.initial(1))
  latent = tf.TensorSpec([None, model.latent_size], dtype, name='z')
  action = tf.TensorSpec([None, model.action_size], dtype, name='action')
  actions = tf.TensorSpec([None, None, model.action_size], dtype, name='action')
  seen = {
    'z': latent,
    'is_first': tf.TensorSpec([None], tf.bool, name='is_first'),
    **state,
  }
  drawn = {
    'temperature': tf.TensorSpec([], tf.float32, name='temperature'),
    'seed': tf.TensorSpec([2], tf.int32, name='seed'),
    **seen,
  }

  predict, step, dream = _model_functions(model, names)
  signatures = {
    'initial_state': _initial_state(names, model.initial),
    'predict': signature.make(predict, action=action, **seen),
    'step': signature.make(step, action=action, **drawn),
    'dream': signature.make(dream, action=actions, **drawn),
  }
  _save(_variables(model), signatures, folder)


def _model_functions(model, names):
  """`predict`, `step` and `dream` of `export_model`."""
  rows = random_tensors.normal_rows

  def predict(**seen):
    latent, outputs = say(**seen)
    latent = latent._asdict()
    latent.pop('context', None)  # That is in the state, as h and reads.
    return {**latent, **outputs}

  def say(z, action, is_first, **state):
    state = [state[name] for name in names]
    prediction, state = model.step(z, action, is_first, state)
    outputs = {
      'next_mean': model.latent_head.mean(prediction.latent),
      'done_probability': tf.sigmoid(prediction.done_logit),
    }
    if prediction.reward is not None:
      outputs['reward'] = prediction.reward
    return prediction.latent, {**outputs, **_next(names, state)}

  def step(temperature, seed, **seen):
    latent, outputs = say(**seen)
    drawn = model.latent_head.sample(latent, seed, temperature, rows)
    return {'next_z': drawn, **outputs}

  def dream(z, action, is_first, temperature, seed, **state):
    carry = imagination.Carry(z, [state[name] for name in names], is_first)
    act = imagination.replay(action)
    draw = imagination.sampler(model, temperature, seed, rows)
    steps = tf.shape(action)[1]
    imagined, carry = imagination.imagine(model, carry, act, steps, draw)
    outputs = {'z': imagined.z, 'done_probability': imagined.done_probability}
    return {**outputs, **_next(names, carry.memory)}

  return predict, step, dream


def export_sequence_model(model, input_size, folder):
  """Writes the SavedModel of a memory.sequence_model.SequenceModel.

  initial_state: batch int32 [] -> every state tensor by name.
  step: inputs [B, F], state -> outputs [B, O], next_<state>.
  """
  structure = model.get_initial_state(1)
  names, state = _state_specs(model.cell, tf.nest.flatten(structure))

  def step(inputs, **state):
    carry = tf.nest.pack_sequence_as(structure, [state[n] for n in names])
    outputs, carry = model.step(inputs, carry)
    return {'outputs': outputs, **_next(names, tf.nest.flatten(carry))}

  inputs = tf.TensorSpec([None, input_size], tf.float32, name='inputs')
  signatures = {
    'initial_state': _initial_state(
      names, lambda batch: tf.nest.flatten(model.get_initial_state(batch))
    ),
    'step': signature.make(step, inputs=inputs, **state),
  }
  _save(_variables(model), signatures, folder)


def export_agent(agent, parameters, folder, info):
  """Writes the SavedModel of an agent, and `agent.json` into it.

  initial_state: batch int32 [] -> every state tensor by name, and is_first.
  act: frames uint8 [B, 64, 64, 3], B >= 1, state -> action (int32 [B], or
    float32 [B] in -1..1, [B, A] of several components), next_<state>. Of a
    game of vectors the frames are float32 [B, N].
  act_as: like `act`, for the controller `parameters` [B, P], or [1, P].
  parameters: nothing -> parameters [P], those of `act`.
  act_screen: like `act`, from the screen as the game draws it, uint8
    [B, H, W, 3]; not of a game of vectors.

  Args:
    agent: world_model.agent.Agent; of M only the cell is needed.
    parameters: [P], the controller's.
    folder: where to.
    info: env, action_kind and frame_skip; options of `environments.make` under
      which the game shows what V has learnt from; and what else `agent.json`
      shall say, for JSON.

  Raises:
    ValueError: `info` lacks a setting or contradicts the controller, or there
      are not P parameters.
  """
  parameters = np.asarray(parameters, np.float32)
  info = _describe_agent(agent.controller, parameters, info)
  weights = *agent.vision.weights, *agent.model.weights, parameters
  info['digest'] = _digest(weights)
  own = tf.Variable(parameters, trainable=False, dtype=tf.float32)
  game = environments.get_spec(info['env'], **info.get('options', {}))
  signatures = _agent_signatures(agent, own, game)
  variables = [*_variables(agent.vision), *_variables(agent.model), own]
  _save(variables, signatures, folder, **{'agent.json': info})


def export_policy(agent, folder, info):
  """Writes the SavedModel of an agent that learnt by itself, and `agent.json`.

  It plays as one of `export_agent` does.

  initial_state: batch int32 [] -> every state tensor by name, and is_first.
  act: frames [B, ...] as the game shows them, state -> action (int32 [B], or
    float32 in -1..1, [B] or [B, A]), next_<state>.

  Args:
    agent: agents.ppo.agent.PPOAgent, or another with its `act`.
    folder: where to.
    info: env; options of `environments.make` under which the game shows what
      the agent learnt from; and what else `agent.json` shall say, for JSON.
  """
  start = agent.initial_state(1)
  cell = agent.network.cell
  names, state = _state_specs(cell, start) if cell is not None else ((), {})
  state['is_first'] = tf.TensorSpec([None], tf.bool, name='is_first')
  seen, taken = agent.time_step_spec.observation, agent.action_spec
  info = {
    'action_kind': translation.find_kind(taken),
    'frame_skip': 1,
    'options': {},
    **info,
  }
  frames = translation.find_frames(info, seen)

  def initial(batch):
    return [*agent.initial_state(batch), tf.ones([batch], tf.bool)]

  def act(frames, is_first, **state):
    flat = [state[name] for name in names]
    observation = translation.observe(frames, seen)
    action, flat = agent.act(observation, is_first, flat)
    following = _next(names, flat)
    never = tf.zeros_like(is_first)
    action = translation.answer(action, taken)
    return {'action': action, **following, 'next_is_first': never}

  signatures = {
    'initial_state': _initial_state([*names, 'is_first'], initial),
    'act': signature.make(act, frames=frames, **state),
  }
  variables = _variables(agent.network)
  if agent.moments is not None:
    variables += agent.moments.variables
  info |= {
    'observation': [list(frames.shape[1:]), frames.dtype.name],
    'action': [list(taken.shape), taken.dtype.name],
    'digest': _digest(variables),
  }
  _save(variables, signatures, folder, **{'agent.json': info})


def _agent_signatures(agent, own, game):
  """Those of `export_agent`; `own` are the controller's parameters."""
  names, state = _state_specs(agent.model.cell, agent.model.initial(1))
  state['is_first'] = tf.TensorSpec([None], tf.bool, name='is_first')

  def initial(batch):
    return [*agent.model.initial(batch), tf.ones([batch], tf.bool)]

  def act_as(frames, parameters, is_first, **state):
    carry = [state[name] for name in names]
    action, carry = agent.act(frames, parameters, is_first, carry)
    following = _next(names, carry)
    never = tf.zeros_like(is_first)
    return {'action': action, **following, 'next_is_first': never}

  def act(frames, **state):
    return act_as(frames, own, **state)

  def act_screen(screen, **state):
    return act(screen_lib.observe(screen, game), **state)

  frames = _frames(agent.vision)
  candidates = tf.TensorSpec([None, own.shape[0]], tf.float32, 'parameters')
  signatures = {
    'initial_state': _initial_state([*names, 'is_first'], initial),
    'parameters': signature.make(lambda: {'parameters': own + 0}),
    'act': signature.make(act, frames=frames, **state),
    # To the bit as in training: what plays games for scores goes through it.
    'act_as': signature.make(
      act_as, scan=True, frames=frames, parameters=candidates, **state
    ),
  }
  if game.has_frames:
    screen = tf.TensorSpec([None, *game.screen_shape], tf.uint8, name='screen')
    signatures['act_screen'] = signature.make(
      act_screen, screen=screen, **state
    )
  return signatures


def _digest(weights):
  """Names an agent by its numbers: the same for the same weights."""
  digest = hashlib.sha256()
  for weight in weights:
    digest.update(np.asarray(weight).tobytes())
  return digest.hexdigest()[:16]


def _describe_agent(controller, parameters, info):
  missing = [name for name in saved_agent.SETTINGS if name not in info]
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
  return {
    **info,
    'features': list(controller.sizes),
    'hidden': controller.hidden,
    'parameters': controller.size,
  }


def _state_specs(cell, state):
  """Names of a cell's state, and TensorSpecs [None, ...] of it by name."""
  names = cells.state_names(cell)
  return names, {
    name: tf.TensorSpec([None, *part.shape[1:]], part.dtype, name=name)
    for name, part in zip(names, state, strict=True)
  }


def _initial_state(names, make):
  """The signature: batch int32 [] -> what `make` returns, by name."""
  return signature.make(
    lambda batch: dict(zip(names, make(batch), strict=True)),
    batch=tf.TensorSpec([], tf.int32, name='batch'),
  )


def _next(names, state):
  return {f'next_{name}': part for name, part in zip(names, state, strict=True)}


def _variables(layer):
  """TensorFlow's variables of a Keras layer.

  Its own hide them from TensorFlow Lite's converter, which then reads every
  weight as NaN.
  """
  return [variable.value for variable in layer.variables]


def _save(variables, signatures, folder, **objects):
  """Saves under a temporary name: an export is complete or absent.

  The folder also gets `objects` as JSON, by file name.
  """
  folder = pathlib.Path(folder)
  temporary = folder.with_name(folder.name + files.PARTIAL)
  shutil.rmtree(temporary, ignore_errors=True)
  module = tf.Module()
  module.weights = variables
  tf.saved_model.save(module, str(temporary), signatures=signatures)
  for name, value in objects.items():
    files.write_json(temporary / name, value)
  shutil.rmtree(folder, ignore_errors=True)
  os.replace(temporary, folder)
