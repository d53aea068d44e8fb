"""Agents that are loaded within a moment, for tests of who plays them."""

import json

import tensorflow as tf

PARAMETERS = 3


def write(folder, time_to_turn=4.0, controller=True, **info):
  """Writes an agent that walks to and fro, turning as its parameters say.

  It counts its steps in the state, adds some of the frame's brightness, and
  goes left in the first half of each period, right in the second.

  Args:
    folder: Where to.
    time_to_turn: Steps, the first of its own parameters.
    controller: Whether its parameters can be replaced; a PPO agent's cannot.
    **info: Changes to agent.json.
  """
  module = tf.Module()
  module.own = tf.Variable([time_to_turn, 0.01, 0.0], trainable=False)
  count = tf.TensorSpec([None], tf.float32, name='count')
  is_first = tf.TensorSpec([None], tf.bool, name='is_first')

  def initial_state(batch):
    return {'count': tf.zeros([batch]), 'is_first': tf.ones([batch], tf.bool)}

  def act_as(frames, parameters, count, is_first):
    count = tf.where(is_first, 0.0, count) + 1
    light = tf.reduce_mean(tf.cast(frames, tf.float32), [1, 2, 3])
    phase = (count + parameters[:, 1] * light) / parameters[:, 0]
    action = 2 * tf.cast(tf.math.floormod(phase, 2.0) >= 1, tf.int32)
    following = {'next_count': count, 'next_is_first': tf.zeros_like(is_first)}
    return {'action': action, **following}

  def act(frames, count, is_first):
    return act_as(frames, module.own[None], count, is_first)

  def concrete(function, *specs):
    return tf.function(function, autograph=False).get_concrete_function(*specs)

  frames = tf.TensorSpec([None, 64, 64, 3], tf.uint8, name='frames')
  parameters = tf.TensorSpec([None, PARAMETERS], tf.float32, name='parameters')
  signatures = {
    'initial_state': concrete(
      initial_state, tf.TensorSpec([], tf.int32, name='batch')
    ),
    'act': concrete(act, frames, count, is_first),
  }
  if controller:
    signatures |= {
      'parameters': concrete(lambda: {'parameters': module.own + 0}),
      'act_as': concrete(act_as, frames, parameters, count, is_first),
    }
    info = {'parameters': PARAMETERS, **info}
  tf.saved_model.save(module, str(folder), signatures=signatures)
  whole = {
    'env': 'vizdoom',
    'action_kind': 'discrete',
    'frame_skip': 1,
    'digest': f'tiny-{time_to_turn}',
    **info,
  }
  (folder / 'agent.json').write_text(json.dumps(whole))
  return folder
