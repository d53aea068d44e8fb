"""Agents in worker processes: their games, their failures, their messages."""

import os
import signal
import subprocess
import sys

import numpy as np
import processes
import pytest
import tiny_agents

from nca_tf import environments
from nca_tf.environments import workers
from nca_tf.environments.workers import episode
from nca_tf.environments.workers import player
from nca_tf.environments.workers import pool
from nca_tf.environments.workers import saved_agent

OPTIONS = {'time_limit': 70}
SEEDS = (3, 1, 4, 1, 5, 9, 2, 6)
OTHER = np.array([20, 0.1, 0], np.float32)


@pytest.fixture(scope='module')
def agent(tmp_path_factory):
  return tiny_agents.write(tmp_path_factory.mktemp('run') / 'agent')


def play(agent, seeds=SEEDS, **options):
  return workers.play(
    'vizdoom', agent, seeds, **{'options': OPTIONS, **options}
  )


@pytest.fixture(scope='module')
def expected(agent):
  """Recorded in this process, with own and other parameters in turns."""
  policy = saved_agent.SavedAgent(agent)
  env = environments.make('vizdoom', **OPTIONS)
  results = [
    episode.play(
      env,
      policy,
      index,
      seed,
      parameters=OTHER if index % 2 else None,
      record=True,
    )
    for index, seed in enumerate(SEEDS)
  ]
  env.close()
  return results


def worker_pids():
  return [
    pid
    for pid in processes.children(os.getpid())
    if 'worker.serve' in processes.command(pid)
  ]


def turns(count):
  return [OTHER if index % 2 else None for index in range(count)]


def same(results, expected):
  for result, other in zip(results, expected, strict=True):
    assert result._replace(actions=0, rewards=0) == other._replace(
      actions=0, rewards=0
    )
    np.testing.assert_array_equal(result.actions, other.actions)


def test_workers_play_and_record_what_this_process_plays(agent, expected):
  results = play(agent, parameters=turns(len(SEEDS)), record=True, processes=2)
  same(results, expected)
  own, other, _, again = expected[:4]
  np.testing.assert_array_equal(other.actions, again.actions)  # One seed.
  assert set(own.actions) == set(other.actions) == {0, 2}
  assert own.actions[:20].tolist() != other.actions[:20].tolist()


def test_agents_look_without_being_recorded(agent, expected):
  results = play(agent, parameters=turns(len(SEEDS)), processes=1)
  for result, other in zip(results, expected, strict=True):
    assert (result.score, result.tics) == (other.score, other.tics)
    assert result.actions is None


def test_own_parameters_given_from_outside_play_the_same(agent):
  own = np.array([4, 0.01, 0], np.float32)
  given, kept = play(
    agent, [7, 7], parameters=[own, None], record=True, processes=1
  )
  same([given._replace(index=1)], [kept])


def test_each_episode_starts_from_the_initial_state(agent):
  policy = saved_agent.SavedAgent(agent)
  frame = np.zeros((64, 64, 3), np.uint8)

  def first_steps():
    policy.reset(np.random.default_rng(0))
    return [policy.act(frame) for _ in range(9)]

  assert first_steps() == first_steps() == [0] * 3 + [2] * 4 + [0] * 2


def test_agents_without_parameters_play_the_same(agent, tmp_path):
  plain = tiny_agents.write(tmp_path / 'agent', controller=False)
  own = play(agent, [7], record=True, processes=1)
  same(play(plain, [7], parameters=[None], record=True, processes=1), list(own))
  with pytest.raises(
    ValueError, match="takes parameters, got 'agent-tiny-4.0'"
  ):
    play(plain, [7], parameters=[OTHER])
  policy = saved_agent.SavedAgent(plain)
  with pytest.raises(ValueError, match='parameters must be None'):
    policy.reset(parameters=OTHER)


def test_killed_workers_are_replaced(agent, expected):
  results, seen = (
    play(agent, parameters=turns(len(SEEDS)), record=True, processes=2),
    [],
  )
  for turn, result in enumerate(results):
    seen.append(result)
    if turn == 2:
      os.kill(worker_pids()[0], signal.SIGKILL)
  same(seen, expected)


def test_players_stay_for_several_calls(agent, expected):
  parameters = turns(len(SEEDS))
  with workers.Players('vizdoom', agent, options=OPTIONS, processes=1) as stay:
    for _ in range(2):
      results = stay.play(SEEDS[:3], parameters[:3])
      assert [each.score for each in results] == [
        each.score for each in expected[:3]
      ]
    (pid,) = worker_pids()
    os.kill(pid, signal.SIGKILL)  # Idle.
    left = stay.play(SEEDS, parameters)
    assert next(left).score == expected[0].score
    assert worker_pids() != [pid]
    # Another call ends the episodes of the one before.
    (again,) = stay.play(SEEDS[1:2], parameters[1:2])
    assert again._replace(index=1).score == expected[1].score
  assert worker_pids() == []


def break_games(tmp_path, monkeypatch, how):
  """Lets every worker's game do `how` when it is reset with seed 1."""
  (tmp_path / 'broken.py').write_text(
    'import os\n'
    'from nca_tf import environments\n'
    'from nca_tf.environments.take_cover import take_cover\n'
    'reset = take_cover.TakeCover.reset\n'
    'def broken(self, seed):\n'
    '  if seed == 1:\n'
    f'    {how}\n'
    '  return reset(self, seed=seed)\n'
    'take_cover.TakeCover.reset = broken\n'
  )
  monkeypatch.setenv('PYTHONPATH', str(tmp_path))
  patched = pool._COMMAND.replace('; worker', '; import broken; worker')
  assert patched != pool._COMMAND
  monkeypatch.setattr(pool, '_COMMAND', patched)


@pytest.mark.parametrize(
  ('how', 'error'),
  [
    ('os._exit(3)', RuntimeError),
    ("raise environments.GameCrashed('died')", environments.GameCrashed),
  ],
)
def test_a_failed_episode_has_no_score(tmp_path, monkeypatch, how, error):
  wanted = list(play('random', [3, 4, 5, 6], processes=1))
  break_games(tmp_path, monkeypatch, how)
  seeds = [3, 1, 4, 5, 6]
  results = list(play('random', seeds, processes=1, keep_going=True))
  assert [result.index for result in results] == list(range(5))
  assert results[1] == episode.Result(1, 1, None, 0, False)
  del results[1]
  assert [each.score for each in results] == [each.score for each in wanted]
  with pytest.raises(error):
    list(play('random', seeds, processes=1))


def test_a_run_folder_stands_for_its_agent(agent, tmp_path):
  (tmp_path / 'export').mkdir()
  (tmp_path / 'export' / 'agent').symlink_to(agent)
  assert saved_agent.find(tmp_path) == tmp_path / 'export' / 'agent'
  assert saved_agent.read_info(tmp_path)['digest'] == 'tiny-4.0'
  spec = environments.get_spec('vizdoom')
  assert player.resolve(tmp_path, spec).label == 'agent-tiny-4.0'
  assert player.resolve(tmp_path, spec).folder == tmp_path / 'export' / 'agent'
  assert player.resolve('stay', spec).label == 'stay'
  assert saved_agent.find(tmp_path / 'export' / 'nothing') is None


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('{"env"', 'must describe an agent'),
    ('[3]', 'must describe an agent'),
    ('3', 'must describe an agent'),
    ('{"env": "vizdoom"}', 'must name action_kind, frame_skip, digest'),
  ],
)
def test_damaged_descriptions_are_named(tmp_path, text, message):
  (tmp_path / 'agent.json').write_text(text)
  with pytest.raises(ValueError, match=message):
    saved_agent.read_info(tmp_path)


def test_wrong_arguments_are_named_before_anything_starts(agent):
  for options, message in (
    ({'options': {'frame_skip': 4}}, 'frame_skip must be 1, .* got 4'),
    ({'options': {'action_kind': 'continuous'}}, 'action_kind must be discr'),
    ({'parameters': [OTHER]}, 'parameters must be 8, one per seed, got 1'),
    ({'parameters': [OTHER[:2]] * 8}, r'must be of shape \[3\], got \[2\]'),
  ):
    with pytest.raises(ValueError, match=message):
      play(agent, **options)
  with pytest.raises(ValueError, match="policy must be an agent .*'random'"):
    play('random', parameters=[OTHER] * 8)
  with pytest.raises(ValueError, match='policy must be one of random'):
    play(agent.parent)


def test_importing_it_imports_no_tensorflow():
  code = (
    'import sys; from nca_tf.environments.workers import saved_agent, worker; '
    "print('tensorflow' in sys.modules)"
  )
  root = saved_agent.__file__.rpartition('/nca_tf/')[0]
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=root, capture_output=True, check=True
  )
  assert done.stdout == b'False\n'
