"""bin/compare_predictions: games, oracle, scores, a whole small run, faults."""

import json

import event_files
import numpy as np
import pytest

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments.pommerman.engine import engine
from nca_tf.environments.pommerman.engine import game_state
from nca_tf.environments.pommerman.engine import observation
from nca_tf.environments.pommerman.engine import variants
from nca_tf.experiments.predictions import measures
from nca_tf.experiments.predictions import pictures
from nca_tf.experiments.predictions import pommerman_games
from nca_tf.experiments.predictions import rollout
from nca_tf.experiments.predictions import run as predictions
from nca_tf.experiments.predictions import settings
from nca_tf.training import loop

RULES = variants.get_variant(pommerman_games.VARIANT)
LAYOUT = pommerman_games.make_layout(RULES)


def resolve(*flags):
  return config_flags.resolve(settings.Config, ['--preset=smoke', *flags])


@pytest.fixture(scope='module')
def games():
  return pommerman_games.collect(30, np.random.default_rng(0), samples=8)


def test_games_are_what_agent_0_sees_until_its_death(games):
  assert games.game[games.is_first].tolist() == list(range(30))
  assert np.all(np.diff(games.game) >= 0)
  alive = games.state[:, LAYOUT.find('alive').start]
  np.testing.assert_array_equal(alive == 0, games.is_terminal)
  is_last = np.append(games.is_first[1:], True)
  assert np.all(is_last[games.is_terminal])
  assert games.is_terminal.sum() > 10
  assert np.all(games.state <= LAYOUT.limits)
  first = games.state[games.is_first]
  assert np.all(first[:, [363, 364]] == 1)
  moved = np.flatnonzero(games.action == 2)
  moved = moved[~is_last[moved]]
  step = games.state[moved + 1, 363].astype(int) - games.state[moved, 363]
  assert set(step) == {0, 1}


def test_a_seed_determines_the_games(games):
  again = pommerman_games.collect(30, np.random.default_rng(0), samples=8)
  for one, other in zip(games, again, strict=True):
    np.testing.assert_array_equal(one, other)


def test_the_oracle_knows_its_own_moves_and_beats_copying(games):
  now = np.flatnonzero(~np.append(games.is_first[1:], True))
  now = now[~games.is_terminal[now + 1]]
  truth, guess = games.state[now + 1], games.oracle[now]
  np.testing.assert_array_equal(truth[:, [363, 364]], guess[:, [363, 364]])
  copied = (games.state[now] != truth)[:, :372].sum(1).mean()
  assert 4 < copied < 9
  assert (guess != truth)[:, :372].sum(1).mean() < 0.5 * copied


def test_copied_games_go_on_as_their_originals():
  rng = np.random.default_rng(0)
  state = engine.reset(RULES, 6, rng)
  for _ in range(12):
    engine.step(state, rng.choice([0, 1, 2, 3, 4, 5], size=(6, 4)))
  chosen = np.array([4, 1, 1, 5])
  copies = pommerman_games.take(state, chosen)
  assert len(state.bombs.cell) > 0
  for _ in range(12):
    actions = rng.integers(6, size=(6, 4))
    engine.step(state, actions)
    engine.step(copies, actions[chosen])
  one, other = observation.observe(state), observation.observe(copies)
  for name in one:
    np.testing.assert_array_equal(one[name][chosen], other[name])
  assert isinstance(copies, game_state.State)


def test_files_keep_everything_and_damage_is_told(tmp_path, games):
  path = tmp_path / 'games.npz'
  pommerman_games.save(games, path)
  for one, other in zip(games, pommerman_games.load(path), strict=True):
    np.testing.assert_array_equal(one, other)
  path.write_bytes(path.read_bytes()[:1000])
  with pytest.raises(ValueError, match=r'games\.npz is damaged \('):
    pommerman_games.load(path)


def test_measures_count_components_of_the_living():
  present = np.zeros((3, LAYOUT.components), np.uint8)
  truth, predicted = present.copy(), present.copy()
  truth[0, 5] = predicted[0, 5] = 3  # A board cell that changed, and is right.
  truth[0, LAYOUT.find('row').start] = 2  # One that is wrong.
  predicted[1, 300] = 1  # A bomb that is not there.
  predicted[2] = truth[2, 7] = 1  # All but one wrong; but the agent is dead.
  living = np.array([True, True, False])
  found = measures.score(
    predicted, truth, present, living, np.array([0, 1, 1]), LAYOUT
  )
  assert found['wrong'].tolist() == [[1, 1], [1, 1]]
  assert found['exact'].tolist() == [[0, 1], [0, 1]]
  assert found['right/row'].tolist() == [[0, 1], [1, 1]]
  assert found['right/position'].tolist() == [[0, 1], [1, 1]]
  np.testing.assert_allclose(found['right/bomb life'][1], [120 / 121, 1])
  assert found['right/alive'].tolist() == [[1, 1], [1, 2]]
  assert found['changed/all'].tolist() == [[1, 2], [0, 0]]
  assert found['changed/board'].tolist() == [[1, 1], [0, 0]]
  assert 'nll' not in found


def test_intervals_are_of_games_and_seeds():
  rng = np.random.default_rng(0)
  seeds = [
    np.stack([rng.poisson(30, 200), np.full(200, 10)], -1) for _ in range(3)
  ]
  value = measures.ratio(seeds)
  pooled = sum(part[:, 0].sum() for part in seeds) / 6000
  assert value.mean == pytest.approx(pooled)
  assert 2.9 < value.low < value.mean < value.high < 3.1
  # The standard error of a mean of 600 Poisson numbers, over 10.
  assert value.high - value.low == pytest.approx(4 * 30**0.5 / 245, rel=0.4)
  apart = [seeds[0], seeds[1] * [2, 1]]
  assert measures.ratio(apart).low < 3.3
  worse = [part + [10, 0] for part in seeds]
  gap = measures.difference(worse, seeds)
  assert gap == pytest.approx((1.0, 1.0, 1.0))
  best = [part - [20, 0] for part in seeds]
  closed = measures.share_of_oracle_gap(seeds, worse, best)
  assert closed == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_starts_have_a_future_in_their_own_game(games):
  now = rollout.starts(games)
  for steps in (1, 5, 20):
    chosen = now[rollout.has_future(games, now, steps)]
    assert np.all(games.game[chosen] == games.game[chosen + steps])
    missed = now[~rollout.has_future(games, now, steps)]
    later = np.minimum(missed + steps, len(games.game) - 1)
    ends = (games.game[missed] != games.game[later]) | (later < missed + steps)
    assert np.all(ends)
  assert rollout.has_future(games, now, 1).all()


STARTS = (0, 4)  # Each is a graph of its own.
FLAGS = ('--cells=lstm', '--codings=categorical', '--seeds=0')


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """A run that was stopped in the middle of its training, and resumed."""
  folder = tmp_path_factory.mktemp('runs') / 'run'
  config = resolve(*FLAGS, '--games=24', f'--run_dir={folder}')

  def stop(*arguments, **options):
    raise KeyboardInterrupt

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(loop, 'fit', stop)
    patch.setattr(rollout, 'STARTS', STARTS)
    with pytest.raises(KeyboardInterrupt):
      predictions.run(config)
  kept = (folder / 'held_out-0.npz').stat().st_mtime_ns
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(rollout, 'STARTS', STARTS)
    predictions.run(config)
  assert (folder / 'held_out-0.npz').stat().st_mtime_ns == kept
  return folder, config


def test_a_run_leaves_tables_numbers_and_pictures(finished):
  folder, _ = finished
  found = json.loads((folder / 'scores.json').read_text())['scores']
  assert set(found) == {
    'copy',
    'oracle',
    'lstm, categorical',
    'lstm, categorical, untrained',
  }
  copied, oracle = (found[name]['1']['wrong'] for name in ('copy', 'oracle'))
  assert oracle[1] <= oracle[0] <= oracle[2] < copied[0]
  untrained = found['lstm, categorical, untrained']['1']
  assert untrained['nll'][0] > found['lstm, categorical']['1']['nll'][0]
  assert found['copy']['1']['changed/all'] == [0, 0, 0]
  assert found['copy']['1']['right/position'][0] > 0.3
  assert found['copy']['5']['wrong'][0] > copied[0]
  text = (folder / 'summary.txt').read_text()
  for word in (
    'wrong of 372',
    'gap closed, %',
    'position',
    'bomb life',
    'copy',
  ):
    assert word in text
  for name in ('epochs', 'horizons'):
    assert (folder / 'figures' / f'{name}.png').stat().st_size > 5000


def test_tensorboard_has_a_curve_per_model_and_seed(finished):
  folder, _ = finished
  found = event_files.read_steps(folder / 'tensorboard')
  assert found.keys() == {'.', 'categorical-lstm-0'}
  tags = found['categorical-lstm-0']
  assert tags['pommerman/loss'] == list(
    range(1, len(tags['pommerman/loss']) + 1)
  )
  assert {'pommerman/held_out_wrong', 'pommerman/steps_per_second'} < set(tags)
  given = event_files.read_hyperparameters(
    folder / 'tensorboard' / 'categorical-lstm-0'
  )
  assert (given['cell'], given['coding'], given['seed']) == (
    'lstm',
    'categorical',
    0,
  )


def test_open_loop_predictions_begin_with_the_one_step_ahead(
  finished, games, monkeypatch
):
  folder, config = finished
  monkeypatch.setattr(rollout, 'STARTS', STARTS)
  comparison = predictions.Comparison(_Run(config, folder))
  model = comparison.load_model(0, 'lstm', 'categorical')
  predictor = rollout.Predictor(model)
  now, predicted, nats = predictor.predict(games)
  assert (
    sorted(now) == np.flatnonzero(~np.append(games.is_first[1:], True)).tolist()
  )
  assert np.all(np.isfinite(nats)) and np.all(nats >= -1e-5)
  start, dreamt = predictor.dream(games, 3)
  assert dreamt.shape == (len(start), 3, LAYOUT.components)
  np.testing.assert_array_equal(start, rollout.starts(games))
  place = {index: row for row, index in enumerate(now)}
  rows = [place[index] for index in start]
  np.testing.assert_array_equal(dreamt[:, 0], predicted[rows])


def test_a_loaded_model_is_the_one_that_was_scored(finished, monkeypatch):
  folder, config = finished
  monkeypatch.setattr(rollout, 'STARTS', STARTS)
  comparison = predictions.Comparison(_Run(config, folder))
  games = comparison.load('held_out', 0)
  model = comparison.load_model(0, 'lstm', 'categorical')
  now, predicted, nats = rollout.Predictor(model).predict(games)
  again = comparison._score(games, now, 1, predicted, nats)
  recorded = comparison.scores('lstm, categorical', 0)[1]
  assert set(again) == set(recorded)
  for measure, sums in recorded.items():
    np.testing.assert_allclose(again[measure], sums, rtol=1e-5, err_msg=measure)


class _Run:
  """As much of a run as loading needs."""

  def __init__(self, config, path):
    self.config = config
    self.path = path
    self.checkpoints = path / 'checkpoints'


def test_a_finished_run_reports_again_and_another_is_refused(
  finished, monkeypatch
):
  folder, config = finished
  monkeypatch.setattr(loop, 'fit', None)  # Nothing is trained again.
  monkeypatch.setattr(pictures, '_draw_boards', lambda comparison: ())
  (folder / 'summary.md').unlink()
  predictions.run(config)
  assert (folder / 'summary.md').exists()
  other = resolve(*FLAGS, '--games=25', f'--run_dir={folder}')
  with pytest.raises(faults.UsageError, match='games: folder has 24'):
    predictions.run(other)


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--cells=gru', '--cells must be one of .*dnc.*'),
    ('--cells=', '--cells must name at least one'),
    ('--codings=mixture,mixture', '--codings must name .* none of them twice'),
    ('--held_out=1', '--held_out must be an integer of at least 2'),
  ],
)
def test_wrong_flags_are_named(flag, message):
  with pytest.raises(faults.UsageError, match=message):
    resolve(flag)


def test_too_few_games_for_a_window_are_told(tmp_path):
  config = resolve(
    *FLAGS, '--games=1', '--batch=64', f'--run_dir={tmp_path / "run"}'
  )
  with pytest.raises(faults.UsageError, match='--games, --batch, --window'):
    predictions.run(config)
