"""What every game keeps, whoever adds it: its spec says what it does."""

import dataclasses
import inspect
import pickle

import five_step_game
import gymnasium
import numpy as np
import pytest

from nca_tf import environments
from nca_tf.environments import game
from nca_tf.environments import policies
from nca_tf.environments import workers

LIMIT = 9


@pytest.fixture(autouse=True)
def five_steps(monkeypatch):
  """Registers the fake game."""
  monkeypatch.setitem(
    environments.GAMES, five_step_game.NAME, five_step_game.ENTRY
  )


REGISTERED = [*environments.GAMES, five_step_game.NAME]
GYMNASIUM = [
  'gym:CartPole-v1',
  'gym:Pendulum-v1',
  'gym:CarRacing-v3',
  'gym:gym_test_games:Pictures-v0',
]


@pytest.fixture(params=REGISTERED + GYMNASIUM)
def name(request):
  """Every game that is registered, the fake one, and some of Gymnasium's."""
  return request.param


@pytest.fixture
def kinds(name):
  """The game made with each kind of action that it claims: (spec, env)."""
  made = []
  for kind in environments.get_spec(name).action_kinds:
    options = {'action_kind': kind, 'time_limit': LIMIT}
    spec = environments.get_spec(name, **options)
    made.append((spec, environments.make(name, **options)))
  yield made
  for _, env in made:
    env.close()


def play(env, spec, policy_name, seed):
  """Frames, actions, rewards, and how the episode ended."""
  policy = policies.make(policy_name, spec)
  policy.reset(np.random.default_rng(seed))
  frame, info = env.reset(seed=seed)
  assert info['tics'] == 0
  frames, actions, rewards = [frame], [], []
  terminated = truncated = False
  while not (terminated or truncated):
    actions.append(policy.act(frame))
    frame, reward, terminated, truncated, info = env.step(actions[-1])
    frames.append(frame)
    rewards.append(reward)
  return np.stack(frames), actions, rewards, terminated, truncated, info['tics']


def test_the_spec_says_what_the_game_is(name, kinds):
  assert environments.get_spec(name).name == name
  for spec, env in kinds:
    box = env.observation_space
    dtype = np.uint8 if spec.has_frames else np.float32
    assert (box.shape, box.dtype) == (spec.observation_shape, dtype)
    if spec.action_kind == 'discrete':
      assert env.action_space == gymnasium.spaces.Discrete(spec.actions)
    else:
      size = (spec.components,)
      assert env.action_space == gymnasium.spaces.Box(-1, 1, size, np.float32)
    assert len(set(spec.action_names)) == spec.actions
    assert spec.actions > 1 or spec.action_kinds == ('continuous',)
    assert len(spec.screen_shape) == len(spec.observation_shape)
    assert 0 < spec.screen_rows <= spec.screen_shape[0]
    assert spec.tics_per_second > 0
    assert env.metadata.get('render_fps', spec.tics_per_second) == (
      spec.tics_per_second
    )


@pytest.mark.parametrize('name', REGISTERED)
def test_the_spec_has_the_defaults_of_the_game(name):
  spec, env = environments.get_spec(name), environments.make(name)
  assert type(env).__name__ == environments.GAMES[name][2]
  options = inspect.signature(type(env)).parameters
  env.close()
  for option in ('action_kind', 'frame_skip', 'time_limit'):
    assert options[option].default == getattr(spec, option)
  assert options['frames'].default is True


def test_every_policy_plays_every_kind_of_action(kinds):
  for spec, env in kinds:
    for policy_name in spec.policies:
      frames, actions, rewards, terminated, truncated, tics = play(
        env, spec, policy_name, 3
      )
      assert frames.dtype == (np.uint8 if spec.has_frames else np.float32)
      assert frames.shape[1:] == spec.observation_shape
      for action in actions:
        if spec.action_kind == 'discrete':
          assert action in range(spec.actions)
        else:
          assert action.dtype == np.float32 and np.all(np.abs(action) <= 1)
          assert action.shape == ((spec.components,) * (spec.components > 1))
      assert terminated != truncated
      assert truncated == (tics == LIMIT and not terminated)
      assert len(rewards) == tics <= LIMIT
      if not spec.has_reward:
        assert rewards == [1.0] * tics


def test_policies_that_differ_in_a_number_share_a_place_in_messages():
  five_steps = environments.get_spec(five_step_game.NAME)
  names = ('wander', 'hold_4', 'wander_2', 'hold_20', 'always_left', 'hold_150')
  spec = dataclasses.replace(
    five_steps, policies=dict.fromkeys(names), still_policy=None
  )
  assert spec.policy_names == 'wander, hold_4|20|150, wander_2, always_left'


def test_seeds_determine_episodes(kinds):
  for spec, env in kinds:
    policy_name = next(iter(spec.policies))
    one, other, again = (play(env, spec, policy_name, s) for s in (1, 2, 1))
    for ours, theirs in zip(one, again, strict=True):
      np.testing.assert_array_equal(ours, theirs)
    assert any(
      not np.array_equal(ours, theirs)
      for ours, theirs in zip(one[:2], other[:2], strict=True)
    )


def test_held_actions_end_at_the_limit_in_tics(name):
  options = {'time_limit': LIMIT, 'frame_skip': 4}
  env = environments.make(name, **options)
  spec = environments.get_spec(name, **options)
  for seed in range(40):
    *_, rewards, _, truncated, tics = play(
      env, spec, next(iter(spec.policies)), seed
    )
    if truncated:
      break
  env.close()
  assert (truncated, tics, len(rewards)) == (True, LIMIT, 3)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'action_kind': 'x'}, "action_kind must be '[dc].*', got 'x'"),
    ({'frame_skip': 0}, 'frame_skip must be an integer of at least 1 .*got 0'),
    ({'time_limit': 0}, 'time_limit must be an integer of at least 1 .*got 0'),
  ],
)
def test_wrong_options_are_named(name, options, message):
  with pytest.raises(ValueError, match=message):
    environments.make(name, **options)
  with pytest.raises(ValueError, match=message):
    environments.get_spec(name, **options)


def test_games_without_frames_and_after_the_end(name):
  env = environments.make(name, time_limit=1, frames=False)
  frame, _ = env.reset(seed=1)
  assert not frame.any()
  assert any(env.step(env.action_space.sample())[2:4])
  with pytest.raises(RuntimeError, match=r'reset\(\)'):
    env.step(env.action_space.sample())
  env.close()


def test_specs_reach_other_processes(name):
  spec = environments.get_spec(name, frame_skip=2)
  assert pickle.loads(pickle.dumps(spec)) == spec
  assert hash(pickle.loads(pickle.dumps(spec))) == hash(spec)


def test_engines_say_whether_they_are_there(name):
  spec = environments.get_spec(name)
  assert spec.engines['native']() is None
  for engine, find_missing in spec.engines.items():
    if engine == 'native':
      continue
    missing = find_missing()
    if missing:
      with pytest.raises(ImportError) as caught:
        environments.make(name, engine=engine)
      assert str(caught.value) == missing
    else:
      environments.make(name, engine=engine).close()


def test_a_game_of_the_tests_reaches_the_workers():
  results = list(
    workers.play(five_step_game.NAME, 'random_per_tic', range(40), processes=2)
  )
  lives = [result.tics for result in results]
  assert 3 < np.mean(lives) < 7
  assert max(lives) == 12
  assert {result.terminated for result in results} == {True, False}


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'policies': {}}, 'policies must name at least one, got none'),
    ({'still_policy': 'stay'}, "None or one of random, .*, got 'stay'"),
    ({'mirrored_actions': (0, 2)}, r'an order of \[0, 1\], got \(0, 2\)'),
    ({'action_kind': 'continuous'}, "must be 'discrete', got 'continuous'"),
  ],
)
def test_contradictions_in_a_spec_are_named(change, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(five_step_game.SPEC, **change)


def test_what_a_game_must_say_has_no_default():
  optional = {
    field.name
    for field in dataclasses.fields(game.GameSpec)
    if field.default is not dataclasses.MISSING
    or field.default_factory is not dataclasses.MISSING
  }
  assert optional == {
    'still_policy',
    'components',
    'engines',
    'frame_skip',
    'screen_shape',
    'screen_rows',
    'screen_top',
    'views',
    'view',
    'labels',
    'mirrored_actions',
    'ordered_actions',
  }


def test_an_unknown_screen_is_the_observation():
  spec = five_step_game.SPEC
  assert spec.screen_shape == spec.observation_shape
  assert spec.screen_rows == 64
