"""bin/compare_cells: its numbers, a whole small run, its report, bad input.

The runs play a made-up game: tests of train_controller play the real one.
"""

import json

import event_files
import numpy as np
import pytest
import tensorflow as tf
import tiny_world_models
from PIL import Image

from nca_tf.analysis import score_figures
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.cells import comparison as comparison_lib
from nca_tf.experiments.cells import report
from nca_tf.experiments.cells import run as cells_run
from nca_tf.experiments.cells import settings
from nca_tf.experiments.controller import run as controller_run
from nca_tf.experiments.controller import search
from nca_tf.play import collect
from nca_tf.play import score
from nca_tf.runs import run as run_lib

NAMES = [setting.name for setting in comparison_lib.SETTINGS]


def resolve(*flags):
  return config_flags.resolve(settings.Config, ['--preset=smoke', *flags])


class Game:
  """Stands for the real game; counts what was played in it."""

  def __init__(self):
    self.played = []
    self.evolved = []
    self.broken = ''

  def play(self, config, file):
    """As score.play; agents with a DNC live 10 tics longer."""
    self.played.append(config.policy)
    if self.broken and self.broken in config.policy:
      raise KeyboardInterrupt
    bonus = 10 * ('dnc' in config.policy)
    episodes = [
      {
        'index': index,
        'seed': config.seed + index,
        'score': 100.0 + index**2 + bonus,
        'terminated': True,
      }
      for index in range(config.episodes)
    ]
    file.write_text(''.join(json.dumps(each) + '\n' for each in episodes))
    return episodes

  def score(self, players, seeds, parameters):
    """As evolution.play_scores."""
    del players, parameters
    return [float(seed % 200) for seed in seeds]

  def collect(self, folder, *unused, **options):
    """As collect.collect."""
    tiny_world_models.record(folder)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """A run that was interrupted in its last final episodes, and resumed."""
  game, folder = Game(), tmp_path_factory.mktemp('runs') / 'run'
  config = resolve(
    f'--run_dir={folder}',
    '--settings=dnc-reads,lstm,lstm-in-dnc-dream',
    '--runs=2',
    '--jit=off',
    '--vision_steps=1',
    '--model_steps=1',
    '--generations=1',
  )
  evolve = controller_run.run

  def run(config):
    game.evolved.append(config.world_model.rpartition('-')[2])
    return evolve(config)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(score, 'play', game.play)
    patch.setattr(search, 'play_scores', game.score)
    patch.setattr(collect, 'collect', game.collect)
    patch.setattr(controller_run, 'run', run)
    game.broken = 'controller-lstm-2'
    with pytest.raises(KeyboardInterrupt):
      cells_run.run(config)
    game.broken = ''
    cells_run.run(config)
    yield config, folder, game


def test_resumed_run_does_nothing_twice(finished):
  _, _, game = finished
  assert game.evolved == ['dnc'] * 2 + ['lstm'] * 3 + ['lstm'] * 2
  assert len(game.played) == len(set(game.played)) + 1


def test_finished_run_plays_nothing(finished):
  config, folder, game = finished
  before = (folder / 'scores.json').read_text(), len(game.played)
  cells_run.run(config)
  assert ((folder / 'scores.json').read_text(), len(game.played)) == before


def test_data_and_vision_are_equal_and_the_models_are_not(finished):
  folder = finished[1] / 'seed-0'
  one, other = folder / 'world_model-dnc', folder / 'world_model-lstm'
  assert not (other / 'rollouts').exists()
  parts = sorted(path.name for path in (one / 'latents').iterdir())
  assert parts == sorted(path.name for path in (other / 'latents').iterdir())
  for part in parts:
    assert (one / 'latents' / part).read_bytes() == (
      other / 'latents' / part
    ).read_bytes()
  weights = [vision_weights(path) for path in (one, other)]
  for ours, theirs in zip(*weights, strict=True):
    np.testing.assert_array_equal(ours, theirs)
  lines = [
    (path / 'metrics.jsonl').read_text().splitlines() for path in (one, other)
  ]
  stages = [[json.loads(line)['stage'] for line in each] for each in lines]
  assert stages == [['vision', 'model'], ['model']]


def vision_weights(folder):
  path = tf.train.latest_checkpoint(str(folder / 'checkpoints' / 'vision'))
  reader = tf.train.load_checkpoint(path)
  names = sorted(reader.get_variable_to_shape_map())
  return [reader.get_tensor(name) for name in names if 'GRAPH' not in name]


def test_both_settings_have_the_same_budget_but_for_what_they_compare(finished):
  folder = finished[1] / 'seed-0'
  one, other = (
    json.loads((folder / name / 'config.json').read_text())['config']
    for name in ('controller-dnc-reads-1', 'controller-lstm-1')
  )
  assert {name for name in one if one[name] != other[name]} == {
    'features',
    'run_dir',
    'world_model',
  }
  assert one['features'] == ['z', 'h', 'reads']


def test_guest_differs_in_its_dream_alone(finished):
  folder = finished[1] / 'seed-0'
  one, other = (
    json.loads((folder / name / 'config.json').read_text())['config']
    for name in ('controller-lstm-1', 'controller-lstm-in-dnc-dream-1')
  )
  assert {name for name in one if one[name] != other[name]} == {
    'dream_of',
    'run_dir',
  }
  assert other['dream_of'] == str(folder.resolve() / 'world_model-dnc')
  # The same candidates live for other times there.
  logs = [
    (folder / f'controller-lstm{name}-1' / 'metrics.jsonl').read_text()
    for name in ('', '-in-dnc-dream')
  ]
  first = [json.loads(log.splitlines()[0]) for log in logs]
  assert first[0]['stage'] == first[1]['stage'] == 'controller_1'
  assert first[0]['mean'] != first[1]['mean']


def test_searches_of_a_setting_differ_and_those_of_settings_are_alike(finished):
  folder = finished[1] / 'seed-0'
  seeds = {
    name: json.loads((folder / name / 'config.json').read_text())['config'][
      'seed'
    ]
    for name in (
      *('controller-lstm-1', 'controller-lstm-2'),
      *('controller-dnc-reads-1', 'controller-dnc-reads-2'),
    )
  }
  assert seeds['controller-lstm-1'] != seeds['controller-lstm-2']
  for run in (1, 2):
    same = f'controller-lstm-{run}', f'controller-dnc-reads-{run}'
    assert seeds[same[0]] == seeds[same[1]]


def test_run_reports_the_difference(finished):
  _, folder, _ = finished
  scores = json.loads((folder / 'scores.json').read_text())
  found = scores['differences']
  # Of one seed there is no interval.
  assert found.keys() == {'dnc-reads less lstm', 'lstm-in-dnc-dream less lstm'}
  assert found['dnc-reads less lstm'][0] == 10.0
  assert np.isnan(np.array(found['dnc-reads less lstm'][1:], float)).all()
  # 100 + (0 + 1 + 4 + 9) / 4
  assert scores['scores']['lstm'][0] == 103.5
  assert scores['searches']['lstm'] == [[103.5, 103.5]]
  text = (folder / 'summary.txt').read_text()
  assert 'dream of lstm' in text and 'metronome' in text
  stages = json.loads((folder / 'stages.json').read_text())
  one, other = stages['check-0-dnc'], stages['check-0-lstm']
  assert one['nll'] != other['nll']
  assert one['weights'] > 0
  assert 'Warning: weights differ by' in text  # In the smoke preset they do.


@pytest.fixture
def made_up(tmp_path):
  """A finished comparison of all settings with three seeds."""
  config = resolve(f'--run_dir={tmp_path / "run"}', '--seeds=0,1,5', '--runs=2')
  rng = np.random.default_rng(0)
  with run_lib.start(config, settings.NAME, '') as folder:
    comparison = cells_run.Comparison(folder)
    policies = config.game_spec.policies
    folder.finish('policies', {name: [100.0, 200.0] for name in policies})
    for seed in config.seeds:
      for rank, setting in enumerate(comparison.settings):
        folder.finish(
          f'check-{seed}-{setting.model}',
          {
            'dream': {name: [90.0 + seed, 110.0 + seed] for name in policies},
            'complaint': 'standing still lives' if seed == 5 else None,
            'nll': 1.25 + rank,
            'done_auc': float('nan'),
            'weights': 1000 + rank,
          },
        )
        for number in (1, 2):
          folder.finish(
            f'controller-{seed}-{setting.name}-{number}',
            {
              'played': {
                str(each): float(rng.gamma(2, 100) - 10 * rank)
                for each in range(20)
              },
              'looks': {'4': [50.0, 150.0], '8': [100.0 * rank, 300.0]},
            },
          )
    yield comparison


def test_report_has_every_setting_policy_and_warning(made_up):
  report.publish(made_up)
  path = made_up.run.path
  text = (path / 'summary.txt').read_text()
  assert [name for name in NAMES if f'\n{name} ' not in text] == []
  assert 'dnc-reads less untrained-dnc-reads' in text
  assert 'seed 5, untrained-lstm: standing still lives' in text
  assert 'seed 1, untrained-lstm' not in text
  assert 'weights differ' not in text
  assert '102 [' in text  # Mean of the dreams, over seeds.
  assert '| lstm ' in (path / 'summary.md').read_text()
  with Image.open(path / 'figures' / 'scores.png') as picture:
    assert picture.size == (1000, 560)


def test_report_puts_the_settings_into_one_chart_of_tensorboard(made_up):
  report.publish(made_up)
  report.publish(made_up)  # Again, as a resumed run does: nothing twice.
  folder = made_up.run.tensorboard
  found = event_files.read_steps(folder)
  curves = [f'{name}/seed-{seed}' for name in NAMES for seed in (0, 1, 5)]
  assert found.keys() == {'.', *NAMES, *curves}
  for name in (*NAMES, *curves):
    assert found[name]['score/mean'] == [4, 8], name
  assert found['dnc/seed-1']['score/final'] == [8]
  means = event_files.read_scalars(folder / 'lstm' / 'seed-5', 'score/mean')
  rank = NAMES.index('lstm')
  assert means == {4: 100.0, 8: pytest.approx(150 + 50 * rank)}
  given = event_files.read_hyperparameters(folder / 'dnc-reads' / 'seed-5')
  assert (given['cell'], given['seed']) == ('dnc', 5)
  assert given['features'] == 'z, h, reads'


def test_controls_are_the_same_agents_with_an_untrained_model(made_up):
  assert report.find_controls(made_up) == {
    'untrained-dnc-reads': 'dnc-reads',
    'untrained-lstm': 'lstm',
  }


def play(mean, episodes=50):
  """One search whose final episodes have a mean."""
  values = np.random.default_rng(episodes).normal(0, 100, episodes)
  values += mean - values.mean()
  return {str(index): value for index, value in enumerate(values)}


def test_a_seed_counts_with_the_mean_of_its_searches():
  played = [[play(90), play(110)], [play(190), play(210)], [play(260)] * 2]
  whole, best = comparison_lib.score(played), comparison_lib.best(played)
  # Student's: 4.303 standard errors of three seeds.
  half = 4.302653 * np.std([100, 200, 260], ddof=1) / np.sqrt(3)
  middle = 560 / 3
  np.testing.assert_allclose(
    whole, [middle, middle - half, middle + half], rtol=1e-6
  )
  assert best.mean == pytest.approx((110 + 210 + 260) / 3)
  one = comparison_lib.score(played[:1])
  assert one.mean == pytest.approx(100) and np.isnan(one.low)


def test_difference_is_paired_by_seed():
  others = [[play(100), play(120)], [play(500), play(560)]]
  ours = [[play(115), play(115)], [play(540), play(530)]]
  found = comparison_lib.difference(ours, others)
  assert found.mean == pytest.approx(5)
  np.testing.assert_allclose(found, 5, atol=1e-9)
  with pytest.raises(ValueError, match='others must be of the seeds'):
    comparison_lib.difference(ours, [[{'7': 1.0}]])


def test_differences_are_of_settings_that_there_are():
  assert {name for pair in comparison_lib.DIFFERENCES for name in pair} == set(
    NAMES
  )
  assert len(set(NAMES)) == len(NAMES)


def test_figure_needs_something_to_draw():
  with pytest.raises(ValueError, match='evaluations must hold something'):
    score_figures.repeated_scores_over_generations({})


def test_more_seeds_are_the_same_run():
  names = config_flags.identity(resolve())
  assert 'seeds' not in names and 'settings' in names


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--settings=gru', '--settings must be one of dnc-reads, .* several'),
    ('--settings=', '--settings must name at least one, .* got none'),
    ('--seeds=1,1', '--seeds must name at least one, none .* got 1,1'),
    ('--seeds=-1', '--seeds must be integers .* of at least 0'),
    ('--read_heads=9', '--read_heads must be at most --memory_slots'),
    ('--popsize=3', '--popsize must be an integer of at least 4'),
    ('--policy=clever', '--policy must be one of random, .* got .clever.'),
  ],
)
def test_wrong_flag_is_one_line(flag, message):
  with pytest.raises(faults.UsageError, match=message) as caught:
    resolve(flag)
  assert '\n' not in str(caught.value)
