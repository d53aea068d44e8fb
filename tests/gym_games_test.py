"""Gymnasium's games by their ids: what is seen, done and refused."""

import json
import pickle
import sys

import gym_test_games
import gymnasium
import numpy as np
import pytest
from PIL import Image

from nca_tf import environments
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments import workers
from nca_tf.experiments.games import evaluate
from nca_tf.experiments.games import record_rollouts
from nca_tf.saved_models import screen

SPACES = 'gym:gym_test_games:Spaces-v0'
PICTURES = 'gym:gym_test_games:Pictures-v0'


def name_of(**options):
  return ','.join(
    [SPACES, *(f'{key}={value}' for key, value in options.items())]
  )


@pytest.mark.parametrize(
  ('kind', 'shape'),
  [
    ('grey', (64, 64, 3)),
    ('grey1', (64, 64, 3)),
    ('colours', (64, 64, 3)),
    ('bytes', (128,)),
    ('codes', (147,)),
    ('box', (3,)),
    ('matrix', (6,)),
    ('discrete', (5,)),
    ('switches', (4,)),
    ('several', (5,)),
    ('dict', (5,)),
    ('tuple', (5,)),
  ],
)
def test_every_space_of_numbers_is_seen(kind, shape):
  env = environments.make(name_of(observation=kind))
  first, info = env.reset(seed=3)
  assert (first.shape, info) == (shape, {'tics': 0})
  assert env.observation_space.contains(first)
  raw, _ = gymnasium.make(
    'Spaces-v0', disable_env_checker=True, observation=kind
  ).reset(seed=3)
  if len(shape) == 3:
    colours = np.stack([raw] * 3, -1) if raw.ndim == 2 else raw
    colours = np.repeat(colours, 4 - colours.shape[-1], -1)[..., :3]
    expected = Image.fromarray(colours).resize(shape[:2], Image.BILINEAR)
    np.testing.assert_array_equal(first, np.asarray(expected))
    seen = screen.observe(colours[None], environments.get_spec(env._spec.name))
    np.testing.assert_array_equal(first, seen[0])  # As exported agents see it.
  else:
    expected = {
      'discrete': lambda: np.eye(5)[raw - 2],
      'several': lambda: [*np.eye(2)[raw[0]], *np.eye(3)[raw[1]]],
      'dict': lambda: [*raw['a'], *np.eye(3)[raw['b']]],
      'tuple': lambda: [*np.eye(2)[raw[0]], *raw[1]],
    }.get(kind, lambda: np.ravel(raw))
    np.testing.assert_array_equal(first, np.float32(expected()))
  env.close()


@pytest.mark.parametrize(
  ('kind', 'size', 'given', 'got'),
  [
    ('discrete', 3, [0, 2], [5, 7]),
    ('box', 2, [[-1, 0], [1, 0.5], [0, -1]], [[0, 0], [2, 2], [1, -4]]),
    ('one', 1, [np.float32(-1), [0.25]], [[-2], [0.5]]),
    ('scalar', 1, [-1.0, 0.5], [0, 3]),
    ('matrix', 4, [[-1, 0, 0.5, 1]], [[[-1, 0], [0.5, 1]]]),
  ],
)
def test_actions_are_the_games_own(kind, size, given, got):
  env = environments.make(name_of(action=kind))
  spec = environments.get_spec(name_of(action=kind))
  assert spec.action_size == size
  env.reset(seed=1)
  gym_test_games.Spaces.actions.clear()
  for action in given:
    env.step(action)
  np.testing.assert_allclose(gym_test_games.Spaces.actions, got)
  for wrong in ([2.0] * size, [0.0] * (size + 1), -1.5, np.nan):
    with pytest.raises(ValueError, match='action must be in'):
      env.step(wrong)


NO_ID = "must be gym: and an id of Gymnasium's"


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    *((name_of(observation=kind), r'must show an image.*FlattenObservation')
      for kind in ('stack', 'large', 'pictures', 'sequence')),
    *((name_of(action=kind), 'must have actions that are Discrete.*Transform')
      for kind in ('endless', 'huge', 'whole', 'several', 'switches', 'dict',
                   'tuple')),
    (name_of(bad='start'), 'cannot be made: the screen is broken'),
    (name_of(colour='red'), "cannot be made: .*argument 'colour'"),
    (name_of() + ',noisy', r"options of a game must be like .* got 'noisy'"),
    (name_of() + ',=1', "options of a game must be like .* got '=1'"),
    ('gym:CartPol-v1', NO_ID + r' \(near it: gym:CartPole-v1, .*gym:PACKAGE'),
    ('gym:cartpole-v1', NO_ID + r' \(near it: gym:CartPole-v1'),
    ('gym:CartPole-v9', NO_ID + r' \(near it: .*gym:CartPole-v1'),
    ('gym:ALE/Pong-v5', NO_ID + '.*another package is gym:PACKAGE:ID'),
    ('gym:a b', NO_ID),
    ('gym:', NO_ID + r' \(such as gym:CartPole-v1\)'),
    ('gym:no_such_package:X-v0', 'needs another package: .*no_such_package'),
    ('gym:HalfCheetah-v5', r'needs another package: .*gymnasium\[mujoco\]'),
    ('chess', r'one of vizdoom, pommerman, .*, or gym:ID .*got .chess.'),
  ],
)  # fmt: skip
def test_what_cannot_be_played_is_said_in_one_line(name, message, tmp_path):
  with pytest.raises((ValueError, ImportError), match=message) as caught:
    environments.get_spec(name)
  assert '\n' not in str(caught.value)
  with pytest.raises((ValueError, ImportError)):
    environments.make(name)
  folder = tmp_path / 'run'
  flags = [f'--env={name}', f'--run_dir={folder}']
  for config in (record_rollouts.Config, evaluate.Config):
    with pytest.raises(faults.UsageError, match='^--env.*' + message) as caught:
      config_flags.resolve(config, flags)
    assert '\n' not in str(caught.value)
  assert not folder.exists()


def test_a_missing_extra_names_the_command(monkeypatch):
  for module in [*sys.modules]:
    if module.startswith(('Box2D', 'gymnasium.envs.box2d')):
      monkeypatch.delitem(sys.modules, module)
  monkeypatch.setitem(sys.modules, 'Box2D', None)
  # Options make it another game than one that was looked at before.
  with pytest.raises(ImportError, match=r"pip install 'nca_tf\[box2d\]'$"):
    environments.get_spec('gym:CarRacing-v3,lap_complete_percent=0.5')


def test_the_game_is_gymnasiums_with_the_same_seed():
  ours = environments.make('gym:Pendulum-v1', frame_skip=2)
  theirs = gymnasium.make('Pendulum-v1').unwrapped
  first, _ = ours.reset(seed=2**31 + 7)
  np.testing.assert_array_equal(first, theirs.reset(seed=7)[0])
  for action in (0.5, -1.0):
    seen, reward, *ends, info = ours.step(action)
    parts = [theirs.step(np.array([2 * action], np.float32)) for _ in range(2)]
    np.testing.assert_array_equal(seen, parts[1][0])
    assert reward == pytest.approx(parts[0][1] + parts[1][1])
    assert ends == [False, False]
  assert info == {'tics': 4}


@pytest.mark.parametrize(
  ('name', 'limit'),
  [
    ('gym:CartPole-v1', 500),
    ('gym:Pendulum-v1', 200),
    ('gym:CarRacing-v3', 1000),
    (SPACES, 60),
    (PICTURES, 1000),  # It has none.
  ],
)
def test_the_time_limit_is_the_games(name, limit):
  assert environments.get_spec(name).time_limit == limit


def test_a_limit_is_no_death():
  env = environments.make('gym:Pendulum-v1', time_limit=300)
  env.reset(seed=1)
  ends = [env.step(0.0)[2:4] for _ in range(300)]  # Its own limit is 200.
  assert ends == [(False, False)] * 299 + [(False, True)]
  env = environments.make(name_of(cut=5))
  env.reset(seed=1)  # It cuts itself at the fifth step.
  assert [env.step(0)[2:4] for _ in range(5)] == [(False, False)] * 4 + [
    (False, True)
  ]
  with pytest.raises(RuntimeError, match=r'reset\(\)'):
    env.step(0)


@pytest.mark.parametrize('bad', ['reward', 'observation'])
def test_numbers_that_are_none_end_the_episode(bad):
  env = environments.make(name_of(bad=bad))
  env.reset(seed=1)
  with pytest.raises(environments.GameCrashed, match=f'gave {bad} .* finite'):
    for _ in range(3):
      env.step(0)
  with pytest.raises(RuntimeError, match=r'reset\(\)'):
    env.step(0)
  env.reset(seed=1)


@pytest.mark.parametrize('bad', ['step', 'reward', 'observation'])
def test_a_game_that_fails_is_a_fault_of_one_line(bad, tmp_path):
  name = name_of(bad=bad)
  flags = [f'--env={name}', '--processes=1', '--episodes=3', '--seed=2']
  # Scores of a policy that never looks need no observations.
  scored = () if bad == 'observation' else (evaluate,)
  for module in (record_rollouts, *scored):
    folder = f'--run_dir={tmp_path / module.NAME}'
    config = config_flags.resolve(module.Config, [*flags, folder])
    with pytest.raises(faults.Fault, match=f"^game '{SPACES},bad=") as caught:
      module.run(config)
    assert '\n' not in str(caught.value)
    assert 'the same command' in str(caught.value)


def test_car_racing_is_seen_and_driven_as_published(monkeypatch):
  from gymnasium.envs.box2d import car_racing

  driven, step = [], car_racing.CarRacing.step

  def spy(self, action):
    if action is not None:
      driven.append(action)
    return step(self, action)

  monkeypatch.setattr(car_racing.CarRacing, 'step', spy)
  env = environments.make('gym:CarRacing-v3', time_limit=20)
  frame, _ = env.reset(seed=3)
  raw, _ = gymnasium.make('CarRacing-v3').reset(seed=3)
  expected = Image.fromarray(raw[:84]).resize((64, 64), Image.BILINEAR)
  np.testing.assert_array_equal(frame, expected)
  # tanh goes to steering as it is, to gas by (a + 1) / 2, to the brake cut.
  for action in ([0, 0, 0], [0.5, -1, 0.5], [-1, 1, -1], [1, 0.5, 1]):
    env.step(np.float32(action))
  np.testing.assert_allclose(
    driven, [[0, 0.5, 0], [0.5, 0, 0.5], [-1, 1, 0], [1, 0.75, 1]]
  )
  env.close()
  discrete = environments.get_spec('gym:CarRacing-v3,continuous=False')
  assert (discrete.action_kind, discrete.actions) == ('discrete', 5)
  assert not discrete.ordered_actions  # Of unlike things.
  assert environments.get_spec('gym:CartPole-v1').ordered_actions


def test_games_pickle_before_they_start():
  env = pickle.loads(pickle.dumps(environments.make('gym:CartPole-v1')))
  assert env.reset(seed=1)[0].shape == (4,)


def test_workers_play_games_that_only_this_process_has_registered(capfd):
  name = 'gym:Pictures-v0'  # Not by its module.
  results = [
    list(workers.play(name, 'random', [3, 4, 5], processes=n, record=True))
    for n in (1, 2)
  ]
  for one, other in zip(*results, strict=True):
    assert (one.score, one.frames) == (other.score, other.frames)
  assert len({result.score for result in results[0]}) == 3
  assert capfd.readouterr() == ('', '')  # Though the game prints.


def test_a_picture_is_drawn_without_a_word(capfd):
  env = environments.make('gym:CartPole-v1', render_mode='rgb_array')
  assert env.render() is None  # Before reset.
  env.reset(seed=1)
  picture = env.render()
  assert (picture.shape, picture.dtype) == ((400, 600, 3), np.uint8)
  assert len(np.unique(picture)) > 3
  env.close()
  assert capfd.readouterr() == ('', '')  # Nothing of sound cards either.


def test_a_film_of_vectors_shows_the_games_own_pictures(tmp_path):
  config = config_flags.resolve(
    evaluate.Config,
    [
      '--env=gym:CartPole-v1',
      '--episodes=2',
      '--processes=1',
      f'--run_dir={tmp_path / "run"}',
      f'--record={tmp_path / "film.gif"}',
    ],
  )
  evaluate.run(config)
  lines = (tmp_path / 'run' / 'episodes.jsonl').read_text().splitlines()
  with Image.open(tmp_path / 'film.gif') as film:
    assert (300, 200) < film.size < (320, 260)  # Half of what it draws.
    seconds = 0
    for index in range(film.n_frames):
      film.seek(index)
      seconds += film.info['duration'] / 1000
  # Two tics of 1/50 s a picture, and a second at the end.
  lived = json.loads(lines[0])['tics'] / 50
  assert seconds == pytest.approx(lived + 1, abs=0.2)


@pytest.mark.parametrize(
  ('flags', 'kind'),
  [
    (['--env=vizdoom'], 'discrete'),
    (['--env=vizdoom', '--action_kind=continuous'], 'continuous'),
    (['--env=gym:Pendulum-v1'], 'continuous'),
    (['--env=gym:CartPole-v1'], 'discrete'),
  ],
)
def test_the_kind_of_action_is_the_games_own(flags, kind):
  recorded = config_flags.resolve(record_rollouts.Config, flags)
  assert recorded.action_kind == kind  # config.json says it.
  scored = config_flags.resolve(evaluate.Config, flags)
  assert scored.resolved.action_kind == kind


def test_a_kind_that_the_game_lacks_is_refused():
  flags = ['--env=gym:Pendulum-v1', '--action_kind=discrete']
  with pytest.raises(faults.UsageError, match='--action_kind must be contin'):
    config_flags.resolve(record_rollouts.Config, flags)


def test_a_game_that_draws_nothing_is_not_filmed(tmp_path):
  flags = [f'--env={SPACES}', f'--record={tmp_path / "film.gif"}']
  with pytest.raises(faults.UsageError, match='^--record: .* no pictures'):
    config_flags.resolve(evaluate.Config, flags)
