"""PixelCopter against recorded games of the original, and its environments."""

import pathlib

import gymnasium
import numpy as np
import pytest
from gymnasium.utils import env_checker

from nca_tf import environments
from nca_tf import files
from nca_tf.environments import policies
from nca_tf.environments.pixel_copter import engine
from nca_tf.environments.pixel_copter import pixel_copter
from nca_tf.environments.pixel_copter import recordings
from nca_tf.environments.pixel_copter import vector

FOLDER = pathlib.Path(__file__).parent.parent / 'testdata' / 'pixel_copter'
TRACES = sorted(path.name for path in FOLDER.glob('*.npz'))
SPEC = pixel_copter.SPEC


def test_recorded_games_of_both_roundings_are_there():
  assert TRACES == [
    f'{kind}_{rounding}.npz'
    for kind in ('frames', 'sizes', 'state')
    for rounding in ('half_away', 'trunc')
  ]


@pytest.mark.parametrize('name', TRACES)
def test_recorded_games_replay_without_a_difference(name):
  trace = recordings.read(FOLDER / name)
  assert trace.games > 5 and trace.steps > 400
  assert ('frames' in trace.arrays) == name.startswith('frames')
  assert recordings.replay(trace) == {kind: [] for kind in recordings.KINDS}


@pytest.mark.parametrize(
  ('field', 'kind'),
  [
    ('y', 'state'),
    ('vel', 'state'),
    ('prect', 'state'),
    ('blocks', 'state'),
    ('terrain_first_last_x', 'state'),
    ('score', 'rewards'),
    ('reward', 'rewards'),
    ('lives', 'rewards'),
    ('gs', 'features'),
    ('init_blocks', 'levels'),
    ('init_terrain', 'levels'),
    ('frames', 'frames'),
  ],
)
def test_one_changed_value_is_found(field, kind):
  trace = recordings.read(FOLDER / 'frames_trunc.npz')
  values = trace.arrays[field].copy()
  values[0] += 1
  changed = trace._replace(arrays={**trace.arrays, field: values})
  found = recordings.replay(changed)
  place = (0, -1) if kind == 'levels' else (0, 0)
  assert found == {
    each: [place] if each == kind else [] for each in recordings.KINDS
  }


def test_the_other_rounding_plays_another_game():
  trace = recordings.read(FOLDER / 'frames_trunc.npz')
  found = recordings.replay(trace._replace(rounding='half_away'))
  assert found['frames'] and found['state'] and not found['levels']


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'y': None}, 'not a trace of PixelCopter, y is missing'),
    ({'rounding': np.array('up')}, "one of trunc, half_away, got 'up'"),
    ({'game_offsets': np.array([0, 4, 4])}, 'game_offsets must rise from 0'),
    ({'game_offsets': np.array([0.0])}, r'integers \[games \+ 1\]'),
    ({'y': np.zeros(3)}, r'y must be of shape \(1127,\) and kind f, got'),
    ({'reward': np.zeros(1127, int)}, 'kind f, got int64'),
    ({'action': np.full(1127, 2)}, 'action must be from 0 to 1, got 2 to 2'),
    ({'fps': np.full(9, 0)}, 'fps must be from 1 to 1000, got 0 to 0'),
    ({'width': np.full(9, 4)}, 'width must be from 32 to 512, got 4 to 4'),
    ({'width': np.full(9, 64)}, r'frames must be uint8 of shape \(1127, 64'),
    ({'frame_step': np.full(1127, -1)}, 'frame_step must be from 0 to 1126'),
    ({'frame_step': None}, 'frames without frame_step'),
    ({'n_blocks': np.full(1127, 3)}, r'blocks must be of shape \(3381, 2\)'),
  ],
)
def test_damaged_recordings_are_refused(tmp_path, change, message):
  arrays = files.read_arrays(FOLDER / 'frames_trunc.npz') | change
  path = tmp_path / 'a.npz'
  files.write_arrays(
    path, {name: a for name, a in arrays.items() if a is not None}
  )
  with pytest.raises(ValueError, match=message) as caught:
    recordings.read(path)
  assert str(path) in str(caught.value)


def play(name, seed, **options):
  """Returns the return of an episode, its length and its last labels."""
  env = environments.make('pixel_copter', **options)
  policy = policies.make(name, SPEC)
  policy.reset(np.random.default_rng(seed))
  observation, info = env.reset(seed=seed)
  total, over = 0.0, False
  while not over:
    observation, reward, *ends, info = env.step(policy.act(observation))
    total, over = total + reward, any(ends)
  assert total == info['score']
  return total, info['tics'], info['labels']


def mean_return(name, episodes, **options):
  return np.mean([play(name, seed, **options)[0] for seed in range(episodes)])


def test_the_local_optimum_of_a_few_ups():
  """Measured on the original: random -4.8, nothing -2.65, two ups 0."""
  assert -4.95 < mean_return('random_per_tic', 100, frames=False) < -4.6
  assert -2.8 < mean_return('none', 100, frames=False) < -2.5
  assert {play('two_ups', seed, frames=False)[0] for seed in range(50)} == {0}
  assert mean_return('pilot', 8) > 4


def test_fixed_level_is_the_first_of_the_original_adapter():
  assert {play('none', seed, fixed_level=True)[0] for seed in range(3)} == {-3}
  env = pixel_copter.PixelCopter(fixed_level=True)
  for seed in (None, 5):
    _, info = env.reset(seed=seed)
    assert info['labels'].tolist() == [23, 29 - 12, 29 + 14, 65 - 2, 31 - 4]


def test_without_a_seed_the_generator_goes_on():
  env = pixel_copter.PixelCopter(observation='features')
  env.reset(seed=7)
  second, _ = env.reset()
  random = np.random.RandomState(7)
  state = engine.start(engine.Rules(), [random])
  engine.restart(state, np.array([0]))
  np.testing.assert_array_equal(second, engine.get_features(state)[0])


def test_stale_frame_after_reset_is_an_option():
  env = pixel_copter.PixelCopter(stale_reset=True)
  observation, _ = env.reset(seed=1)
  assert not observation.any()
  over = False
  while not over:
    last, _, over, *_ = env.step(0)
  observation, _ = env.reset(seed=1)
  np.testing.assert_array_equal(observation, last)
  fresh, _ = pixel_copter.PixelCopter().reset(seed=1)
  assert fresh.any() and not np.array_equal(fresh, last)


def test_labels_are_what_the_frame_shows():
  env = pixel_copter.PixelCopter()
  policy = policies.make('pilot', SPEC)
  policy.reset(np.random.default_rng(0))
  frame, info = env.reset(seed=6)
  seen = 0
  for _ in range(100):
    player, ceiling, floor, left, top = info['labels']
    is_copter = (frame == 255).all(-1)
    is_green = frame.any(-1) & ~is_copter
    assert np.flatnonzero(is_copter.any(1))[0] == player
    column = is_green[:, 15]
    free = np.flatnonzero(~column)
    assert (free[0], free[-1] + 1) == (ceiling, floor) or left < 16
    if left < 44 and ceiling < top < floor - 9:
      assert is_green[top : top + 9, left : left + 4].all()
      assert not is_green[top - 1, left] or top - 1 < 24
      seen += 1
    frame, _, over, _, info = env.step(policy.act(frame))
    if over:
      break
  assert seen > 10


@pytest.mark.parametrize('observation', ['frames', 'features'])
def test_gymnasium_finds_no_fault(observation):
  env = gymnasium.make('nca_tf/PixelCopter-v0', observation=observation)
  env_checker.check_env(env.unwrapped, skip_render_check=True)


@pytest.mark.parametrize('observation', ['frames', 'features'])
def test_many_games_are_as_each_alone(observation):
  lanes, options = 5, {'observation': observation, 'time_limit': 30}
  many = vector.PixelCopterVector(lanes, **options)
  seen, _ = many.reset(seed=3)
  assert seen in many.observation_space
  seeds = np.random.default_rng(3)
  seeds = gymnasium.utils.seeding.np_random(3)[0].integers(2**32, size=lanes)
  alone = [pixel_copter.PixelCopter(**options) for _ in range(lanes)]
  first = [
    env.reset(seed=int(seed))[0] for env, seed in zip(alone, seeds, strict=True)
  ]
  np.testing.assert_array_equal(seen, first)
  over = np.zeros(lanes, bool)
  rng, ends = np.random.default_rng(0), set()
  for _ in range(120):
    actions = (rng.random(lanes) > 0.1).astype(int)
    seen, rewards, terminated, truncated, info = many.step(actions)
    for lane, env in enumerate(alone):
      if over[lane]:
        (one, each), found = env.reset(), (0.0, False, False)
      else:
        one, *found, each = env.step(int(actions[lane]))
      np.testing.assert_array_equal(seen[lane], one)
      assert (rewards[lane], terminated[lane], truncated[lane]) == tuple(found)
      assert info['tics'][lane] == each['tics']
      assert info['score'][lane] == each['score']
    over = terminated | truncated
    ends |= set(zip(terminated[over], truncated[over], strict=True))
  assert ends == {(True, False), (False, True)}


@pytest.mark.parametrize(
  ('actions', 'message'),
  [
    (np.zeros(3, int), r'integers of shape \(2,\), got int64 of shape \(3,\)'),
    (np.zeros(2), 'got float64'),
    (np.array([0, 2]), 'actions must be 0 or 1, got 0 to 2'),
  ],
)
def test_wrong_actions_are_refused(actions, message):
  env = vector.PixelCopterVector(2)
  with pytest.raises(RuntimeError, match=r'reset\(\) before step'):
    env.step(np.zeros(2, int))
  env.reset(seed=1)
  with pytest.raises(ValueError, match=message):
    env.step(actions)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'rounding': 'up'}, "must be 'trunc' or 'half_away', got 'up'"),
    ({'observation': 'x'}, "must be 'frames' or 'features', got 'x'"),
    ({'fixed_level': 1}, 'fixed_level must be True or False, got 1'),
    ({'render_mode': 'human'}, "None or 'rgb_array', got 'human'"),
  ],
)
def test_wrong_options_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    pixel_copter.PixelCopter(**options)


@pytest.mark.parametrize('size', [31, 513, 48.0, True])
def test_sizes_of_no_game_are_refused(size):
  with pytest.raises(ValueError, match='size must be an integer of at least'):
    engine.Rules(size=size)


@pytest.mark.parametrize('size', range(32, 513, 13))
def test_every_size_has_places_for_its_columns(size):
  rules = engine.Rules(size=size, fps=15)
  state = engine.start(rules, [engine.make_random(2**40 + size)])
  for _ in range(400):
    engine.step(state, np.array([engine.NONE]))
    assert np.isfinite(state.columns[0]).sum() == state.columns_left
