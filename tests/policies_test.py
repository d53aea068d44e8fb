"""Scripted policies: their streams of actions and their spread."""

import itertools

import numpy as np
import pytest

from nca_tf import environments
from nca_tf.environments import policies

SPEC = environments.get_spec('vizdoom')
CONTINUOUS = environments.get_spec('vizdoom', action_kind='continuous')


def actions(name, count, seed=0, spec=SPEC):
  policy = policies.make(name, spec)
  policy.reset(np.random.default_rng(seed))
  return [policy.act(None) for _ in range(count)]


@pytest.mark.parametrize('name', SPEC.policies)
@pytest.mark.parametrize('spec', [SPEC, CONTINUOUS])
def test_the_generator_determines_every_policy(name, spec):
  assert actions(name, 200, 1, spec) == actions(name, 200, 1, spec)


@pytest.mark.parametrize('name', SPEC.policies)
def test_actions_are_those_of_the_game(name):
  assert set(actions(name, 300)) <= {0, 1, 2}
  values = actions(name, 300, spec=CONTINUOUS)
  assert all(isinstance(value, np.float32) for value in values)
  assert max(map(abs, values)) <= 1


def test_seeds_differ():
  for name in ('random', 'random_per_tic', 'wander'):
    assert actions(name, 50, 1) != actions(name, 50, 2)


@pytest.mark.parametrize('name', SPEC.policies)
def test_scripts_keep_their_pace_when_actions_are_held(name):
  held = environments.get_spec('vizdoom', frame_skip=4)
  assert actions(name, 200, spec=held) == actions(name, 800)[::4]


def test_random_holds_each_draw_for_one_to_ten_tics():
  values = actions('random', 60_000, spec=CONTINUOUS)
  holds = [len(list(group)) for _, group in itertools.groupby(values)]
  counts = np.bincount(holds[:-1], minlength=11)
  assert len(counts) == 11
  assert counts[0] == 0
  assert np.abs(counts[1:] / counts.sum() - 0.1).max() < 0.01


def test_random_actions_are_equally_frequent():
  counts = np.bincount(actions('random', 90_000))
  assert np.abs(counts / 90_000 - 1 / 3).max() < 0.02
  counts = np.bincount(actions('random_per_tic', 30_000))
  assert np.abs(counts / 30_000 - 1 / 3).max() < 0.02


def test_wander_holds_on_all_scales():
  values = actions('wander', 200_000, spec=CONTINUOUS)
  holds = np.array([len(list(group)) for _, group in itertools.groupby(values)])
  assert holds.min() == 1
  assert 280 < holds.max() < 300
  assert abs((holds < 17).mean() - np.log(17) / np.log(300)) < 0.02


def test_random_per_tic_draws_each_time():
  values = np.array(actions('random_per_tic', 30_000))
  assert abs((values[1:] == values[:-1]).mean() - 1 / 3) < 0.02


def test_metronome_goes_half_a_period_and_then_to_and_fro():
  runs = [
    (action, len(list(group)))
    for action, group in itertools.groupby(actions('metronome', 540))
  ]
  assert runs == [(0, 60), (2, 120), (0, 120), (2, 120), (0, 120)]


@pytest.mark.parametrize('period', [4, 10, 20, 40, 64, 80, 100, 150])
def test_metronomes_of_other_periods(period):
  values = actions(f'metronome_{period}', 3 * period)
  expected = [0] * (period // 2) + [2] * period + [0] * period + [2] * period
  assert values == expected[: 3 * period]


def test_sweeps_go_to_and_fro_for_about_as_long_in_an_episode():
  means = []
  for seed in range(30):
    runs = [
      (action, len(list(group)))
      for action, group in itertools.groupby(actions('sweeps', 6000, seed))
    ]
    sweeps = [length for action, length in runs if action != 1]
    assert {action for action, _ in runs} >= {0, 2}
    means.append(np.median(sweeps))
    # As much to the one side as to the other.
    left, right = (sum(n for a, n in runs if a == side) for side in (0, 2))
    assert 0.6 < left / right < 1.7
  assert min(means) < 80 and max(means) > 110


def test_reversals_are_of_all_lengths_and_turn_at_once():
  values = actions('reversals', 100_000)
  assert {*values} == {0, 2}  # It never stands still between two of them.
  holds = np.array([len(list(group)) for _, group in itertools.groupby(values)])
  # Walks and bouts join where both go the same way.
  for low, high in ((1, 5), (5, 12), (12, 30), (30, 75)):
    assert 0.1 < ((holds >= low) & (holds < high)).mean() < 0.5
  assert holds.max() < 400


def test_one_of_two_collectors_plays_each_episode():
  seen = []
  for seed in range(20):
    rng = np.random.default_rng(seed)
    seen.append(int(rng.integers(2)))
    name = ('wander', 'sweeps')[seen[-1]]
    stream = SPEC.policies[name].stream(SPEC, rng)
    expected = list(itertools.islice(stream, 400))
    assert actions('wander_or_sweeps', 400, seed) == expected
  assert {*seen} == {0, 1}


def test_reset_starts_the_metronome_again():
  policy = policies.make('metronome', SPEC)
  for _ in range(2):
    policy.reset(np.random.default_rng(0))
    assert [policy.act(None) for _ in range(61)] == [0] * 60 + [2]


def test_constant_policies():
  assert set(actions('stay', 9)) == {1}
  assert set(actions('always_left', 9)) == {0}
  assert set(actions('always_right', 9)) == {2}
  assert set(actions('always_left', 9, spec=CONTINUOUS)) == {-1.0}


def test_wrong_use_is_named():
  with pytest.raises(
    ValueError, match="random_per_tic, .*wander, .* got 'dance'"
  ):
    policies.make('dance', SPEC)
  with pytest.raises(RuntimeError, match='call reset'):
    policies.make('stay', SPEC).act(None)
