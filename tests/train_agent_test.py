"""bin/train_agent: a small run, resumed exactly, its SavedModel, its flags."""

import json
import re
import subprocess
import sys

import alone
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.agents import run as train_agent
from nca_tf.experiments.agents import settings
from nca_tf.experiments.agents import training as training_lib
from nca_tf.runs import checkpoints as checkpoints_lib
from nca_tf.training import loop

UPDATES = 6
ONE_VALUE = '--rnd', '--values=one'


def resolve(*argv):
  steps = f'--steps={8 * 16 * UPDATES}'
  return config_flags.resolve(settings.Config, ['--preset=smoke', steps, *argv])


def small(folder, *argv):
  return resolve('--rnd', '--cell=dnc', f'--run_dir={folder}', *argv)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  folder = tmp_path_factory.mktemp('agent') / 'run'
  train_agent.run(small(folder))
  return folder


def test_a_run_leaves_its_score_records_and_figures(finished):
  found = json.loads((finished / 'score.json').read_text())
  assert found['steps'] == 8 * 16 * UPDATES
  assert 0 <= found['drawn'] <= 1 and 0 < found['coverage'] <= 1
  assert 'Solved' in (finished / 'summary.md').read_text()
  assert 'Intrinsic reward of rooms' in (finished / 'summary.md').read_text()
  drawn = (
    'return',
    'curves',
    'values',
    'places',
    'memory_trace',
    'memory',
    'novelty',
  )
  for name in drawn:
    with Image.open(finished / 'figures' / f'{name}.png') as picture:
      assert picture.size[0] in (800, 1000)
      assert len(picture.convert('L').getcolors()) > 10
  lines = (finished / 'metrics.jsonl').read_text().splitlines()
  assert len(lines) == UPDATES
  wanted = {'return', 'intrinsic_reward', 'entropy', 'kl', 'coverage'}
  for record in map(json.loads, lines):
    assert wanted | {'explained_variance'} <= set(record)
    assert all(np.isfinite(record[name]) for name in wanted)
  with Image.open(finished / 'figures' / 'episode.gif') as film:
    assert film.n_frames > 1
  (curve,) = (finished / 'tensorboard').iterdir()
  shown = {
    file.name.split('.')[3].rpartition('-')[0]
    for file in curve.glob('events.out.tfevents.figures-*')
  }
  assert shown == {f'figures-{name}' for name in (*drawn, 'episode')}


def test_a_finished_run_is_not_repeated(finished, monkeypatch, capsys):
  monkeypatch.setattr(loop, 'fit', None)
  # The first version's agents said nothing of the game's options.
  description = finished / 'export' / 'agent' / 'agent.json'
  whole = json.loads(description.read_text())
  description.write_text(json.dumps({'env': 'rooms'}))
  train_agent.run(small(finished))
  assert 'export lost some of its work; made again' in capsys.readouterr().err
  assert json.loads(description.read_text()) == whole
  with pytest.raises(faults.UsageError, match='entropy: folder has 0.01'):
    train_agent.run(small(finished, '--entropy=0.5'))


PLAY = """
import sys
import numpy as np
import tensorflow as tf

folder, observations, actions = sys.argv[1:]
observations = np.load(observations)
signatures = tf.saved_model.load(folder).signatures
state = signatures['initial_state'](batch=tf.constant(observations.shape[1]))
taken = []
for observation in observations:
  found = signatures['act'](frames=tf.constant(observation), **state)
  taken.append(found['action'].numpy())
  state = {name: found['next_' + name] for name in state}
np.save(actions, taken)
"""


def test_the_saved_model_plays_alike_where_only_tensorflow_is(
  finished, tmp_path
):
  rng = np.random.default_rng(0)
  observations = rng.normal(size=(20, 6, 10)).astype('float32')
  np.save(tmp_path / 'seen.npy', observations)
  (tmp_path / 'play.py').write_text(PLAY)
  files = (tmp_path / name for name in ('play.py', 'seen.npy', 'done.npy'))
  script, seen, done = map(str, files)
  agent = str(finished / 'export' / 'agent')
  subprocess.run(
    [sys.executable, '-c', alone.BLOCK, script, agent, seen, done], check=True
  )
  training = training_lib.Training(small(finished))
  where = finished / 'checkpoints' / 'agent'
  checkpoints = checkpoints_lib.Checkpoints(where, training=training)
  assert checkpoints.restore() == UPDATES
  state = training.agent.initial_state(6)
  expected = []
  for t, observation in enumerate(observations):
    action, state = training.agent.act(
      tf.constant(observation), tf.fill([6], t == 0), state
    )
    expected.append(action.numpy())
  np.testing.assert_array_equal(np.load(done), expected)
  assert len(np.unique(expected)) > 1
  info = json.loads((finished / 'export' / 'agent' / 'agent.json').read_text())
  assert info['observation'] == [[10], 'float32']
  assert info['env'] == 'rooms' and info['cell'] == 'dnc'


@pytest.mark.parametrize(
  'argv',
  [
    ('--rnd', '--cell=lstm'),
    ('--rnd', '--cell=dnc', '--algorithm=reinforce'),
    ('--env=pixel_copter', '--rnd', '--intrinsic_only', '--minibatches=2'),
  ],
)
def test_two_updates_and_two_more_equal_four(argv, tmp_path):
  config = resolve(*argv)
  scalars, folders = [], []
  for name, parts in (('whole', [range(4)]), ('halves', [(0, 1), (2, 3)])):
    found = []
    for part in parts:
      training = training_lib.Training(config)
      checkpoints = checkpoints_lib.Checkpoints(
        tmp_path / name, training=training
      )
      assert checkpoints.restore() == part[0]
      for index in part:
        step = training.step(index)
        found.append({key: float(value) for key, value in step.items()})
      checkpoints.save(part[-1] + 1)
    scalars.append(found)
    folders.append(tf.train.load_checkpoint(checkpoints.latest))
  assert scalars[0] == scalars[1]
  whole, halves = folders
  names = set(whole.get_variable_to_shape_map())
  assert names == set(halves.get_variable_to_shape_map())
  assert len(names) > 50
  for name in names:
    if not re.search('OBJECT_GRAPH|save_counter|py_state', name):
      one, other = whole.get_tensor(name), halves.get_tensor(name)
      np.testing.assert_array_equal(one, other, name)


@pytest.mark.parametrize(
  'name', ['gym:CartPole-v1', 'gym:Pendulum-v1', 'gym:FrozenLake-v1']
)
def test_environments_of_gymnasium_train(name):
  training = training_lib.Training(resolve(f'--env={name}', '--window=8'))
  for index in range(2):
    scalars = training.step(index)
    assert all(np.isfinite(value) for value in scalars.values())


def test_indices_have_no_reward_for_novelty():
  with pytest.raises(faults.UsageError, match='--rnd needs observations'):
    training_lib.Training(resolve('--env=gym:FrozenLake-v1', '--rnd'))


def test_what_an_environment_breaks_is_one_line():
  config = resolve('--env=pixel_copter')
  training = training_lib.Training(config)
  games = training.collector.environment.environment
  games._see = lambda state: np.full([8, 7], np.nan)
  with pytest.raises(faults.Fault, match='observations must be finite'):
    training.step(0)


@pytest.mark.parametrize(
  ('argv', 'message'),
  (
    (('--env=chess',), 'one of rooms, pixel_copter, vizdoom, .* or gym:<id>'),
    (('--env=gym:Chess-v0',), "--env: 'gym:Chess-v0' must be gym: and an id"),
    (('--intrinsic_only',), '--intrinsic_only needs --rnd'),
    (('--values=one',), '--values=one needs --rnd and both .*got --nornd'),
    (
      ('--values=one', '--rnd', '--intrinsic_only'),
      'both of its rewards, got --intrinsic_only',
    ),
    (('--trace_decay=1.5',), '--trace_decay must be'),
    (('--cell=lstm', '--minibatches=9'), 'at most the 8 lanes, got 9'),
    (('--minibatches=129',), 'at most the 128 steps of a window, got 129'),
    (('--cell=dnc', '--read_heads=6'), '--read_heads must be at most'),
    (('--precision=float64',), '--precision must be float32 for agents'),
    (('--jit=on',), '--jit must be auto or off for agents'),
    (('--layers=',), '--layers must name at least one'),
    (('--algorithm=dqn',), '--algorithm must be'),
    (('--discount=1.5',), '--discount must be'),
  ),
)
def test_wrong_flags_are_refused(argv, message):
  with pytest.raises(faults.UsageError, match=message):
    resolve(*argv)


def test_one_value_learns_the_sum_of_both_rewards_within_an_episode():
  training = training_lib.Training(resolve(*ONE_VALUE, '--discount=0.9'))
  (stream,) = training.config.streams
  assert stream.is_episodic and stream.discount == 0.9
  given = {}
  training.distillation.reward = lambda observations: tf.fill([8, 16], 0.5)
  learn = training.agent.train

  def watch(experience, **others):
    given.update(others, reward=experience.reward)
    return learn(experience, **others)

  training.agent.train = watch
  training.collector.environment.step = _always_pays(
    training.collector.environment.step
  )
  training.iterate()
  real = given['reward'].numpy()
  assert real.max() >= 3
  np.testing.assert_allclose(given['rewards'], 2 * real[..., None] + 0.5)


def _always_pays(step):
  def pay(*arguments):
    state, observation, reward, *ends = step(*arguments)
    return state, observation, reward + 3, *ends

  return pay


def test_kinds_of_agents_have_streams_and_folders_of_their_own():
  found = {}
  for argv in (
    (),
    ('--rnd',),
    ('--rnd', '--intrinsic_only'),
    ('--algorithm=reinforce',),
    ONE_VALUE,
  ):
    config = resolve(*argv)
    found[config.label] = [s.name for s in config.streams]
  assert found == {
    'ppo': ['extrinsic'],
    'ppo-rnd': ['extrinsic', 'intrinsic'],
    'ppo-intrinsic': ['intrinsic'],
    'reinforce': ['extrinsic'],
    'ppo-rnd-one-value': ['sum'],
  }
  assert resolve('--rnd').streams[0].discount == 0.99
  assert resolve('--preset=paper').streams[0].discount == 0.999
  assert resolve('--discount=0.9').streams[0].discount == 0.9
