"""The dream check: scripted policies in the dream and in the game.

Nothing is trained here. Where a policy lives much longer or shorter in the
dream than in the game, a controller will learn to exploit the difference.
"""

import numpy as np
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.analysis import intervals
from nca_tf.analysis import ranks
from nca_tf.analysis import table
from nca_tf.environments import policies
from nca_tf.experiments.controller import scripted
from nca_tf.world_model import dream as dream_lib

ROLLOUTS = 64  # Dreams per policy.


def play_game(world_model, config) -> dict[str, list[float]]:
  """Scores of every scripted policy in the real game, by name."""
  return scripted.play(
    world_model.spec.name,
    config.check_episodes,
    config.seed,
    config.processes,
    world_model.game_options,
  )


def play_dream(world_model, config) -> dict[str, list[float]]:
  """Scores of every scripted policy in the dream, by name.

  Expected tics, or tics; or M's rewards where it predicts them.
  """
  spec, seed = world_model.spec, config.seed
  dream = world_model.dream(config.temperature, config.fitness)

  @tf.function(autograph=False, jit_compile=True)
  def play(actions):
    noise = dream.make_noise(ROLLOUTS, random_numbers.key(seed, 'dream check'))
    return dream.play(dream_lib.replay(actions), 1, noise, ROLLOUTS).scores

  found = {}
  for name in spec.policies:
    scores = play(_script(name, spec, dream.horizon, seed)).numpy()[0]
    found[name] = (scores * spec.survived_step).tolist()
  return found


def compare(in_dream, in_game, seed) -> table.Table:
  """Mean score of each policy in the dream and in the game, with intervals."""
  view = table.Table(['policy', 'in the dream', 'in the game'], digits=0)
  for name, scores in in_dream.items():
    rng = np.random.default_rng(seed)
    dreamt = intervals.bootstrap_mean(scores, rng=rng)
    game = in_game.get(name)
    played = intervals.bootstrap_mean(game, rng=rng) if game else None
    view.add(name, dreamt, played)
  return view


def order(in_dream, in_game) -> intervals.Interval:
  """Rank correlation of the policies' mean scores in the dream and the game."""
  names = [name for name in in_dream if in_game.get(name)]
  return ranks.correlation(
    *(
      [np.mean(scores[name]) for name in names]
      for scores in (in_dream, in_game)
    )
  )


def find_fault(in_dream, in_game, spec) -> str | None:
  """One line about a dream in which standing still survives, or None."""
  still = spec.still_policy
  if still not in in_dream:
    return None
  dreamt, played = np.mean(in_dream[still]), np.mean(in_game[still])
  if dreamt < spec.time_limit / 2:
    return None
  return (
    f'standing still survives {dreamt:.0f} of {spec.time_limit} tics in this '
    f'dream, {played:.0f} in the game'
  )


def _script(name, spec, steps, seed):
  """Actions [R, T, A] of a scripted policy."""
  rollouts, purpose = [], f'dream check: {name}'
  for rollout in range(ROLLOUTS):
    policy = policies.make(name, spec)
    policy.reset(random_numbers.generator(seed, purpose, rollout))
    rollouts.append([policy.act(None) for _ in range(steps)])
  actions = np.array(rollouts)
  if spec.action_kind == 'continuous':
    shape = *actions.shape[:2], spec.components
    return tf.constant(actions.reshape(shape), tf.float32)
  return tf.one_hot(actions, spec.actions)
