"""Plays a dream: a scripted policy, an agent, or a person at the keyboard.

Ha and Schmidhuber, World Models (2018), section 4: the dream as a game.
"""

import numpy as np
import tensorflow as tf

from nca_tf import precision
from nca_tf.analysis import animation
from nca_tf.command_line import faults
from nca_tf.environments.workers import saved_agent
from nca_tf.experiments.dream import film
from nca_tf.experiments.dream import keyboard
from nca_tf.experiments.dream import session as session_lib
from nca_tf.experiments.dream import settings
from nca_tf.runs import progress
from nca_tf.runs import run as run_lib
from nca_tf.world_model import codec
from nca_tf.world_model import world_model as world_model_lib


def run(config: settings.Config) -> session_lib.Session:
  """Plays, shows or films it, and prints how long each dream lasted."""
  if not config.needs_folder:
    precision.set_precision(config.precision)
    return _play(config, config.output)
  model = config.world_model_config
  name, about = config.run_name, f'{model.env}, {model.cell}'
  with run_lib.start(config, settings.NAME, name, about) as run:
    session = _play(config, run.path / 'dream.gif')
    run.finish('play', {'tics': session.tics()})
    return session


def _play(config, output):
  """Plays; `output` may be empty."""
  model = world_model_lib.WorldModel.load(config.model_folder)
  lanes = 1 if config.is_keyboard else config.lanes
  session = session_lib.Session(model, config, lanes)
  steps = min(config.steps or session.horizon, session.horizon)
  if config.is_keyboard:
    keyboard.play(session, codec.Codec(model.vision, 1), steps)
  else:
    act = _make_policy(config, model)
    with progress.Progress('dream', steps, 'steps') as bar:
      while session.steps < steps and not session.is_over:
        session.step(act(session.observation))
        bar.update(session.steps, alive=np.sum(~session.over))
  print('\n'.join(film.describe(session)))
  if output and not model.spec.has_frames:
    print(f'{output} is not made: {model.spec.name} shows vectors')
  elif output:
    pages, fps = film.draw(session, model.codec, config.label)
    animation.write_gif(pages, output, fps)
    print(f'{output} shows {len(pages)} pages at half speed')
  return session


def _make_policy(config, model):
  """Function of an observation to actions [L]."""
  if not config.agent:
    return session_lib.scripted(
      config.policy, model.spec, config.lanes, config.seed
    )
  info = config.agent_info
  controller = model.controller(info['features'], info.get('hidden', 0))
  parameters = saved_agent.SavedAgent(config.agent).parameters
  if len(parameters) != controller.size:
    raise faults.UsageError(
      f'--world_model must have the sizes for {len(parameters)} parameters of '
      f'the agent {config.agent}, got {config.model_folder}, for '
      f'{controller.size}'
    )
  act = tf.function(
    lambda observation: controller.act(parameters, observation), autograph=False
  )
  return lambda observation: act(observation).numpy()
