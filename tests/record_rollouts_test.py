"""Recording: resume, full disks, and the command line."""

import contextlib
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import processes
import pytest

from nca_tf import environments
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.datasets import rollouts
from nca_tf.environments import workers
from nca_tf.experiments.games import record_rollouts
from nca_tf.play import collect as collect_lib

ROOT = pathlib.Path(environments.__file__).parents[2]
OPTIONS = {'time_limit': 60}


def collect(folder, episodes=6, seed=0, **options):
  return collect_lib.collect(
    folder,
    'vizdoom',
    'random',
    episodes,
    seed,
    **{'processes': 1, 'options': OPTIONS, **options},
  )


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """Six episodes, recorded at one go."""
  folder = tmp_path_factory.mktemp('whole')
  assert collect(folder) == 6 * 60
  return list(rollouts.read(folder))


def assert_same(folder, wanted):
  found = list(rollouts.read(folder))
  assert len(found) == len(wanted)
  for ours, theirs in zip(found, wanted, strict=True):
    for name, value in ours._asdict().items():
      np.testing.assert_array_equal(value, getattr(theirs, name))


def test_episodes_are_those_of_their_seeds(whole):
  seeds = [environments.episode_seed(0, index) for index in range(6)]
  assert [episode.seed for episode in whole] == seeds
  assert [episode.index for episode in whole] == list(range(6))
  (result,) = workers.play(
    'vizdoom', 'random', seeds[2:3], record=True, options=OPTIONS
  )
  np.testing.assert_array_equal(whole[2].action[:-1], result.actions)
  assert whole[2].observation.shape == (61, 64, 64, 3)
  assert not whole[2].is_terminal.any()


def test_episode_seeds_are_stateless_and_differ():
  seeds = [
    environments.episode_seed(seed, index)
    for seed in range(30)
    for index in range(30)
  ]
  assert len(set(seeds)) == 900
  assert all(0 <= seed < 2**63 for seed in seeds)
  assert environments.episode_seed(0, 0) == 7896617691693857887


def test_the_number_of_processes_and_shards_changes_nothing(tmp_path, whole):
  collect(tmp_path, processes=2, shard_size=4)
  assert_same(tmp_path, whole)


def test_recording_goes_on_behind_what_is_there(tmp_path, whole):
  collect(tmp_path, 2)
  done = []
  report = lambda count, **figures: done.append(count)  # noqa: E731
  assert collect(tmp_path, 6, progress=report) == 4 * 60
  assert done == [2, 3, 4, 5, 6]
  assert collect(tmp_path, 6) == 0
  assert_same(tmp_path, whole)


def test_a_half_written_episode_is_played_again(tmp_path, whole):
  collect(tmp_path, 3)
  (path,) = rollouts.shards(tmp_path)
  os.truncate(path, path.stat().st_size - 5)
  path.rename(path.with_name(path.name + '.partial'))
  assert collect(tmp_path, 6) == 4 * 60
  assert_same(tmp_path, whole)


def test_held_actions_earn_the_tics_survived_and_are_told(tmp_path):
  options = {'time_limit': 58, 'frame_skip': 4}
  assert collect(tmp_path, 2, options=options) == 2 * 15
  for episode in rollouts.read(tmp_path):
    np.testing.assert_array_equal(episode.reward, [4.0] * 14 + [2.0, 0.0])
  assert rollouts.read_spec(tmp_path).frame_skip == 4
  spec = collect_lib.make_spec('vizdoom', 'random', 0, OPTIONS)
  with pytest.raises(ValueError, match='frame_skip must be 1, got 4'):
    rollouts.read(tmp_path, expect=spec)


def test_folders_that_name_no_frame_skip_hold_single_tics(tmp_path, whole):
  collect(tmp_path, 2)
  file = tmp_path / 'spec.json'
  values = json.loads(file.read_text())
  assert values.pop('frame_skip') == 1
  file.write_text(json.dumps(values))
  collect(tmp_path)
  assert_same(tmp_path, whole)


@pytest.mark.parametrize(
  'changes', [{'seed': 1}, {'options': {'time_limit': 61}}]
)
def test_other_rollouts_are_not_mixed(tmp_path, changes):
  collect(tmp_path, 1)
  with pytest.raises(ValueError, match='source must be'):
    collect(tmp_path, 2, **changes)
  assert rollouts.count(tmp_path) == 1


@contextlib.contextmanager
def file_size_limit(size):
  """Lets no file grow beyond `size`, as on a full disk."""
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line_and_costs_one_episode(tmp_path, whole):
  results = []

  def one_by_one(count, **figures):
    results.append(count)
    if count == 2:
      (path,) = rollouts.shards(tmp_path)
      size = path.stat().st_size + 100
      before = resource.getrlimit(resource.RLIMIT_FSIZE)
      resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

  with file_size_limit(resource.RLIM_INFINITY):
    with pytest.raises(faults.Fault, match='cannot write rollouts') as error:
      collect(tmp_path, progress=one_by_one)
  assert '\n' not in str(error.value)
  assert results == [0, 1, 2]
  assert rollouts.count(tmp_path) == 2
  collect(tmp_path)
  assert_same(tmp_path, whole)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(faults.Fault, match='cannot write rollouts to .*file'):
    collect(tmp_path / 'file' / 'rollouts')


def config(*argv):
  return config_flags.resolve(record_rollouts.Config, argv)


def test_run_writes_and_resumes(tmp_path, capsys, whole):
  arguments = (f'--run_dir={tmp_path / "run"}', '--time_limit=60')
  record_rollouts.run(config(*arguments, '--episodes=2', '--processes=1'))
  record_rollouts.run(config(*arguments, '--episodes=6', '--processes=2'))
  assert_same(tmp_path / 'run' / 'rollouts', whole)
  printed = capsys.readouterr()
  assert f'6 episodes in {tmp_path / "run" / "rollouts"}' in printed.out
  assert '6/6 episodes' in printed.err
  with pytest.raises(faults.UsageError, match='seed: folder has 0'):
    record_rollouts.run(config(*arguments, '--seed=1'))


def test_flags_are_checked():
  with pytest.raises(faults.UsageError, match="--policy must be .*'dance'"):
    config('--policy=dance')
  with pytest.raises(faults.UsageError, match='--env must be .*vizdoom'):
    config('--env=pong')
  assert config('--preset=paper').episodes == 10000
  assert config().time_limit == 0


def test_a_killed_binary_resumes_and_leaves_nothing(tmp_path, whole):
  command = [
    sys.executable,
    str(ROOT / 'bin' / 'record_rollouts'),
    f'--run_dir={tmp_path / "run"}',
    '--time_limit=60',
    '--processes=1',
  ]
  folder = tmp_path / 'run' / 'rollouts'
  temporary = tmp_path / 'temporary'
  temporary.mkdir()
  binary = subprocess.Popen(
    [*command, '--episodes=100000'],
    env={**os.environ, 'TMPDIR': str(temporary)},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    start_new_session=True,
  )
  try:
    end = time.monotonic() + 60
    while rollouts.count(folder) < 2 and time.monotonic() < end:
      time.sleep(0.02)
    family = processes.descendants(binary.pid)
  finally:
    os.killpg(binary.pid, signal.SIGKILL)
    binary.wait()
  assert len(family) >= 3
  assert not processes.wait_until_gone(family)
  assert list(temporary.iterdir()) == []
  kept = rollouts.count(folder)
  assert kept >= 2
  wanted = max(kept + 1, 6)
  record_rollouts.run(config(*command[2:], f'--episodes={wanted}'))
  found = list(rollouts.read(folder))
  assert [episode.index for episode in found] == list(range(wanted))
  for ours, theirs in zip(found, whole, strict=False):
    np.testing.assert_array_equal(ours.observation, theirs.observation)
