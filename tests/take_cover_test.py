"""The real engine: determinism, ends, actions, crashes and orphans."""

import errno
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import types

import gymnasium
import numpy as np
import processes
import pytest
from gymnasium.utils import env_checker
from PIL import Image

from nca_tf import environments
from nca_tf.environments.take_cover import take_cover

LIMIT = 60


@pytest.fixture(scope='module')
def env():
  env = environments.make('vizdoom', time_limit=LIMIT)
  yield env
  env.close()


@pytest.fixture(scope='module')
def full_env():
  env = environments.make('vizdoom')
  yield env
  env.close()


def play(env, seed, actions):
  """Plays until the end or the last action; frames, rewards, last flags."""
  observation, _ = env.reset(seed=seed)
  frames, rewards = [observation], []
  terminated = truncated = False
  for action in actions:
    observation, reward, terminated, truncated, _ = env.step(action)
    frames.append(observation)
    rewards.append(reward)
    if terminated or truncated:
      break
  return np.stack(frames), rewards, terminated, truncated


def random_actions(seed, count):
  return np.random.default_rng(seed).integers(3, size=count)


@pytest.mark.parametrize('kind', ['discrete', 'continuous'])
def test_gymnasium_finds_nothing_to_complain_about(kind):
  env = gymnasium.make(
    'nca_tf/TakeCover-v0', time_limit=20, action_kind=kind
  ).unwrapped
  env_checker.check_env(env)
  env.close()


def test_rendering_is_checked_and_gives_the_frame():
  env = environments.make('vizdoom', time_limit=5, render_mode='rgb_array')
  observation, _ = env.reset(seed=1)
  np.testing.assert_array_equal(env.render(), observation)
  env.close()


def test_the_frame_is_a_picture_without_the_bar(env):
  observation, _ = env.reset(seed=3)
  assert observation.shape == (64, 64, 3)
  assert observation.dtype == np.uint8
  assert observation.std() > 10
  screen = env.unwrapped._game.get_state().screen_buffer
  assert screen.shape == (120, 160, 3)
  # The lowest row is the room's floor: rows 98 and 99, not the bar below.
  floor = screen[97:100].mean((0, 1))
  np.testing.assert_allclose(observation[-1].mean(0), floor, atol=12)
  assert np.abs(screen[110:].mean((0, 1)) - floor).max() > 12


def test_the_band_is_the_rows_where_fireballs_fly():
  spec = environments.get_spec('vizdoom', view='band')
  assert spec.observation_shape == (32, 128, 3)
  band = environments.make('vizdoom', view='band', render_mode='rgb_array')
  try:
    observation, _ = band.reset(seed=3)
    assert band.observation_space.contains(observation)
    screen = band.unwrapped._game.get_state().screen_buffer[34:66]
    wanted = Image.fromarray(screen).resize(
      (128, 32), Image.Resampling.BILINEAR
    )
    np.testing.assert_array_equal(observation, wanted)
    np.testing.assert_array_equal(band.render(), observation)
  finally:
    band.close()


def test_other_games_have_one_view():
  with pytest.raises(ValueError, match="view must be 'whole', got 'band'"):
    environments.get_spec('pommerman', view='band')


def test_a_seed_determines_the_episode_in_any_order_and_engine(env):
  actions = random_actions(0, LIMIT)
  first = {seed: play(env, seed, actions) for seed in (1, 2)}
  env.reset(seed=9)  # Left in the middle.
  env.step(0)
  other = environments.make('vizdoom', time_limit=LIMIT)
  try:
    for seed in (2, 1):
      np.testing.assert_array_equal(play(env, seed, actions)[0], first[seed][0])
      np.testing.assert_array_equal(
        play(other, seed, actions)[0], first[seed][0]
      )
  finally:
    other.close()
  assert not np.array_equal(first[1][0], first[2][0])


def test_unseeded_resets_follow_from_the_seed_before(env):
  def two_resets():
    env.reset(seed=4)
    frames = []
    for _ in range(2):
      env.reset()
      for _ in range(LIMIT):
        observation = env.step(1)[0]
      frames.append(observation)
    return frames

  first, second = two_resets(), two_resets()
  np.testing.assert_array_equal(first, second)
  assert not np.array_equal(first[0], first[1])


def test_the_time_limit_truncates_with_a_real_frame(env):
  actions = [0, 2] * LIMIT
  frames, rewards, terminated, truncated = play(env, 1, actions)
  assert (terminated, truncated) == (False, True)
  assert rewards == [1.0] * LIMIT
  assert not np.array_equal(frames[-1], frames[-2])
  with pytest.raises(RuntimeError, match=r'reset\(\)'):
    env.step(1)


def test_death_terminates_and_repeats_the_last_frame(full_env):
  frames, rewards, terminated, truncated = play(full_env, 1, [1] * 2100)
  assert (terminated, truncated) == (True, False)
  assert 60 < len(rewards) < 1000
  assert set(rewards) == {1.0}
  np.testing.assert_array_equal(frames[-1], frames[-2])
  assert not np.array_equal(frames[-2], frames[-3])


def test_death_on_the_last_tic_is_death(full_env):
  lived = len(play(full_env, 1, [1] * 2100)[1])
  env = environments.make('vizdoom', time_limit=lived, frames=False)
  try:
    assert play(env, 1, [1] * 2100)[2:] == (True, False)
  finally:
    env.close()


def test_without_frames_the_game_is_the_same(full_env):
  env = environments.make('vizdoom', frames=False)
  try:
    for seed in (5, 6):
      actions = random_actions(seed, 2100)
      drawn, blind = play(full_env, seed, actions), play(env, seed, actions)
      assert len(drawn[1]) == len(blind[1])
      assert drawn[2:] == blind[2:]
      assert not blind[0].any()
  finally:
    env.close()


def test_left_is_left(env):
  vizdoom = pytest.importorskip('vizdoom')
  variables = vizdoom.GameVariable

  def position():
    engine = env.unwrapped._game
    return np.array(
      [
        engine.get_game_variable(variables.POSITION_X),
        engine.get_game_variable(variables.POSITION_Y),
      ]
    )

  moved = []
  for action in range(3):
    env.reset(seed=1)
    start = position()
    # A variable is known from the first tic on.
    for _ in range(10):
      env.step(action)
      start = position() if not start.any() else start
    moved.append(position() - start)
  angle = np.deg2rad(env.unwrapped._game.get_game_variable(variables.ANGLE))
  left = np.array([-np.sin(angle), np.cos(angle)])
  assert moved[0] @ left > 5
  np.testing.assert_allclose(moved[1], 0, atol=1e-3)
  assert moved[2] @ left < -5


def test_continuous_actions_are_cut_at_a_third(env):
  other = environments.make(
    'vizdoom', time_limit=LIMIT, action_kind='continuous'
  )
  try:
    for value, index in [(-0.34, 0), (-0.33, 1), (0.33, 1), (0.34, 2)]:
      want = play(env, 1, [index] * 15)[0]
      box = np.array([value], np.float32)
      np.testing.assert_array_equal(play(other, 1, [box] * 15)[0], want)
    np.testing.assert_array_equal(play(other, 1, [0.5] * 15)[0], want)
    with pytest.raises(ValueError, match=r'action must be in \[-1, 1\], got 2'):
      other.step(2.0)
  finally:
    other.close()


def test_frame_skip_holds_the_action_and_sums_the_reward(env):
  other = environments.make('vizdoom', time_limit=LIMIT, frame_skip=8)
  try:
    frames, rewards, _, truncated = play(other, 2, [2, 0] * 8)
    assert rewards == [8.0] * 7 + [4.0]
    assert truncated
  finally:
    other.close()
  single = play(env, 2, np.repeat([2, 0] * 4, 8))[0]
  np.testing.assert_array_equal(frames[:-1], single[:-1:8])


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'action_kind': 'x'}, "action_kind must be .* got 'x'"),
    ({'frame_skip': 0}, 'frame_skip must be an integer of at least 1 .*got 0'),
    ({'time_limit': 0}, 'time_limit must be an integer of at least 1 .*got 0'),
    ({'render_mode': 'human'}, "render_mode must be .* got 'human'"),
    ({'view': 'half'}, "view must be 'whole' or 'band', got 'half'"),
  ],
)
def test_wrong_options_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    environments.make('vizdoom', **options)


@pytest.mark.parametrize('action', [3, -1, 0.5])
def test_wrong_actions_are_named(env, action):
  env.reset(seed=1)
  with pytest.raises(ValueError, match=f'0, 1 or 2, got {action}'):
    env.step(action)


def test_unknown_games_are_named():
  with pytest.raises(
    ValueError, match="one of vizdoom, pommerman, .*, got 'pong'"
  ):
    environments.make('pong')


def test_a_missing_engine_is_answered_with_the_install_line(monkeypatch):
  monkeypatch.setitem(sys.modules, 'vizdoom', None)
  with pytest.raises(ImportError, match=r"pip install 'vizdoom>=1\.3\.2'"):
    take_cover.TakeCover()


@pytest.mark.parametrize(
  ('how', 'error', 'message'),
  [
    ('memory', OSError, 'needs 256 KiB .* has 9 KiB left: .* --shm-size=1g'),
    ('name', OSError, r"whose names are UTF-8 \(TMPDIR .*, got '.*b.udcff'$"),
    ('scenario', environments.GameCrashed, 'ViZDoom engine died: .*none.wad'),
    ('engine', OSError, 'engine /.*vizdoom is missing or may not be run: pip'),
    ('launcher', OSError, 'No space left'),
  ],
)
def test_an_engine_that_cannot_start_says_why_and_leaves_nothing(
  tmp_path, monkeypatch, how, error, message
):
  folder = tmp_path
  if how == 'memory':
    room = types.SimpleNamespace(f_bavail=9, f_frsize=1024)
    monkeypatch.setattr(os, 'statvfs', lambda path: room)
  elif how == 'name':
    folder = pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b'/b\xff'))
    folder.mkdir()
  elif how == 'scenario':
    monkeypatch.setattr(take_cover, '_SCENARIO', 'none.wad')
  elif how == 'engine':
    monkeypatch.setattr(os, 'access', lambda *unused: False)
  else:

    def fill(folder, engine):
      raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(take_cover.engine_lib, 'write_launcher', fill)
  monkeypatch.setattr(tempfile, 'tempdir', str(folder))
  env = environments.make('vizdoom', time_limit=LIMIT)
  with pytest.raises(error, match=message) as caught:
    env.reset(seed=1)
  assert '\n' not in str(caught.value)
  assert list(folder.iterdir()) == []
  with pytest.raises(environments.ResetNeeded):
    env.step(1)
  monkeypatch.undo()
  env.reset(seed=1)  # Once the cause is gone.
  env.close()


def start():
  """An environment that plays, its guard and its engine."""
  before = processes.descendants(os.getpid())
  env = environments.make('vizdoom', time_limit=LIMIT)
  env.reset(seed=7)
  family = set(processes.descendants(os.getpid())) - set(before)
  (engine,) = family & set(processes.engines(os.getpid()))
  (guard,) = family - {engine}
  return env, guard, engine


def test_a_killed_engine_is_reported_and_replaced(env):
  actions = random_actions(7, LIMIT)
  want = play(env, 7, actions)[0]
  broken, guard, engine = start()
  memory = processes.shared_memory(engine)
  assert len(memory) == 3
  os.kill(engine, signal.SIGKILL)
  with pytest.raises(environments.GameCrashed, match='engine died'):
    for _ in range(LIMIT):
      broken.step(1)
  assert not processes.wait_until_gone([guard])
  assert not any(file.exists() for file in memory)
  np.testing.assert_array_equal(play(broken, 7, actions)[0], want)
  broken.close()


def test_a_killed_guard_takes_its_engine_along():
  env, guard, engine = start()
  os.kill(guard, signal.SIGKILL)
  assert not processes.wait_until_gone([engine])
  with pytest.raises(environments.GameCrashed):
    for _ in range(LIMIT):
      env.step(1)
  env.close()


def test_nothing_is_left_in_the_working_folder_or_elsewhere(
  tmp_path, monkeypatch
):
  work, temporary = tmp_path / 'work', tmp_path / 'temporary'
  work.mkdir()
  temporary.mkdir()
  monkeypatch.chdir(work)
  monkeypatch.setattr(tempfile, 'tempdir', str(temporary))
  env, guard, engine = start()
  memory = processes.shared_memory(engine)
  assert len(memory) == 3
  env.step(1)
  env.close()
  assert not processes.wait_until_gone([guard, engine])
  assert list(work.iterdir()) == []
  assert list(temporary.iterdir()) == []
  assert not any(file.exists() for file in memory)


OWNER = """
import sys
from nca_tf import environments
env = environments.make('vizdoom')
env.reset(seed=1)
print('playing', flush=True)
while True:
  if any(env.step(1)[2:4]):
    env.reset()
"""


def test_no_engine_outlives_a_killed_process_group(tmp_path):
  root = pathlib.Path(environments.__file__).parents[2]
  owner = subprocess.Popen(
    [sys.executable, '-c', OWNER],
    env={**os.environ, 'PYTHONPATH': str(root), 'TMPDIR': str(tmp_path)},
    stdout=subprocess.PIPE,
    start_new_session=True,
  )
  with owner:
    ready = owner.stdout.readline()
    family = processes.descendants(owner.pid)
    engines = processes.engines(owner.pid)
    memory = [file for pid in engines for file in processes.shared_memory(pid)]
    os.killpg(owner.pid, signal.SIGKILL)
  assert ready == b'playing\n'
  assert len(engines) == 1
  assert len(memory) == 3
  assert not processes.wait_until_gone(family)
  assert not any(file.exists() for file in memory)
  assert list(tmp_path.iterdir()) == []
