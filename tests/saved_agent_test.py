"""Agents in worker processes: their games, their failures, their messages."""

import copy
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys

import numpy as np
import processes
import pytest
import tiny_agents
from damage import damage

from nca_tf import environments
from nca_tf.command_line import faults
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


WHOLE = {
  'env': 'vizdoom',
  'action_kind': 'discrete',
  'frame_skip': 1,
  'digest': 'f0',
  'parameters': 3,
}
NO_TEXTS = (None, 3, True, ['x'], {}, float('nan'))
NO_COUNTS = (None, 0, -1, 1.5, 1.0, True, '1', [1], float('inf'), 10**30)


@pytest.mark.parametrize(
  ('name', 'values'),
  [
    ('env', NO_TEXTS),
    ('action_kind', (*NO_TEXTS, '', 'Discrete')),
    ('frame_skip', (*NO_COUNTS, 2**31)),
    ('digest', (*NO_TEXTS, '', '../f0', 'f/0', '.f0', 'f 0', 'f' * 65, 'é')),
    ('parameters', NO_COUNTS[:-1]),
  ],
)
def test_wrong_values_of_descriptions_are_named(tmp_path, name, values):
  for value in values:
    (tmp_path / 'agent.json').write_text(json.dumps({**WHOLE, name: value}))
    with pytest.raises(ValueError) as caught:
      saved_agent.read_info(tmp_path)
    message = str(caught.value)
    start = f'{tmp_path}/agent.json must describe an agent: {name} must be '
    assert message.startswith(start) and '\n' not in message
  (tmp_path / 'agent.json').write_text(json.dumps({**WHOLE, 'more': [None]}))
  assert saved_agent.read_info(tmp_path) == {**WHOLE, 'more': [None]}


@pytest.mark.parametrize(
  'data',
  [
    *(
      b'',
      b'\xff\xfe{',
      b'\x00' * 9,
      b'[' * 100_000,
      b'9' * 5000,
      b' ' * 2**21,
    ),
    *(b'{}' * 2, b'null', '{"env": "\ud800"'.encode('utf-8', 'surrogatepass')),
  ],
)
def test_bytes_that_describe_nothing_are_named(tmp_path, data):
  (tmp_path / 'agent.json').write_bytes(data)
  with pytest.raises(ValueError, match=r'agent\.json must describe an agent: '):
    saved_agent.read_info(tmp_path)


def test_damaged_descriptions_are_refused_or_whole(tmp_path):
  rng = np.random.default_rng(0)
  whole = json.dumps(WHOLE, indent=2).encode()
  for _ in range(300):
    (tmp_path / 'agent.json').write_bytes(damage(whole, [whole], rng))
    try:
      info = saved_agent.read_info(tmp_path)
    except ValueError as error:
      assert '\n' not in str(error) and str(tmp_path) in str(error)
    else:
      assert set(info) >= set(WHOLE) - {'parameters'}


@pytest.mark.parametrize(
  ('file', 'size'),
  [
    ('saved_model.pb', 0),
    ('saved_model.pb', 2000),
    ('saved_model.pb', None),
    ('variables/variables.index', 0),
    ('variables/variables.index', None),
    ('variables/variables.data-00000-of-00001', 5),
    ('variables/variables.data-00000-of-00001', None),
  ],
)
def test_damaged_models_are_named(agent, tmp_path, file, size):
  folder = tmp_path / 'agent'
  shutil.copytree(agent, folder)
  data = (folder / file).read_bytes()
  (folder / file).unlink()
  if size is not None:
    (folder / file).write_bytes(data[:size])
  with pytest.raises(ValueError) as caught:
    saved_agent.SavedAgent(folder)
  message = str(caught.value)
  assert message.startswith(f'{folder} must hold the SavedModel of an agent: ')
  assert '\n' not in message and len(message) < 400


def test_models_with_other_parameters_than_described_are_named(tmp_path):
  folder = tiny_agents.write(tmp_path / 'agent', parameters=4)
  with pytest.raises(
    ValueError, match=r'names 4 parameters, the model has \(3'
  ):
    saved_agent.SavedAgent(folder)
  # In a worker it is a fault of the machine: one line, and no traceback.
  with pytest.raises(faults.Fault, match='names 4 parameters'):
    list(play(folder, [1], processes=1))


def test_agents_are_loaded_again_and_not_copied(agent):
  policy = saved_agent.SavedAgent(agent)
  for call in (pickle.dumps, copy.deepcopy):
    with pytest.raises(TypeError, match='SavedAgent cannot .* load its folder'):
      call(policy)
  who = player.load(agent)
  assert pickle.loads(pickle.dumps(who)) == who


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
