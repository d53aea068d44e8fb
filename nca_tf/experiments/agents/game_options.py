"""The games in which players meet what agents of bin/train_agent learnt in."""

from typing import Any

from nca_tf.environments import gym_registry


def find(config, environment) -> dict[str, Any]:
  """Returns options of `environments.make` for the game of an environment.

  With them the game of the same name shows and takes what the environment does;
  an entry of `_OPTIONS` where the game's own are others.

  Args:
    config: Settings of the training.
    environment: An environment of its arena.
  """
  if config.env.startswith(gym_registry.PREFIX):
    return {'raw': True, 'time_limit': environment.time_limit}
  found = _OPTIONS.get(config.env)
  return found(config, environment) if found else {}


_OPTIONS = {
  'rooms': lambda config, environment: {
    'size': config.size,
    'time_limit': environment.time_limit,
  },
  'pixel_copter': lambda config, environment: {
    'observation': config.observation
  },
}
