"""Plays an agent's SavedModel in Take Cover, with TensorFlow and ViZDoom alone.

python play_agent.py FOLDER [SEED ...]

FOLDER is the `export/agent` of a run; each seed is one episode of 2100 tics at
most. Prints the score of each, the tics survived, and their mean. Copy this
file to wherever the agent is to play: it needs nothing else of this project.
"""

import json
import os
import sys

import tensorflow as tf
import vizdoom

TIME_LIMIT = int(os.environ.get('TIME_LIMIT', 2100))  # Tics of 1/35 s.
BUTTONS = ([1, 0], [0, 0], [0, 1])  # Left, stay, right.


def make_game():
  """Take Cover as the agent knows it: 160x120 RGB, with damage flashes."""
  game = vizdoom.DoomGame()
  game.set_doom_scenario_path(
    os.path.join(vizdoom.scenarios_path, 'take_cover.wad')
  )
  game.set_doom_map('map01')
  game.set_doom_skill(4)
  game.set_episode_start_time(14)
  game.set_episode_timeout(0)
  game.set_available_buttons(
    [vizdoom.Button.MOVE_LEFT, vizdoom.Button.MOVE_RIGHT]
  )
  game.set_screen_resolution(vizdoom.ScreenResolution.RES_160X120)
  game.set_screen_format(vizdoom.ScreenFormat.RGB24)
  game.set_render_hud(True)
  game.set_render_screen_flashes(True)
  game.set_render_crosshair(False)
  game.set_render_weapon(False)
  game.set_render_decals(False)
  game.set_render_particles(False)
  game.set_window_visible(False)
  game.set_sound_enabled(False)
  game.init()
  return game


def choose(action, action_kind):
  """Which buttons an action means; a number is cut at a third."""
  if action_kind == 'continuous':
    value = float(action[0])
    return BUTTONS[1 + int(value > 1 / 3) - int(value < -1 / 3)]
  return BUTTONS[int(action[0])]


def play(game, agent, info, seed):
  """Plays one episode and returns the tics survived."""
  game.set_seed(seed)
  game.new_episode()
  state = agent.signatures['initial_state'](batch=tf.constant(1))
  tics = 0
  while tics < TIME_LIMIT and not game.is_episode_finished():
    screen = tf.constant(game.get_state().screen_buffer)[None]
    outputs = agent.signatures['act_screen'](screen=screen, **state)
    state = {name: outputs[f'next_{name}'] for name in state}
    before = game.get_episode_time()
    game.set_action(choose(outputs['action'], info['action_kind']))
    game.advance_action(min(info['frame_skip'], TIME_LIMIT - tics))
    tics += game.get_episode_time() - before
  return tics


def main(folder, *seeds):
  """Plays an episode per seed."""
  with open(os.path.join(folder, 'agent.json'), encoding='utf-8') as file:
    info = json.load(file)
  agent = tf.saved_model.load(folder)
  game = make_game()
  scores = []
  for seed in seeds or range(1, 11):
    scores.append(play(game, agent, info, int(seed)))
    print(f'seed {seed}: {scores[-1]}', flush=True)
  game.close()
  print(f'mean {sum(scores) / len(scores):.1f}')


if __name__ == '__main__':
  main(*sys.argv[1:])
