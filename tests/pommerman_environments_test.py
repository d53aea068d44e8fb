"""Pommerman's environments, whichever engine plays: contracts and refusals."""

import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils import env_checker

from nca_tf import environments
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments import policies
from nca_tf.environments.pommerman import drawing
from nca_tf.environments.pommerman import games
from nca_tf.environments.pommerman import match
from nca_tf.environments.pommerman import original
from nca_tf.environments.pommerman import parallel
from nca_tf.environments.pommerman import single_agent
from nca_tf.environments.pommerman import vector
from nca_tf.environments.pommerman.engine import engine
from nca_tf.environments.pommerman.engine import observation
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.workers import episode
from nca_tf.experiments.games import settings as play_config

RADIO = 'PommeRadioCompetition-v2'


@pytest.fixture(params=games.ENGINES)
def engine_name(request):
  if request.param == 'package' and not original.is_installed():
    pytest.importorskip('pommerman')
  return request.param


@pytest.mark.parametrize(
  ('variant', 'observation'),
  [
    ('PommeFFACompetition-v0', 'frames'),
    ('OneVsOne-v0', 'vector'),
    (RADIO, 'maps'),
  ],
)
def test_gymnasium_finds_nothing_to_complain_about(
  engine_name, variant, observation
):
  env = gymnasium.make(
    'nca_tf/Pommerman-v0',
    variant=variant,
    observation=observation,
    opponents='random',
    engine=engine_name,
    time_limit=20,
  )
  env_checker.check_env(env.unwrapped)


def play(env, seed, limit=60):
  """Observations, rewards and last flags of one episode of random actions."""
  seen, _ = env.reset(seed=seed)
  rng = np.random.default_rng(seed)
  observations, rewards = [seen], []
  ends = False, False
  while not any(ends) and len(rewards) < limit:
    seen, reward, *ends, _ = env.step(rng.integers(6))
    observations.append(seen)
    rewards.append(reward)
  return np.stack(observations), rewards, *ends


def test_a_seed_determines_the_episode(engine_name):
  options = {'observation': 'vector', 'engine': engine_name, 'time_limit': 30}
  one, other = (environments.make('pommerman', **options) for _ in range(2))
  other.reset(seed=9)
  first = play(one, 4)
  again = play(other, 4)
  np.testing.assert_array_equal(first[0], again[0])
  assert first[1:] == again[1:]
  assert not np.array_equal(play(one, 5)[0][0], first[0][0])


def test_death_terminates_and_time_truncates():
  env = environments.make('pommerman', opponents='random', observation='maps')
  env.reset(seed=0)
  env.step(5)
  for _ in range(40):
    seen, reward, terminated, truncated, info = env.step(0)
    if terminated or truncated:
      break
  assert (terminated, truncated, reward) == (True, False, -1.0)
  assert info['alive'] == np.flatnonzero(seen['alive']).tolist()
  assert 0 not in info['alive']
  with pytest.raises(RuntimeError, match='the episode is over'):
    env.step(0)
  same = environments.make(
    'pommerman', opponents='random', time_limit=info['tics']
  )
  same.reset(seed=0)  # Death in the last step: not the time's fault.
  ends = [same.step(5 if t == 0 else 0)[2:4] for t in range(info['tics'])]
  assert ends[-1] == (True, False)
  assert set(ends[:-1]) == {(False, False)}
  short = environments.make('pommerman', opponents='random', time_limit=3)
  short.reset(seed=0)
  ends = [short.step(0)[1:4] for _ in range(3)]
  assert ends == [(0.0, False, False)] * 2 + [(-1.0, False, True)]


def test_held_actions_are_steps_and_end_with_the_game():
  env = environments.make('pommerman', opponents='random', frame_skip=4)
  env.reset(seed=0)
  assert env.step(0)[4]['tics'] == 4
  env = environments.make(
    'pommerman', opponents='random', frame_skip=4, time_limit=6
  )
  env.reset(seed=0)
  env.step(0)
  *_, truncated, info = env.step(0)
  assert truncated
  assert info['tics'] == 6


def test_scripts_of_other_games_play_and_frames_are_recorded():
  spec = environments.get_spec('pommerman')
  env = environments.make('pommerman', time_limit=12)
  for name in spec.policies:
    result = episode.play(env, policies.make(name, spec), 0, 3, record=True)
    assert result.tics == len(result.actions)
    assert set(result.actions) <= set(range(6))
  black = environments.make('pommerman', frames=False)
  assert not black.reset(seed=1)[0].any()
  assert black.observation_space == env.observation_space


def test_every_seat_has_its_player():
  names = ('random', 'simple', 'random')
  rules = variants.get_variant('PommeFFACompetition-v0')
  game = match.Match(rules, 2, agent=1, players=names)
  seats = {name: game._players[name][1].tolist() for name in names}
  assert seats == {
    'random': [True, False, False, True],
    'simple': [False, False, True, False],
  }


def test_parallel_agents_leave_when_they_die(engine_name):
  env = parallel.ParallelPommerman(engine=engine_name, time_limit=200)
  seen, infos = env.reset(seed=0)
  rng = np.random.default_rng(0)
  assert env.agents == env.possible_agents == list(seen) == list(infos)
  left = {}
  while env.agents:
    played = list(env.agents)
    step = env.step({name: rng.integers(6) for name in played})
    for part in step:
      assert list(part) == played
    for name in played:
      assert env.observation_space(name).contains(step[0][name])
      if step[2][name] or step[3][name]:
        left[name] = step[1][name]
    assert len(left) + env.num_agents == env.max_num_agents
  assert set(left) == set(env.possible_agents)
  assert sorted(left.values())[:3] == [-1.0] * 3
  with pytest.raises(RuntimeError, match='call reset'):
    env.step({})


def test_parallel_teams_stay_together(engine_name):
  env = parallel.ParallelPommerman(
    RADIO, engine=engine_name, observation='maps'
  )
  env.reset(seed=1)
  rng = np.random.default_rng(0)
  words = np.array([[3, 4], [1, 2], [5, 6], [0, 7]])
  step = env.step(
    {name: np.array([0, *words[i]]) for i, name in enumerate(env.agents)}
  )
  messages = [seen['message'].tolist() for seen in step[0].values()]
  assert messages == words[[2, 3, 0, 1]].tolist()
  while env.agents:
    assert env.num_agents == 4
    actions = {name: env.action_space(name).sample() for name in env.agents}
    actions = {name: (rng.integers(6), 0, 0) for name in actions}
    _, rewards, ended, late, _ = env.step(
      {name: np.array(action) for name, action in actions.items()}
    )
  assert all(ended.values()) != all(late.values())
  assert rewards['agent_0'] == rewards['agent_2']


def test_many_games_are_the_single_game_many_times():
  many = vector.PommermanVector(3, opponents='random', time_limit=40)
  observations, _ = many.reset(seed=5)
  assert observations.shape == (3, 372)
  over = np.zeros(3, bool)
  rng = np.random.default_rng(0)
  ends = 0
  for _ in range(120):
    _, rewards, terminated, truncated, infos = many.step(
      rng.integers(6, size=3)
    )
    assert np.all(infos['tics'][over] == 0)
    assert np.all(infos['tics'][~over] > 0)
    assert np.all(rewards[over] == 0)
    assert not np.any(over & (terminated | truncated))
    assert not np.any(terminated & truncated)
    assert np.all(rewards[truncated] == -1)
    over = terminated | truncated
    ends += over.sum()
  assert ends >= 6


def test_vectors_repeat_and_differ_by_seed():
  one, other = (vector.PommermanVector(4, observation='maps') for _ in range(2))
  first, again = one.reset(seed=1)[0], other.reset(seed=1)[0]
  np.testing.assert_array_equal(first['board'], again['board'])
  for _ in range(5):
    first = one.step(np.zeros(4, int))[0]
    again = other.step(np.zeros(4, int))[0]
  np.testing.assert_array_equal(first['board'], again['board'])
  assert np.any(one.reset(seed=2)[0]['board'] != first['board'])


def test_text_shows_every_kind_of_cell():
  rules = variants.get_variant('PommeTeamCompetition-v0')
  state = engine.reset(rules, 1, np.random.default_rng(0))
  seen = observation.observe(state)
  seen = {name: np.array(values) for name, values in seen.items()}
  seen['board'][0, 0, 0] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 10]
  seen['bomb_life'][0, 0, 0] = [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 4]
  lines = drawing.to_text(seen, 0).splitlines()
  assert lines[0] == '. # % 7 ! ? o ^ > B a'
  assert lines[-2] == 'step 0, alive: A B C D'
  assert lines[-1] == 'A: ammo 1, blast strength 2, cannot kick'


def test_pictures_tell_all_cells_apart():
  rules = variants.get_variant('PommeFFACompetition-v0')
  state = engine.reset(rules, 1, np.random.default_rng(0))
  seen = observation.observe(state)
  seen = {name: np.array(values) for name, values in seen.items()}
  codes = [0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 10]
  seen['board'][0, 0, 0] = codes
  seen['bomb_life'][0, 0, 0] = [0, 0, 0, 7, 1, 0, 0, 0, 0, 0, 4]
  seen['board'][0, 0, 1, :5] = [10, 11, 12, 13, 0]
  seen['bomb_life'][0, 0, 1] = 0
  picture = drawing.to_rgb(seen, 0)[0]
  tiles = picture[:10, 4:59].reshape(2, 5, 11, 5, 3).swapaxes(1, 2)
  kinds = [*tiles[0], *tiles[1, :4]]
  assert len({tile.tobytes() for tile in kinds}) == len(kinds)
  assert tiles[1, 4].tobytes() == tiles[0, 0].tobytes()
  seen['ammo'][:] = 5
  more = drawing.to_rgb(seen, 0)[0]
  assert np.array_equal(more[:56], picture[:56])
  assert more[56:].any(-1).sum() > picture[56:].any(-1).sum()
  with pytest.raises(
    ValueError, match='size must be an integer of at least 50'
  ):
    drawing.to_rgb(seen, 0, 40)


@pytest.mark.parametrize('mode', single_agent.RENDER_MODES)
def test_rendering(engine_name, mode):
  options = {'engine': engine_name, 'render_mode': mode}
  env = environments.make('pommerman', **options)
  four = parallel.ParallelPommerman('PommeTeamCompetition-v0', **options)
  env.reset(seed=1)
  four.reset(seed=1)
  if mode == 'ansi':
    assert env.render().startswith('. ')
    assert '?' not in four.render()  # The whole board, without fog.
    return
  assert env.render().shape == four.render().shape == (320, 320, 3)
  assert env.render().std() > 10


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'variant': 'Pomme-v9'}, "name must be one of Pomme.* got 'Pomme-v9'"),
    ({'opponents': 'x'}, "name must be one of random, .*, got 'x'"),
    ({'opponents': ('simple',)}, 'opponents must be one name or 3, got 1'),
    ({'agent': 4}, 'agent must be .* at least 0 and of at most 3, got 4'),
    ({'observation': 'x'}, "observation must be one of frames, .*, got 'x'"),
    ({'engine': 'x'}, "engine must be one of native, package, got 'x'"),
    ({'action_kind': 'continuous'}, "action_kind must be 'discrete'"),
    ({'frame_skip': 0}, 'frame_skip must be an integer of at least 1 .*got 0'),
    ({'time_limit': 0}, 'time_limit must be an integer of at least 1 .*got 0'),
    ({'render_mode': 'human'}, "render_mode must be None, .*, got 'human'"),
  ],
)
def test_wrong_options_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    environments.make('pommerman', **options)


@pytest.mark.parametrize('action', [6, -1, 0.5, (0, 0), 'up'])
def test_wrong_actions_are_named(action):
  env = environments.make('pommerman')
  env.reset(seed=1)
  with pytest.raises(ValueError, match=r'action must be in Discrete\(6\), got'):
    env.step(action)
  many = vector.PommermanVector(2)
  many.reset(seed=1)
  with pytest.raises(ValueError, match='actions must be'):
    many.step([action, action])


def test_wrong_actions_of_parallel_agents_are_named():
  env = parallel.ParallelPommerman('OneVsOne-v0')
  env.reset(seed=1)
  with pytest.raises(ValueError, match='must be of agent_0, agent_1, got age'):
    env.step({'agent_0': 1})
  with pytest.raises(ValueError, match=r'must be in Discrete\(6\), got 7'):
    env.step({'agent_0': 1, 'agent_1': 7})


def test_a_missing_package_is_answered_with_the_install_line(monkeypatch):
  monkeypatch.setattr(original, 'is_installed', lambda: False)
  monkeypatch.setattr(original, 'load', original.load.__wrapped__)
  with pytest.raises(ImportError, match='pip install --no-deps git') as caught:
    environments.make('pommerman', engine='package')
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (('--env=vizdoom', '--engine=package'), '--engine must be native in viz'),
    (('--env=pommerman', '--engine=package'), '--engine: .* pip install'),
    (('--env=pommerman', '--engine=x'), '--engine must be one of native, pack'),
    (
      ('--env=pommerman', '--action_kind=continuous'),
      '--action_kind must be discrete in pommerman',
    ),
  ],
)
def test_flags_that_a_game_has_not_are_refused(monkeypatch, flags, message):
  monkeypatch.setattr(original, 'is_installed', lambda: False)
  with pytest.raises(faults.UsageError, match=message):
    config_flags.resolve(play_config.PlayConfig, flags)


def test_the_engine_is_an_option_of_the_game(monkeypatch):
  monkeypatch.setattr(original, 'is_installed', lambda: True)
  config = config_flags.resolve(
    play_config.PlayConfig, ('--env=pommerman', '--engine=package')
  )
  assert config.game_options['engine'] == 'package'
  config = config_flags.resolve(play_config.PlayConfig, ('--env=pommerman',))
  assert 'engine' not in config.game_options


def test_nothing_of_the_shims_stays(engine_name):
  if engine_name == 'package':
    original.load()
    assert 'pommerman' in sys.modules
  for name in ('gym', 'pyglet', 'docker', 'pommerman.network'):
    assert not isinstance(sys.modules.get(name), original._Shim)
