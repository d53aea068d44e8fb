"""bin/benchmark ppo: a whole small run without peers, games and verdicts."""

import json

import numpy as np
import pytest
import tensorflow as tf

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments.grid_world import obstacles
from nca_tf.experiments.benchmarks.ppo import numpy_games
from nca_tf.experiments.benchmarks.ppo import recall
from nca_tf.experiments.benchmarks.ppo import report
from nca_tf.experiments.benchmarks.ppo import run as benchmark_ppo
from nca_tf.experiments.benchmarks.ppo import settings

LANES = 32


def config(folder, *argv):
  return config_flags.resolve(
    settings.Config, [f'--run_dir={folder}', '--preset=smoke', *argv]
  )


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  folder = tmp_path_factory.mktemp('benchmark') / 'run'
  return folder, benchmark_ppo.run(config(folder))


def test_all_parts_are_measured_and_reported(finished, monkeypatch):
  folder, results = finished
  assert json.loads((folder / 'results.json').read_text()) == results
  window = settings.SMALL_SIZES['lanes'] * settings.SMALL_SIZES['window']
  for part in ('speed', 'images', 'memory'):
    one = results[part]['nca_tf']
    assert one['first']['seconds'] > 0 and len(one['turns']) == 2
    # Boundary steps between episodes are none of the environment's.
    assert all(0.8 * window < t['steps'] <= window for t in one['turns'])
  eager, compiled = (
    results['collection'][name][0] for name in ('driver', 'driver in a graph')
  )
  assert eager['steps'] < 30 < window <= compiled['steps']
  for part in ('solve/10', 'cartpole/10'):
    one = results[part]['nca_tf']
    assert not one['solved']
    assert settings.SMALL_LIMIT <= one['steps'] < 2 * settings.SMALL_LIMIT
  text = (folder / 'results.md').read_text()
  assert '## The grid until it is solved' in text
  assert '| collection over the eager driver ' in text
  assert (folder / 'figures' / 'learning.png').stat().st_size > 1000
  monkeypatch.setattr(benchmark_ppo.ours_lib, 'Learner', None)
  assert benchmark_ppo.run(config(folder)) == results


@pytest.mark.parametrize('pixels', [0, 2])
def test_both_grids_have_the_same_rules(pixels):
  environment = obstacles.Obstacles(time_limit=9, pixels=pixels)
  theirs = numpy_games.Grid(obstacles.MAP, LANES, 0, 9, pixels)
  rng = np.random.default_rng(0)
  first = theirs.reset()
  ended = np.zeros(2, int)
  for number in range(60):
    state = obstacles.State(
      tf.constant(theirs.place, tf.int32),
      tf.constant(theirs.goal, tf.int32),
      tf.constant(theirs.steps, tf.int32),
    )
    np.testing.assert_array_equal(environment._observe(state), first)
    actions = rng.integers(4, size=LANES)
    _, seen, reward, *ends = environment.step(
      state, tf.constant(actions, tf.int32), [0, number]
    )
    first, rewards, *others = theirs.step(actions)
    np.testing.assert_array_equal(theirs.last, seen)
    np.testing.assert_array_equal(rewards, reward)
    np.testing.assert_array_equal(others, ends)
    over = np.logical_or(*others)
    np.testing.assert_array_equal(first[~over], theirs.last[~over])
    assert not theirs.steps[over].any()
    ended += np.sum(others, 1)
  assert ended.min() > 10  # Goals and time limits were among them.


def test_both_memory_tasks_have_the_same_rules():
  environment = recall.Recall(length=9)
  theirs = numpy_games.Recall(LANES, 0, length=9)
  rng = np.random.default_rng(0)
  first = theirs.reset()
  total = np.zeros(LANES)
  for number in range(9):
    state = recall.State(
      tf.constant(theirs.symbols, tf.int32), tf.fill([LANES], number)
    )
    np.testing.assert_array_equal(environment._observe(state), first)
    wanted = theirs.symbols[:, -1]
    actions = np.where(rng.uniform(size=LANES) < 0.7, wanted, 1)
    after, _, reward, *ends = environment.step(
      state, tf.constant(actions, tf.int32), [0, number]
    )
    np.testing.assert_array_equal(after.symbols[:, 1:], theirs.symbols[:, :-1])
    first, rewards, *others = theirs.step(actions)
    np.testing.assert_allclose(rewards, reward, rtol=1e-6)
    np.testing.assert_array_equal(others, ends)
    total += rewards * (actions == wanted) - rewards * (actions != wanted)
    assert others[0].all() == (number == 8)
  np.testing.assert_allclose(total, 1, rtol=1e-6)  # 1 / 5 for each of five.
  assert theirs.count == 0  # It starts again.


def test_symbols_come_back_after_the_delay():
  environment = recall.Recall(delay=2, length=6)
  state, seen = environment.reset(LANES, [0, 1])
  shown = [np.argmax(seen, -1)]
  for number in range(5):
    answer = shown[number - 2] if number >= 2 else shown[0]
    state, seen, reward, *_ = environment.step(
      state, tf.constant(answer, tf.int32), [0, number + 2]
    )
    np.testing.assert_allclose(reward, 0.25 if number >= 2 else 0)
    shown.append(np.argmax(seen, -1))
  assert len(np.unique(np.stack(shown), axis=1)[0]) > LANES / 2


class Learner:
  """Each window has two episodes; their returns grow by 1."""

  def __init__(self):
    self.windows = 0

  def iterate(self):
    self.windows += 1
    return {
      'seconds': 5.0 if self.windows == 1 else 1.0,
      'steps': 100,
      'returns': 2.0 * self.windows,
      'episodes': 2,
    }


def test_learning_stops_when_the_last_episodes_are_good_enough():
  # The last five episodes are those of three windows.
  found = benchmark_ppo.learn(Learner(), wanted=7.5, episodes=5, limit=5000)
  assert found['returns'] == [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
  assert found['solved'] and found['steps'] == 900
  assert found['seconds'] == 13.0 and found['tracing'] == 4.0
  # Too few episodes are not enough, however good they are.
  found = benchmark_ppo.learn(Learner(), wanted=0.0, episodes=5, limit=200)
  assert not found['solved'] and found['steps'] == 200


def turns(*rates):
  return [{'steps': rate, 'seconds': 1.0} for rate in rates]


def measured(*rates, first=1.0):
  return {
    'weights': 7,
    'first': {'steps': 100, 'seconds': first},
    'turns': turns(*rates),
  }


def solved(seconds, tracing=0.0):
  return {
    'solved': True,
    'steps': 4000,
    'seconds': seconds,
    'tracing': tracing,
    'returns': [1.0],
  }


def test_report_judges_speed_time_and_tracing():
  ours, theirs = measured(300, 200, 400, first=4.5), measured(100, 200, 200)
  results = {
    'speed': {'nca_tf': ours, 'PyTorch': theirs},
    'collection': {
      'nca_tf': turns(600, 600),
      'driver': turns(10, 15),
      'driver in a graph': turns(600, 600),
    },
    'memory': {'nca_tf': measured(40), 'pytorch-dnc': measured(10)},
    'solve/10': {'nca_tf': solved(5.0, 2.0), 'PyTorch': solved(4.0)},
    'solve/11': {'nca_tf': solved(7.0, 2.0), 'PyTorch': solved(6.0)},
  }
  lines = report.make(results).markdown().splitlines()
  rows = [
    [cell.strip() for cell in line.strip('|').split('|')]
    for line in lines
    if line.startswith('|')
  ]
  met = {row[0]: row[2:] for row in rows if len(row) == 4}
  # The median of 3, 1 and 2.
  assert met['steps over PyTorch'] == ['2.00 [1.50, 2.50]', 'yes']
  # 4.5 less 100 steps at 300 a second.
  assert met['tracing of an iteration, CPU seconds'] == ['4.17', 'no']
  assert met['collection over the eager driver'] == [
    '50.00 [45.00, 55.00]',
    'yes',
  ]
  assert met['steps with a DNC over pytorch-dnc'][1] == 'yes'
  assert met['CPU seconds to solve over PyTorch, without tracing'] == [
    '0.80',
    'yes',
  ]
  assert met['CPU seconds to solve over PyTorch, with tracing'] == [
    '1.20',
    'no',
  ]
  found = next(row for row in rows if row[:2] == ['nca_tf', '2/2'])
  assert found[2:] == ['4 4', '4.00', '3.0 5.0', '4.00', '2.00']


@pytest.mark.parametrize(
  ('argument', 'message'),
  [
    (
      '--pytorch_dnc=/nowhere',
      '--pytorch_dnc must be a folder with dnc/dnc.py',
    ),
    (
      '--precision=float64',
      '--precision must be float32 and --jit auto or off',
    ),
    ('--jit=on', 'got float32 and on'),
    ('--parts=', '--parts must name at least one, got none'),
  ],
)
def test_wrong_flag(tmp_path, argument, message):
  with pytest.raises(faults.UsageError, match=message):
    config(tmp_path, argument)


def test_sources_without_peers_are_refused(tmp_path):
  (tmp_path / 'dnc').mkdir()
  (tmp_path / 'dnc' / 'dnc.py').touch()
  with pytest.raises(faults.UsageError, match='--pytorch_dnc needs --peers'):
    config(tmp_path, f'--pytorch_dnc={tmp_path}')
  config(tmp_path, f'--pytorch_dnc={tmp_path}', '--peers')
