"""Scores of a game's scripted policies: the baselines of what is learnt."""

import contextlib

from nca_tf import environments
from nca_tf.environments import gym_registry
from nca_tf.environments import workers
from nca_tf.experiments.controller import search
from nca_tf.play import crashes


def play(
  env: str, episodes: int, seed: int, processes: int = 1, options=None
) -> dict[str, list[float]]:
  """Scores in the real game of every scripted policy, by name.

  Args:
    env: Where agents are trained. One that is no game has no policies.
    episodes: Of each policy, on seeds of its own.
    seed: Of all.
    processes: That play; 0 is one per processor core.
    options: Of the game.
  """
  is_game = env in environments.names() or env.startswith(gym_registry.PREFIX)
  scores = {}
  for name in environments.get_spec(env).policies if is_game else ():
    seeds = search.episode_seeds(seed, f'check {name}', episodes)
    results = workers.play(
      env, name, seeds, processes=processes, options=options
    )
    with crashes.reported(), contextlib.closing(results):
      scores[name] = [result.score for result in results]
  return scores
