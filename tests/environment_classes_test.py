"""Every class of environment alike: numbers, order of calls, copies.

One row per registered Gymnasium id, and one each for the vector and the
parallel Pommerman.
"""

import copy
import functools
import os
import pathlib
import pickle
import subprocess
import sys
import typing
from collections.abc import Callable

import gymnasium
import numpy as np
import pytest

from nca_tf import environments
from nca_tf import files
from nca_tf.environments import game
from nca_tf.environments import policies
from nca_tf.environments import workers
from nca_tf.environments.pixel_copter import vector as pixel_copter_vector
from nca_tf.environments.pommerman import drawing
from nca_tf.environments.pommerman import games
from nca_tf.environments.pommerman import match
from nca_tf.environments.pommerman import opponents
from nca_tf.environments.pommerman import parallel
from nca_tf.environments.pommerman import vector
from nca_tf.environments.pommerman.engine import board
from nca_tf.environments.pommerman.engine import engine
from nca_tf.environments.pommerman.engine import observation
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.opponents import scripted

RULES = variants.get_variant('PommeFFACompetition-v0')
NAN, INF = float('nan'), float('inf')


class Row(typing.NamedTuple):
  """How to make and play a class of environments."""

  make: Callable
  act: Callable = lambda env: 1  # A valid action
  wrong: tuple = ()  # Further actions that are refused
  renders: bool = True
  counts: tuple = ('time_limit',)  # Options that are integers of at least 1
  continues: bool = True  # Whether a copy goes on where the original is


def make_registered(name, **options):
  return gymnasium.make(name, disable_env_checker=True, **options).unwrapped


def name_all(env):
  return dict.fromkeys(env.agents or env.possible_agents, 1)


ROWS = {
  'nca_tf/TakeCover-v0': Row(
    functools.partial(make_registered, 'nca_tf/TakeCover-v0', time_limit=30),
    counts=('time_limit', 'frame_skip'),
    continues=False,
  ),
  'continuous': Row(
    functools.partial(
      make_registered,
      'nca_tf/TakeCover-v0',
      time_limit=30,
      action_kind='continuous',
    ),
    act=lambda env: np.array([0.7], np.float32),
    wrong=(1.01, np.array([-INF]), np.array([0.1, 0.2])),
    continues=False,
  ),
  'nca_tf/Pommerman-v0': Row(
    functools.partial(make_registered, 'nca_tf/Pommerman-v0', time_limit=30),
    counts=('time_limit', 'frame_skip'),
  ),
  'radio': Row(
    functools.partial(
      make_registered,
      'nca_tf/Pommerman-v0',
      variant='PommeRadio-v2',
      observation='vector',
    ),
    act=lambda env: np.array([1, 0, 7]),
    wrong=(1, (1, 0), (1, 0, 8), (1, 0, -1), (1, 0, 0.0), [[1, 0, 0]]),
  ),
  'nca_tf/PixelCopter-v0': Row(
    functools.partial(make_registered, 'nca_tf/PixelCopter-v0', time_limit=30),
    counts=('time_limit', 'frame_skip'),
  ),
  'nca_tf/Rooms-v0': Row(
    functools.partial(make_registered, 'nca_tf/Rooms-v0', time_limit=30),
    counts=('time_limit', 'frame_skip'),
  ),
  'copters': Row(
    functools.partial(
      pixel_copter_vector.PixelCopterVector, num_envs=2, time_limit=30
    ),
    act=lambda env: np.array([1, 0]),
    wrong=([1], [[1, 0]], [1, 2], [1, -1], [1, NAN], [True, False]),
    renders=False,
    counts=('time_limit', 'num_envs'),
  ),
  'vector': Row(
    functools.partial(vector.PommermanVector, num_envs=2, time_limit=30),
    act=lambda env: np.array([1, 2]),
    wrong=([1], [[1, 2]], [1, 6], [1, -1], [1, NAN], [True, False]),
    renders=False,
    counts=('time_limit', 'num_envs'),
  ),
  'parallel': Row(
    functools.partial(parallel.ParallelPommerman, time_limit=30),
    act=name_all,
    wrong=(
      *(dict.fromkeys(('agent_0', 'agent_1'), 1), [1, 1, 1, 1]),
      *({f'agent_{n}': 6 for n in range(4)}, {0: 1}),
      {f'agent_{n}': NAN for n in range(4)},
    ),
  ),
}
WRONG_COUNTS = (0, -1, 2.5, 2.0, '3', True, None, NAN, INF, [1], 10**12)
WRONG_SEEDS = (-1, 1.0, '3', True, NAN, [1, 2], np.array([1, 2]), ())
WRONG_ACTIONS = ('up', None, NAN, INF, {}, [], [[1], [1, 2]], 1j, b'1')
WRONG_ACTIONS += (True, 2**70, np.zeros((2, 2, 2)), object(), -(2**40))


@pytest.fixture(params=ROWS)
def row(request):
  return ROWS[request.param]


@pytest.fixture
def made(row):
  """Makes environments of a row; all are closed at the end."""
  found = []

  def make(**options):
    found.append(row.make(**options))
    return found[-1]

  yield make
  for env in found:
    env.close()


def refuse(call, name, error=ValueError):
  """Calls, and demands one line that begins with a name."""
  with pytest.raises(error) as caught:
    call()
  message = str(caught.value)
  assert message.startswith(name), message
  assert '\n' not in message and len(message) < 300
  return message


def play(row, env, steps=6):
  """What an episode shows: arrays, as plain lists."""
  shown = [env.reset(seed=3)]
  shown += [env.step(row.act(env)) for _ in range(steps)]
  return flatten(shown)


def flatten(value):
  if isinstance(value, dict):
    return {key: flatten(each) for key, each in value.items()}
  if isinstance(value, tuple | list):
    return [flatten(each) for each in value]
  return np.asarray(value).tolist()


def test_every_registered_game_has_a_row():
  ids = {name for name in gymnasium.registry if name.startswith('nca_tf/')}
  assert {entry[0] for entry in environments.GAMES.values()} <= ids
  assert ids - {'nca_tf/FiveSteps-v0'} <= set(ROWS)


# Numbers.


def test_wrong_counts_are_named(row, made):
  for option in row.counts:
    for value in WRONG_COUNTS:
      if (option, value) != ('num_envs', 10**12):
        refuse(lambda o=option, v=value: made(**{o: v}), f'{option} must be')
  if 'frame_skip' in row.counts:
    for value in (1, 'yes', None):
      refuse(lambda v=value: made(frames=v), 'frames must be True or False')


def test_numbers_of_numpy_are_as_good_as_pythons(row, made):
  wanted = play(row, made(**dict.fromkeys(row.counts, 2)), steps=1)
  for make in (np.int64, np.uint8, np.array):
    env = made(**{option: make(2) for option in row.counts})
    assert play(row, env, steps=1) == wanted


def test_wrong_seeds_and_options_are_named(row, made):
  env, other = made(), made()
  refuse(lambda: other.reset(seed='x'), 'seed must be an integer')
  wanted = play(row, env)
  for seed in WRONG_SEEDS:
    refuse(lambda s=seed: env.reset(seed=s), 'seed must be an integer')
  for options in (3, 'x', [1]):
    refuse(lambda o=options: env.reset(options=o), 'options must be None or')
  assert play(row, env) == wanted
  env.reset(seed=np.int64(3), options={})
  assert flatten(env.step(row.act(env))) == wanted[1]


def test_wrong_actions_are_named_and_change_nothing(row, made):
  env, other = made(), made()
  wanted = play(row, env)
  shown = [other.reset(seed=3)]
  for _ in range(6):
    for action in (*WRONG_ACTIONS, *row.wrong):
      message = refuse(lambda a=action: other.step(a), 'action')
      assert ' must be ' in message
    shown.append(other.step(row.act(other)))
  assert flatten(shown) == wanted


@pytest.mark.parametrize(
  ('make', 'name'),
  [
    (lambda: match.Match(RULES, 2, agent=4), 'agent must be an integer'),
    (lambda: match.Match(RULES, 2, agent=True), 'agent must be an integer'),
    (lambda: match.Match(RULES, 2.0), 'games must be an integer'),
    (lambda: match.Match(RULES, 2, players=3), 'opponents must be one name'),
    (lambda: match.Match(RULES, 2, players=[[], {}, 1]), 'name must be one'),
    (lambda: opponents.make(['simple'], RULES), 'name must be one of'),
    (lambda: scripted.BlindAgents([0.5, 0.5]), 'shares must be 6 numbers'),
    (lambda: scripted.BlindAgents([NAN] * 6), 'each of shares must be'),
    (lambda: scripted.BlindAgents([0.5] * 6), 'shares must be 6 numbers'),
    (lambda: games.make([], RULES, 1), 'engine must be one of'),
    (lambda: engine.reset(RULES, -1, None), 'games must be an integer'),
    (lambda: variants.get_variant({}), 'name must be one of'),
    (lambda: vector.PommermanVector(2, observation=[]), 'observation must be'),
    (lambda: game.check_reset(None, 1), 'options must be None'),
    (lambda: policies.Policy(iter, 0), 'frame_skip must be an integer'),
    (
      lambda: policies.make([], environments.get_spec('vizdoom')),
      'name must be one of',
    ),
    (lambda: environments.episode_seed(1.5, 0), 'seed must be an integer'),
    (lambda: environments.episode_seed(1, -1), 'index must be an integer'),
  ],
)
def test_wrong_arguments_of_parts_are_named(make, name):
  refuse(make, name)


@pytest.mark.parametrize(
  ('change', 'name'),
  [
    ({'max_steps': 0}, 'max_steps must be'),
    ({'max_steps': '800'}, 'max_steps must be'),
    ({'first_collapse': -1}, 'first_collapse must be'),
    ({'first_collapse': 797}, 'first_collapse must be'),
    ({'view': 0}, 'view must be'),
    ({'board_size': 3}, 'board_size must be'),
    ({'agents': 3}, 'agents must be 4'),
    ({'agents': None}, 'agents must be'),
    ({'rigid': 35}, 'rigid and wood must be even'),
    ({'rigid': 60}, 'rigid and wood must be 12'),
    ({'wood': 10, 'items': 4}, 'rigid and wood must be 12'),
    ({'items': 37}, 'items must be'),
    ({'max_blast_strength': 0.5}, 'max_blast_strength must be'),
    ({'training_agent': 4}, 'training_agent must be'),
    ({'game_type': 5}, 'game_type must be'),
  ],
)
def test_rules_that_no_board_fits_are_named(change, name):
  def draw():
    board.lay_out(variants.get_variant('PommeFFACompetition-v0', **change))

  refuse(draw, name)


def test_a_limit_before_the_board_collapses_is_named_as_the_option():
  message = refuse(
    lambda: environments.make(
      'pommerman', variant='PommeFFA-v1', time_limit=100
    ),
    'time_limit in PommeFFA-v1 must be',
  )
  assert '504' in message
  environments.make('pommerman', variant='PommeFFA-v1', time_limit=504)


@pytest.mark.parametrize('size', ['64', 64.0, True, NAN, 49])
def test_wrong_sizes_of_pictures_are_named(size):
  seen = observation.observe(engine.reset(RULES, 1, np.random.default_rng(0)))
  refuse(lambda: drawing.to_rgb(seen, 0, size), 'size must be an integer')
  assert drawing.to_rgb(seen, 0, np.int64(50)).shape == (1, 50, 50, 3)


@pytest.mark.parametrize(
  ('settings', 'name'),
  [
    *(({'processes': v}, 'processes must be') for v in (-1, 1.5, '2', True)),
    *(
      ({'patience': v}, 'patience must be')
      for v in (0, NAN, INF, '9', True, 1e10)
    ),
    *(({'record': v}, 'record must be True') for v in (1, 'no', None)),
    ({'keep_going': 0}, 'keep_going must be True'),
    *(
      ({'policy': v}, 'policy must be one of') for v in (3, None, b'x', [], '')
    ),
    ({'parameters': 3}, 'parameters must be 1, one per seed'),
    ({'parameters': ['x']}, 'parameters must be numbers'),
    *(
      ({'seeds': [v]}, 'each of seeds must be')
      for v in (-1, 0.5, '3', True, None, NAN)
    ),
  ],
)
def test_wrong_settings_of_workers_are_named(settings, name):
  arguments = {'policy': 'random', 'seeds': [1], 'processes': 1, **settings}
  refuse(lambda: workers.play('vizdoom', **arguments), name)


# The order of calls.


def test_calls_where_no_episode_is_name_reset(row, made):
  env = made(**({'render_mode': 'rgb_array'} if row.renders else {}))

  def refuse_all():
    # Gymnasium's own error, and Python's for who does not know Gymnasium.
    for error in (gymnasium.error.ResetNeeded, RuntimeError):
      refuse(lambda: env.step(row.act(env)), 'call reset() before step', error)
      if row.renders:
        refuse(env.render, 'call reset() before render()', error)

  refuse_all()
  env.close()
  refuse_all()
  wanted = play(row, env)
  if row.renders:
    assert env.render().any()
  env.close()
  env.close()
  refuse_all()
  assert play(row, env) == wanted


def test_matches_need_games():
  empty = match.Match(RULES, 2)
  for call, arguments in (
    ('step', ([0, 0], None)),
    ('restart', (np.ones(2, bool), None)),
    ('view', ('vector',)),
  ):
    refuse(
      lambda c=call, a=arguments: getattr(empty, c)(*a),
      f'call reset() before {call}()',
      environments.ResetNeeded,
    )


def test_only_reset_goes_on_after_the_end(row, made):
  env = made(
    time_limit=504 if row is ROWS['radio'] else 2,
    **({'render_mode': 'rgb_array'} if row.renders else {}),
  )
  env.reset(seed=1)
  over = False
  while not over:
    ends = flatten(env.step(row.act(env))[2:4])
    over = 'True' in str(ends)
  if not row.renders:  # Many games: each begins again by itself, as it says.
    assert env.metadata['autoreset_mode'].value == 'NextStep'
    assert env.step(row.act(env))[4]['tics'].tolist() == [0, 0]
    return
  for error in (gymnasium.error.ResetNeeded, RuntimeError):
    with pytest.raises(error, match=r'is over: call reset\(\) before step\(\)'):
      env.step(row.act(env))
  assert env.render().any()
  env.reset(seed=1)
  env.step(row.act(env))


def test_workers_say_which_episodes_were_dropped():
  with workers.Players(
    'pommerman', 'random', processes=1, options={'time_limit': 3}
  ) as players:
    first = players.play([1, 2, 3])
    next(first)
    second = players.play([4, 5])
    assert [result.seed for result in second] == [4, 5]
    with pytest.raises(RuntimeError, match='were dropped by another play'):
      next(first)
    third = players.play([6, 7])
    next(third)
    players.close()
    with pytest.raises(RuntimeError, match=r'dropped .* or by close\(\)'):
      next(third)
    assert [result.seed for result in players.play([7])] == [7]


# Copies.


def duplicates(env):
  return pickle.loads(pickle.dumps(env)), copy.deepcopy(env)


def test_environments_are_copied_before_they_start(row, made):
  env = made()
  wanted = play(row, made())
  for each in duplicates(env):
    assert play(row, each) == wanted
    each.close()


def test_environments_that_play_are_copied_or_say_what_to_use(row, made):
  env = made()
  env.reset(seed=3)
  env.step(row.act(env))
  if row.continues:
    copies = duplicates(env)
    wanted = [flatten(env.step(row.act(env))) for _ in range(4)]
    for each in copies:
      assert [flatten(each.step(row.act(each))) for _ in range(4)] == wanted
    return
  for call in (pickle.dumps, copy.deepcopy):
    message = refuse(lambda c=call: c(env), 'TakeCover cannot', TypeError)
    assert 'same options' in message and 'close()' in message
  env.step(row.act(env))  # It plays on.
  env.close()
  for each in duplicates(env):
    assert play(row, each) == play(row, env)
    each.close()


def test_policies_are_copied_before_their_episode():
  for name in environments.GAMES:
    spec = environments.get_spec(name)
    frame = np.zeros(spec.observation_shape, np.uint8)
    for policy_name in spec.policies:
      policy = policies.make(policy_name, spec)
      found = []
      for each in (policy, *duplicates(policy)):
        each.reset(np.random.default_rng(1))
        found.append([each.act(frame) for _ in range(150)])
      assert found[0] == found[1] == found[2]
      if isinstance(policy, policies.Policy):  # Its stream is a generator.
        refuse(lambda p=policy: pickle.dumps(p), 'Policy cannot be', TypeError)


def test_workers_are_copied_before_they_start():
  players = workers.Players(
    'pommerman', 'random', processes=1, options={'time_limit': 3}
  )
  for each in (players, *duplicates(players)):
    with each:
      (result,) = each.play([5])
      assert result.tics == 3
      refuse(lambda e=each: pickle.dumps(e), 'workers cannot', TypeError)


def test_games_of_the_original_are_made_anew(monkeypatch):
  made = []
  monkeypatch.setattr(
    games.original, 'make_game', lambda rules: made.append(rules)
  )
  package = games.PackageGames(RULES, 2)
  for each in duplicates(package):
    assert each.variant == RULES
  assert made == [RULES] * 6
  package._seen = [{}, {}]
  refuse(lambda: pickle.dumps(package), "games of engine 'package'", TypeError)


SPAWN = """
import functools, sys
import gymnasium
import numpy as np
import nca_tf.environments

if __name__ == '__main__':
  make = functools.partial(gymnasium.make, sys.argv[1], time_limit=30)
  many = gymnasium.vector.AsyncVectorEnv([make, make], context='spawn')
  seen, _ = many.reset(seed=[3, 4])
  after, *_ = many.step(np.array([1, 1]))
  many.close()
  np.savez(sys.argv[2], seen=seen, after=after)
"""


@pytest.mark.parametrize('name', [e[0] for e in environments.GAMES.values()])
def test_spawned_processes_play_what_this_one_plays(tmp_path, name):
  # In a process of its own: multiprocessing's tracker would stay in this one.
  (tmp_path / 'spawn.py').write_text(SPAWN)
  root = pathlib.Path(environments.__file__).parents[2]
  subprocess.run(
    [sys.executable, 'spawn.py', name, 'frames.npz'],
    cwd=tmp_path,
    env={**os.environ, 'PYTHONPATH': str(root)},
    check=True,
  )
  frames = files.read_arrays(tmp_path / 'frames.npz')
  env = ROWS[name].make()
  for number, seed in enumerate((3, 4)):
    wanted = env.reset(seed=seed)[0], env.step(1)[0]
    np.testing.assert_array_equal(frames['seen'][number], wanted[0])
    np.testing.assert_array_equal(frames['after'][number], wanted[1])
  env.close()
