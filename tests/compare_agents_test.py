"""bin/compare_agents: a small run, its report, resuming, equal steps."""

import json

import numpy as np
import pytest
from PIL import Image

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.agent_comparison import comparison
from nca_tf.experiments.agent_comparison import learners
from nca_tf.experiments.agent_comparison import report
from nca_tf.experiments.agent_comparison import run
from nca_tf.experiments.agent_comparison import settings
from nca_tf.experiments.agents import settings as agent_settings
from nca_tf.runs import checkpoints

NAMES = ('ppo-intrinsic', 'cma_es')


def resolve(*argv):
  return config_flags.resolve(settings.Config, ['--preset=smoke', *argv])


def compare(folder, *argv):
  flags = f'--algorithms={",".join(NAMES)}', f'--run_dir={folder}'
  argv = *flags, '--seeds=0,3', '--policy_episodes=2', *argv
  run.run(resolve(*argv))


def records(folder):
  lines = (folder / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  folder = tmp_path_factory.mktemp('comparison') / 'run'
  compare(folder)
  return folder


def test_every_training_has_equal_steps_and_the_same_evaluations(finished):
  config = resolve()
  assert [config.evaluated_at(k) for k in (1, 2, 3)] == [86, 342, 768]
  found = records(finished)
  for name in NAMES:
    for seed in (0, 3):
      rows = [row for row in found if row['stage'] == f'{name}-{seed}']
      steps = [row['step'] for row in rows]
      assert len(steps) == 3 and steps == sorted(steps)
      # A window has 128 steps; of CMA-ES a generation is played to its end.
      assert 768 <= steps[-1] < 768 + 128 + (name == 'cma_es') * 1000
      for row in rows:
        assert 0 <= row['optimum'] <= 1 and row['return'] >= -5
  assert any(row.get('intrinsic_reward', 0) > 0 for row in found)


def test_a_run_leaves_scores_tables_and_figures(finished):
  found = json.loads((finished / 'scores.json').read_text())['scores']
  assert set(found) == set(NAMES)
  for name, ways in (
    ('cma_es', {'likeliest'}),
    ('ppo-intrinsic', {'drawn', 'likeliest'}),
  ):
    for each in found[name]:
      assert each['returns'].keys() == ways
      assert all(len(returns) == 4 for returns in each['returns'].values())
  text = (finished / 'summary.txt').read_text()
  assert 'Local optimum: a few ups, then nothing' in text
  assert 'two_ups' in text and '95 % t intervals' in text
  for name in ('returns', 'local_optimum'):
    with Image.open(finished / 'figures' / f'{name}.png') as picture:
      assert picture.size[0] == 1500
      assert len(picture.convert('L').getcolors()) > 10
  curves = {path.parent.name for path in finished.rglob('seed-*')}
  assert curves == set(NAMES)


def test_a_killed_run_goes_on_to_the_same_result(
  finished, tmp_path, monkeypatch
):
  save = checkpoints.Checkpoints.save

  def die(self, number):
    save(self, number)
    if number == 2:
      raise KeyboardInterrupt

  killed = 0
  while True:  # Once within each training.
    try:
      with monkeypatch.context() as patch:
        patch.setattr(checkpoints.Checkpoints, 'save', die)
        compare(tmp_path, '--seeds=0')
      break
    except KeyboardInterrupt:
      killed += 1
  assert killed == len(NAMES)
  expected = [row for row in records(finished) if row['stage'][-1] == '0']
  assert records(tmp_path) == expected
  one, other = (
    json.loads((folder / 'scores.json').read_text())['scores']
    for folder in (tmp_path, finished)
  )
  for name in NAMES:
    (ours,), theirs = one[name], other[name][0]
    assert ours['returns'] == theirs['returns']
    assert ours['steps'] == theirs['steps']


def test_more_seeds_are_added_and_other_settings_refused(finished, monkeypatch):
  monkeypatch.setattr(learners, 'make', None)  # Nothing is trained again.
  compare(finished)
  with pytest.raises(faults.UsageError, match='sigma: folder has 0.5'):
    compare(finished, '--sigma=2')


def test_algorithms_are_those_of_train_agent():
  config = resolve('--env=gym:CartPole-v1', '--seed=2')
  for setting in config.compared:
    if setting.changes is not None:
      agent = config.agent_config(setting, 5)
      assert (agent.env, agent.seed, agent.lanes) == (
        'gym:CartPole-v1',
        7,
        8,
      )
      assert agent.label == setting.name
  assert [each.name for each in config.compared][-1] == 'cma_es'
  plain = agent_settings.Config()
  assert settings.Config().lanes == plain.lanes


@pytest.mark.parametrize(
  ('argv', 'line'),
  [
    (['--algorithms='], '--algorithms must name at least one'),
    (['--algorithms=ppo,dqn'], '--algorithms must be one of ppo, ppo-rnd'),
    (['--seeds=1,1'], '--seeds must name at least one, none of them twice'),
    (['--env=chess'], '--env must be one of rooms'),
    (['--env=gym:FrozenLake-v1'], 'observations that are a vector'),
    (['--precision=float64'], '--precision must be float32 for agents'),
  ],
)
def test_what_cannot_be_compared_is_one_line(argv, line):
  with pytest.raises(faults.UsageError, match=line) as caught:
    resolve(*argv)
  assert '\n' not in str(caught.value)


def test_the_tables_hold_the_numbers_by_hand():
  returns = {'drawn': [1.0, 3.0], 'likeliest': [4.0, 4.0]}
  other = {'drawn': [4.0, 4.0], 'likeliest': [6.0, 6.0]}
  found = {
    'ppo': [{'returns': each, 'cpu_seconds': 10.0} for each in (returns, other)]
  }
  text = report.score_table(found, {'none': -2.5, 'pilot': 5.0}, (0, 1)).text()
  rows = [line.split() for line in text.splitlines()[2:]]
  # Half the width: t(.975, 1) = 12.706 times sqrt(2) / sqrt(2).
  assert rows[0] == ['ppo', 'drawn', '3.0', '[-9.7,', '15.7]'] + [
    '2.0',
    '4.0',
    '10.0',
  ]
  assert [row[0] for row in rows] == ['ppo', 'ppo', 'pilot', 'none']
  optimum = comparison.OPTIMA['pixel_copter']
  trainings = [
    [
      {'step': step, 'optimum': share, 'return': mean}
      for step, share, mean in zip(
        (1000, 2000, 4000), shares, (-4, 0.5, 60), strict=True
      )
    ]
    for shares in ((0.1, 0.7, 0.0), (0.0, 0.2, 0.0))
  ]
  text = report.optimum_table({'ppo': trainings}, optimum).text()
  row = text.splitlines()[-1]
  assert '1 of 2' in row and '0.70 0.20' in row
  assert row.split()[-1] == '0.25'
  assert '2 -' in row and '4 -' in row


def test_the_search_learns_to_balance_a_pole():
  """CMA-ES learns CartPole within few generations, from its own steps."""
  config = resolve(
    '--env=gym:CartPole-v1', '--algorithms=cma_es', '--popsize=8'
  )
  learner = learners.EvolutionLearner(config, 0)
  before = learner.play('likeliest', 8, 1).returns.mean()
  learner.learn(6000)
  after = learner.play('likeliest', 8, 1).returns.mean()
  assert before < 20 and after > 100
  assert np.isfinite(learner.learn(learner.steps + 1)['sigma'])
