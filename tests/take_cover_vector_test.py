"""Take Cover in lanes: equal to single games, and an agent that sees it."""

import os
import signal

import numpy as np
import processes
import pytest

from nca_tf import environments
from nca_tf.command_line import config_flags
from nca_tf.environments.take_cover import take_cover
from nca_tf.environments.take_cover import vector
from nca_tf.experiments.agents import settings
from nca_tf.experiments.agents import training as training_lib

LANES, LIMIT = 3, 6


@pytest.fixture
def games():
  games = vector.TakeCoverVector(LANES, time_limit=LIMIT)
  yield games
  games.close()


def test_lanes_are_single_games_that_start_again_by_themselves(games):
  observations, _ = games.reset(seed=4)
  seeds = np.random.default_rng(4).integers(2**63, size=LANES)
  rng, single = np.random.default_rng(0), []
  plays = rng.integers(3, size=[2 * LIMIT + 1, LANES])
  for lane, seed in enumerate(seeds):
    game, seen = take_cover.TakeCover(time_limit=LIMIT), []
    seen.append((game.reset(seed=int(seed))[0], 0.0, False, False))
    for action in plays[:LIMIT, lane]:
      seen.append(game.step(action)[:4])
    seen.append((game.reset()[0], 0.0, False, False))
    for action in plays[LIMIT + 1 :, lane]:
      seen.append(game.step(action)[:4])
    game.close()
    single.append(seen)
  for lane in range(LANES):
    np.testing.assert_array_equal(observations[lane], single[lane][0][0])
  for step, actions in enumerate(plays, 1):
    found = games.step(actions)
    for lane in range(LANES):
      for ours, theirs in zip(found[:4], single[lane][step], strict=True):
        np.testing.assert_array_equal(ours[lane], theirs)
    np.testing.assert_array_equal(found[3], [step % (LIMIT + 1) == LIMIT] * 3)
  assert observations.std() > 10


def test_wrong_use_is_named(games):
  with pytest.raises(environments.ResetNeeded, match='call reset'):
    games.step([0] * LANES)
  games.reset(seed=1)
  with pytest.raises(ValueError, match='actions must be 3, got'):
    games.step([0, 1])
  with pytest.raises(ValueError, match='action must be 0, 1 or 2, got .*3'):
    games.step([0, 1, 3])
  with pytest.raises(ValueError, match='num_envs must be'):
    vector.TakeCoverVector(0)


def test_an_engine_that_dies_is_a_fault_of_one_line(games):
  games.reset(seed=1)
  os.kill(processes.engines(os.getpid())[0], signal.SIGKILL)
  with pytest.raises(environments.GameCrashed, match='engine died') as caught:
    games.step([1] * LANES)
  assert '\n' not in str(caught.value)


def test_an_agent_learns_from_frames():
  argv = ('--env=vizdoom', '--lanes=2', '--window=4', '--minibatches=2')
  config = config_flags.resolve(settings.Config, ['--preset=smoke', *argv])
  training = training_lib.Training(config)
  assert training.spec.shape == (64, 64, 3)
  scalars = training.step(0)
  training.collector.environment.close()
  assert all(np.isfinite(value) for value in scalars.values())
  window = training.collector.carry
  assert sum(part.dtype == 'uint8' for part in window) == 1
