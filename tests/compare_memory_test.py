"""bin/compare_memory: equal weights, resumed runs, its report and flags."""

import json

import numpy as np
import pytest
from PIL import Image

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.memory_games import comparison
from nca_tf.experiments.memory_games import run as compare_memory
from nca_tf.experiments.memory_games import settings
from nca_tf.training import loop


def resolve(*argv):
  small = ('--episodes=32', '--tasks=memory_chain', '--lengths=2')
  return config_flags.resolve(
    settings.Config, ['--preset=smoke', *small, *argv]
  )


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  folder = tmp_path_factory.mktemp('memory') / 'run'
  flags = f'--run_dir={folder}', '--seeds=0'
  compare_memory.run(resolve(*flags, '--cells=none,dnc'))
  return folder, flags


def test_a_run_leaves_scores_curves_and_figures(finished):
  folder, _ = finished
  found = json.loads((folder / 'scores.json').read_text())
  one = found['trainings']['memory_chain-2']['dnc'][0]
  assert one['steps'] == 4 * 8 * 4  # Windows of 3 steps and a boundary.
  assert [steps for steps, _ in one['curve']] == [32, 64, 96, 128]
  assert one['total']['episodes'] == 32
  returns = sum(8 * mean for _, mean in one['curve'])
  assert one['total']['returns'] == pytest.approx(returns)
  assert found['scores']['memory_chain-2']['dnc'][0] == one['likeliest']
  wrong = (32 - returns) / 2
  assert found['regrets']['dnc'] == [[wrong / 16]]
  text = (folder / 'summary.md').read_text()
  assert 'dnc less none' in text and 'lstm' not in text
  for name in ('curves', 'regret'):
    with Image.open(folder / 'figures' / f'{name}.png') as picture:
      assert len(picture.convert('L').getcolors()) > 10
  assert not list((folder / 'checkpoints').iterdir())


def test_more_cells_are_added_and_nothing_is_trained_twice(
  finished, monkeypatch
):
  folder, flags = finished
  before = json.loads((folder / 'stages.json').read_text())
  trained = []
  fit = loop.fit

  def count(stage, *arguments, **options):
    trained.append(stage)
    fit(stage, *arguments, **options)

  monkeypatch.setattr(loop, 'fit', count)
  compare_memory.run(resolve(*flags))
  assert trained == ['memory_chain-2-lstm-0']
  after = json.loads((folder / 'stages.json').read_text())
  assert all(after[name] == info for name, info in before.items())
  assert 'dnc less lstm' in (folder / 'summary.md').read_text()
  found = json.loads((folder / 'scores.json').read_text())['trainings']
  weights = [each[0]['weights'] for each in found['memory_chain-2'].values()]
  assert len(weights) == 3 and np.ptp(weights) < 0.03 * weights[0]


def test_a_killed_training_goes_on_as_if_it_had_not_been(
  finished, tmp_path, monkeypatch
):
  """The tables count what was played before the kill as well."""
  folder, flags = finished
  whole = json.loads((folder / 'scores.json').read_text())['trainings']
  config = resolve(
    *flags,
    f'--run_dir={tmp_path / "run"}',
    '--cells=dnc',
    '--tasks=memory_chain',
  )
  step = compare_memory._step

  def kill(training, index):
    if index == 3:
      raise KeyboardInterrupt
    return step(training, index)

  monkeypatch.setattr(loop, 'SAVE_SECONDS', -1)  # After every window.
  with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
    patch.setattr(compare_memory, '_step', kill)
    compare_memory.run(config)
  compare_memory.run(config)
  found = json.loads((tmp_path / 'run' / 'scores.json').read_text())
  one, other = (
    {key: value for key, value in each.items() if key != 'cpu_seconds'}
    for each in (
      found['trainings']['memory_chain-2']['dnc'][0],
      whole['memory_chain-2']['dnc'][0],
    )
  )
  assert one == other


def test_lengths_are_of_games_that_name_none():
  names = ('count_recall_easy', 'memory_chain', 'cue_recall-5-3')
  assert comparison.find_tasks(names, (2, 40)) == [
    'count_recall_easy',
    'memory_chain-2',
    'memory_chain-40',
    'cue_recall-5-3',
  ]
  assert comparison.find_length('cue_recall-5-3') == 5
  assert comparison.find_length('gym:CartPole-v1') is None
  config = resolve('--tasks=cue_recall-5-3', '--episodes=80')
  chosen = config.training('cue_recall-5-3', 'dnc', 3)
  assert (chosen.window, chosen.steps, chosen.seed) == (12, 80 * 12, 3)
  assert chosen.updates == 10  # 8 lanes with an episode each.


def test_regret_is_bsuites():
  assert comparison.regret(0, 100) == 1  # Half of them wrong, as by chance.
  assert comparison.regret(100, 100) == 0
  assert comparison.regret(50, 100) == 0.5
  assert comparison.memory_len_score([0.1, 0.74, 0.75, 1.1]) == 0.5


def test_differences_are_paired():
  mean, low, high = comparison.difference([1, 2, 3], [0, 1, 2])
  assert mean == low == high == 1
  with pytest.raises(ValueError, match='others must be 3 numbers'):
    comparison.difference([1, 2, 3], [0])


def test_sizes_are_the_nearest():
  counts = [size * size for size in range(99)]
  assert compare_memory.nearest(counts.__getitem__, 30) == 5
  assert compare_memory.nearest(counts.__getitem__, 31) == 6
  assert compare_memory.nearest(counts.__getitem__, 0) == 1


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--tasks=nowhere', '--tasks must be one of rooms.*nowhere'),
    ('--tasks=memory_chain-x', '--tasks=memory_chain-x: name must be'),
    ('--cells=dnc,dnc', '--cells must name at least one, none of them twice'),
    ('--cells=gru', '--cells must be .*gru'),
    ('--seeds=', '--seeds must name at least one'),
    ('--minibatches=9', '--minibatches must be at most the 8 lanes, got 9'),
    ('--read_heads=5', '--read_heads must be at most --memory_slots'),
  ],
)
def test_wrong_flags_are_one_line(flag, message):
  with pytest.raises(faults.UsageError, match=message) as caught:
    resolve(flag)
  assert '\n' not in str(caught.value)
