"""Agents that learn by themselves are players like any other.

What `export_policy` leaves plays through the games' contract as the live agent
plays in the environment that it learnt in.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import alone
import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nca_tf import environments
from nca_tf.agents import actions
from nca_tf.agents import network as network_lib
from nca_tf.agents import tf_agents
from nca_tf.agents import vector_bridge
from nca_tf.agents.ppo import agent as ppo
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.datasets import rollouts
from nca_tf.environments import gym_registry
from nca_tf.environments.grid_world import rooms
from nca_tf.environments.workers import episode
from nca_tf.environments.workers import player
from nca_tf.environments.workers import saved_agent
from nca_tf.experiments.games import evaluate
from nca_tf.experiments.games import record_rollouts
from nca_tf.memory import cells
from nca_tf.saved_models import export

LIMIT, SEED = 40, 5


class Graph(gymnasium.Env):
  """Rooms in the graph, one lane at a time."""

  def __init__(self):
    self._rooms = rooms.Rooms(6)
    self.observation_space = self._rooms.observation_space
    self.action_space = self._rooms.action_space

  def reset(self, *, seed=None, options=None):
    self._state, seen = self._rooms.reset(1, [0, 0])
    return seen[0].numpy(), {}

  def step(self, action):
    action = tf.constant([action])
    self._state, *found = self._rooms.step(self._state, action, [0, 0])
    seen, reward, *ends = (part[0].numpy() for part in found)
    return seen, reward, *ends, {}


class Case(NamedTuple):
  """An agent's game, and the environment that it learnt in."""

  cell: str
  env: str
  options: dict[str, Any]
  make: Callable[[], gymnasium.Env]
  steps: int = LIMIT


def gym(cell, name, steps=LIMIT):
  name = f'gym:{name}'
  return Case(
    cell, name, {'raw': True}, lambda: gym_registry.open_game(name), steps
  )


CASES = {
  'rooms': Case('dnc', 'rooms', {'size': 6}, Graph),
  'copter': Case(
    'lstm',
    'pixel_copter',
    {'observation': 'features'},
    lambda: environments.make('pixel_copter', observation='features'),
  ),
  'cartpole': gym('none', 'CartPole-v1'),
  'pendulum': gym('dnc', 'Pendulum-v1'),
  'boxes': gym('lstm', 'gym_test_games:Spaces-v0,action=box'),
  'indices': gym('none', 'FrozenLake-v1'),
  'pictures': gym('none', 'CarRacing-v3', steps=4),
  'cover': Case('none', 'vizdoom', {}, lambda: environments.make('vizdoom')),
}


def make_agent(env, cell, seed=0):
  """An agent whose actions depend on what it sees and remembers."""
  kind = actions.make(env.action_space)
  spec = vector_bridge.get_observation_spec(env.observation_space)
  cell = (
    None
    if cell == 'none'
    else cells.make(cell, 6, memory_slots=5, word_size=4, read_heads=1)
  )
  categories = int(env.observation_space.n) if not spec.shape.rank else 0
  network = network_lib.ActorCritic(kind.size, 1, (8,), cell, categories)
  agent = ppo.PPOAgent(tf_agents.time_step_spec(spec), kind, network, seed=seed)
  head = network.policy_head.kernel
  head.assign(100 * head)
  if agent.moments is not None:
    rng = np.random.default_rng(0)
    agent.moments.update(tf.constant(rng.normal(size=(50, *spec.shape))))
  return agent


class Made(NamedTuple):
  """An export, and one episode of the live agent."""

  case: Case
  agent: Any
  folder: Any
  seen: np.ndarray  # Observations [L + 1, ...].
  actions: np.ndarray
  rewards: np.ndarray


def play_live(env, agent, steps):
  """Observations, actions and rewards of the likeliest actions."""
  observation, _ = env.reset(seed=SEED)
  dtype = agent.time_step_spec.observation.dtype
  state, is_first, over = agent.initial_state(1), True, False
  seen, taken, rewards = [observation], [], []
  while not over and len(taken) < steps:
    given = tf.constant(np.asarray(observation, dtype.as_numpy_dtype)[None])
    action, state = agent.act(given, tf.constant([is_first]), state)
    action, is_first = action.numpy()[0], False
    space = env.action_space
    if isinstance(space, gymnasium.spaces.Box):
      action = np.clip(action, space.low, space.high)
    observation, reward, terminated, cut, _ = env.step(action)
    over = terminated or cut
    seen.append(observation)
    taken.append(action)
    rewards.append(reward)
  return np.stack(seen), np.stack(taken), np.array(rewards, np.float32)


@pytest.fixture(scope='module', params=CASES)
def made(request, tmp_path_factory):
  return make(request.param, tmp_path_factory)


MADE = {}


def make(name, tmp_path_factory):
  if name not in MADE:
    case = CASES[name]
    env = case.make()
    for seed in range(20):
      agent = make_agent(env, case.cell, seed)
      found = play_live(env, agent, case.steps)
      if len(np.unique(found[1], axis=0)) > 1:
        break
    env.close()
    folder = tmp_path_factory.mktemp(name) / 'agent'
    options = {**case.options, 'time_limit': case.steps}
    export.export_policy(
      agent, folder, {'env': case.env, 'options': options, 'cell': case.cell}
    )
    MADE[name] = Made(case, agent, folder, *found)
  return MADE[name]


def scale(taken, space):
  """Actions as games of the library take them."""
  if not isinstance(space, gymnasium.spaces.Box):
    return taken
  share = (taken - space.low) / (space.high - space.low)
  return (2 * share - 1).squeeze(-1) if space.shape == (1,) else 2 * share - 1


def test_it_plays_the_game_as_the_live_agent_its_environment(made):
  options = saved_agent.read_info(made.folder)['options']
  spec = environments.get_spec(made.case.env, **options)
  policy = player.resolve(str(made.folder), spec).make(spec)
  env = environments.make(made.case.env, **options)
  one, again = (
    episode.play(env, policy, 0, SEED, record=True) for _ in range(2)
  )
  env.close()
  raw = made.case.make()
  wanted = scale(made.actions, raw.action_space)
  raw.close()
  assert len(one.actions) == len(made.actions)
  if one.actions.dtype == np.int32:
    np.testing.assert_array_equal(one.actions, wanted)
    np.testing.assert_array_equal(one.rewards, made.rewards)
  else:
    np.testing.assert_allclose(one.actions, wanted, atol=1e-4)
    np.testing.assert_allclose(one.rewards, made.rewards, rtol=1e-3)
  # The second episode begins with a new state.
  np.testing.assert_array_equal(again.actions, one.actions)


def test_the_agents_of_these_tests_do_different_things(made):
  assert len(np.unique(made.actions, axis=0)) > 1


PLAY = """
import sys
import numpy as np
import tensorflow as tf

for folder in sys.argv[1:]:
  frames = np.load(folder + '/frames.npy')
  agent = tf.saved_model.load(folder).signatures
  state = agent['initial_state'](batch=tf.constant(1))
  taken = []
  for frame in frames:
    found = agent['act'](frames=tf.constant(frame[None]), **state)
    taken.append(found['action'].numpy()[0])
    state = {name: found['next_' + name] for name in state}
  np.save(folder + '/taken.npy', taken)
"""


def test_where_only_tensorflow_is_it_takes_the_same_actions(
  tmp_path, tmp_path_factory
):
  all_made = [
    make(name, tmp_path_factory) for name in ('rooms', 'copter', 'cartpole')
  ]
  assert {made.case.cell for made in all_made} == {'none', 'lstm', 'dnc'}
  for made in all_made:
    frames = made.seen[:-1].astype(np.float32)
    np.save(made.folder / 'frames.npy', frames)
  (tmp_path / 'play.py').write_text(PLAY)
  script, folders = str(tmp_path / 'play.py'), [str(m.folder) for m in all_made]
  subprocess.run(
    [sys.executable, '-c', alone.BLOCK, script, *folders], check=True
  )
  for made in all_made:
    taken = np.load(made.folder / 'taken.npy')
    np.testing.assert_array_equal(taken, made.actions)


def test_a_first_step_forgets_what_was_before(tmp_path_factory):
  made = make('rooms', tmp_path_factory)
  agent = tf.saved_model.load(made.folder).signatures
  fresh = agent['initial_state'](batch=tf.constant(2))
  assert fresh['is_first'].numpy().all()
  used = {
    name: part if name == 'is_first' else part + 0.5
    for name, part in fresh.items()
  }
  frames = tf.constant(made.seen[:2])
  one, other, later = (
    agent['act'](frames=frames, **{**state, 'is_first': tf.fill([2], first)})
    for state, first in ((fresh, True), (used, True), (used, False))
  )
  for name, part in one.items():
    np.testing.assert_array_equal(part, other[name], name)
  assert np.abs(one['next_memory'] - later['next_memory']).max() > 0.01
  assert not one['next_is_first'].numpy().any()


def test_weights_name_an_agent(tmp_path_factory, tmp_path):
  made = make('cartpole', tmp_path_factory)
  info = {'env': made.case.env, 'options': {'raw': True}}
  export.export_policy(made.agent, tmp_path / 'same', info)
  same, label = player.load(tmp_path / 'same'), player.load(made.folder).label
  assert same.label == label and same.parameters is None
  made.agent.moments.mean.assign_add([0.1, 0, 0, 0])
  export.export_policy(made.agent, tmp_path / 'other', info)
  made.agent.moments.mean.assign_sub([0.1, 0, 0, 0])
  assert player.load(tmp_path / 'other').label != label


def test_other_observations_are_refused_in_one_line(tmp_path_factory):
  made = make('copter', tmp_path_factory)
  with pytest.raises(ValueError) as caught:
    player.resolve(made.folder, environments.get_spec('pixel_copter'))
  line = str(caught.value)
  assert line.startswith('observation_shape must be [7], the one of the agent')
  assert "'observation': 'features'" in line and '\n' not in line


def test_several_indices_at_once_are_refused_in_one_line(tmp_path):
  several = gymnasium.spaces.MultiDiscrete([2, 3])
  env = gymnasium.make('CartPole-v1')
  env.action_space = several
  export.export_policy(
    make_agent(env, 'none'), tmp_path / 'agent', {'env': 'gym:Several-v0'}
  )
  with pytest.raises(
    ValueError, match='action_kind must be .*, got .multi_discrete'
  ):
    player.load(tmp_path / 'agent')


def test_evaluate_scores_and_films_it_with_its_own_options(
  tmp_path, tmp_path_factory
):
  made = make('copter', tmp_path_factory)
  film = tmp_path / 'film.gif'
  argv = (
    f'--agent={made.folder}',
    f'--run_dir={tmp_path / "run"}',
    '--episodes=2',
    '--processes=1',
    f'--record={film}',
  )
  config = config_flags.resolve(evaluate.Config, argv)
  figures = evaluate.run(config)
  assert figures['episodes'] == 2 and config.resolved.env == 'pixel_copter'
  options = {'observation': 'features', 'time_limit': LIMIT}
  env = environments.make('pixel_copter', **options)
  policy = saved_agent.SavedAgent(made.folder)
  wanted = episode.play(env, policy, 0, environments.episode_seed(0, 0))
  line = (tmp_path / 'run' / 'episodes.jsonl').read_text().splitlines()[0]
  assert json.loads(line)['score'] == wanted.score
  with Image.open(film) as picture:
    assert picture.n_frames > 3 and picture.size[1] > 48 * 5
  shorter = config_flags.resolve(evaluate.Config, [*argv, '--time_limit=9'])
  assert shorter.resolved.game_options['time_limit'] == 9


def test_record_rollouts_keeps_what_it_sees(tmp_path, tmp_path_factory):
  made = make('copter', tmp_path_factory)
  argv = (
    f'--policy={made.folder}',
    '--env=pixel_copter',
    f'--run_dir={tmp_path}',
    '--episodes=2',
    '--processes=1',
  )
  record_rollouts.run(config_flags.resolve(record_rollouts.Config, argv))
  spec = rollouts.read_spec(tmp_path / 'rollouts')
  assert spec.observation_shape == (7,)
  assert spec.source['policy'] == player.load(made.folder).label
  first, _ = rollouts.read(tmp_path / 'rollouts')
  env = environments.make('pixel_copter', observation='features')
  seen, _ = env.reset(seed=first.seed)
  np.testing.assert_allclose(first.observation[0], seen, rtol=1e-6)
  for frame, action in zip(
    first.observation[1:], first.action[:-1], strict=True
  ):
    np.testing.assert_allclose(frame, env.step(int(action))[0], rtol=1e-6)


@pytest.mark.parametrize(
  ('info', 'message'),
  [
    (
      {'options': {'observation': 'features', 'colour': 3}},
      '--policy: options in .* must be those of',
    ),
    ({'options': {'name': 'x'}}, '--policy: options in .* must be those of'),
    ({'options': {'observation': 3}}, "observation must be 'frames' or"),
    ({'options': [1]}, 'options must be an object, got'),
    ({'observation': [7, 'float32']}, 'observation must be a shape and a type'),
  ],
)
def test_damaged_options_are_named(tmp_path, tmp_path_factory, info, message):
  made = make('copter', tmp_path_factory)
  whole = json.loads((made.folder / 'agent.json').read_text())
  (tmp_path / 'agent.json').write_text(json.dumps({**whole, **info}))
  for config, argv in (
    (evaluate.Config, [f'--agent={tmp_path}']),
    (record_rollouts.Config, [f'--policy={tmp_path}', '--env=pixel_copter']),
  ):
    with pytest.raises(faults.UsageError, match=message):
      config_flags.resolve(config, argv)
