"""Damaged run folders: the same command makes the same of what is left."""

import functools
import json
import re
import shutil

import damages
import five_step_game
import numpy as np
import pytest
import tensorflow as tf

from nca_tf import environments
from nca_tf import files
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.datasets import rollouts
from nca_tf.evolution import cma_es
from nca_tf.experiments.controller import evolution as evolution_lib
from nca_tf.experiments.controller import search
from nca_tf.experiments.controller import settings as controller_settings
from nca_tf.experiments.memory_tasks import run as memory_run
from nca_tf.experiments.memory_tasks import settings as memory_settings
from nca_tf.experiments.predictions import pommerman_games
from nca_tf.experiments.predictions import run as predictions_run
from nca_tf.experiments.predictions import settings as predictions_settings
from nca_tf.experiments.world_model import run as world_model_run
from nca_tf.experiments.world_model import settings as world_model_settings
from nca_tf.play import collect
from nca_tf.play import score
from nca_tf.runs import checkpoints
from nca_tf.runs import metrics
from nca_tf.world_model import world_model as world_model_lib

GAME = five_step_game.NAME


@pytest.fixture(scope='module', autouse=True)
def five_steps():
  """Registers the fake game."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(environments.GAMES, GAME, five_step_game.ENTRY)
    yield


def cells(files, kinds=tuple(damages.DAMAGES)):
  """Every file with every damage."""
  return [
    pytest.param(file, kind, id=f'{file} {kind}')
    for file in files
    for kind in kinds
  ]


def tensors(folder):
  """All that the newest checkpoint of a folder holds."""
  step = checkpoints.latest_step(folder)
  reader = tf.train.load_checkpoint(f'{folder}/ckpt-{step}')
  return {
    name: reader.get_tensor(name)
    for name in reader.get_variable_to_dtype_map()
    if 'OBJECT_GRAPH' not in name
  }


def assert_same(found, wanted):
  assert found.keys() == wanted.keys()
  for name in wanted:
    np.testing.assert_array_equal(found[name], wanted[name], name)


# A world model.


def world_model_config(folder):
  flags = '--episodes=24 --held_out=4 --vision_steps=2 --vision_batch=8 '
  flags += '--model_steps=2 --model_batch=2 --window=4 --latent_size=3 '
  flags += '--units=4 --cell=lstm --jit=off --processes=1 --preset=smoke'
  return config_flags.resolve(
    world_model_settings.Config,
    [f'--env={GAME}', f'--run_dir={folder}', *flags.split()],
  )


@pytest.fixture(scope='module')
def world_model(tmp_path_factory):
  """The folder of one that was never damaged."""
  folder = tmp_path_factory.mktemp('whole') / 'world_model'
  world_model_run.train(world_model_config(folder))
  return folder


def world_model_result(folder):
  """Everything that training a world model leaves."""
  found = {
    'stages': json.loads((folder / 'stages.json').read_text()),
    'config': json.loads((folder / 'config.json').read_text())['config'],
    'episodes': [
      (episode.index, episode.seed, bytes(episode.observation))
      for episode in rollouts.read(folder / 'rollouts', frames=False)
    ],
  }
  del found['config']['run_dir']
  for part in ('vision', 'model'):
    for name, value in tensors(folder / 'checkpoints' / part).items():
      found[f'{part} {name}'] = value
  latents, _ = world_model_lib.read_latents(folder, held_out=24)
  return {**found, **latents._asdict()}


@functools.cache
def undamaged(folder):
  return world_model_result(folder)


_QUICK = (
  *('config.json', 'config.copy.json', 'stages.json', 'run.lock'),
  *('metrics.jsonl', 'checkpoints/vision/checkpoint'),
  *('checkpoints/model/checkpoint', 'rollouts/spec.json'),
)
_SLOW = (  # What it takes to make them again: the game, V, or training.
  *cells(['latents/part-00001.npz']),
  *cells(['rollouts/episodes-00000006.tfrecord'], ('lost', 'cut', 'flipped')),
  *cells(['rollouts/episodes-00000018.tfrecord'], ('lost', 'zeroed')),
  *cells(['checkpoints/vision/ckpt-2.index'], ('lost', 'cut')),
  *cells(['checkpoints/vision/ckpt-2.data-00000-of-00001'], ('flipped',)),
  *cells(['checkpoints/model/ckpt-2.index'], ('empty', 'garbled')),
  *cells(['checkpoints/model/ckpt-2.data-00000-of-00001'], ('lost', 'zeroed')),
)


@pytest.mark.parametrize(('file', 'kind'), [*cells(_QUICK), *_SLOW])
def test_a_world_model_is_what_it_was(
  file, kind, world_model, tmp_path, capsys
):
  folder = shutil.copytree(world_model, tmp_path / 'run')
  damages.DAMAGES[kind](folder / file)
  if file.endswith('.tfrecord'):  # Once M is trained, nobody reads their data.
    stages = json.loads((folder / 'stages.json').read_text())
    del stages['model']
    files.write_json(folder / 'stages.json', stages)
  world_model_run.train(world_model_config(folder))
  found, wanted = world_model_result(folder), dict(undamaged(world_model))
  if (file, kind) == ('stages.json', 'flipped'):  # It is in a name.
    assert found.pop('stages').keys() >= wanted.pop('stages').keys()
  assert_same(found, wanted)
  lines = capsys.readouterr().err.splitlines()
  said = [line for line in lines if line.startswith('warning: ')]
  if file not in ('run.lock', 'metrics.jsonl', 'config.copy.json'):
    is_said = bool(said) == (not file.endswith('/checkpoint'))
    unseen = ('stages.json', 'lost'), ('stages.json', 'flipped')
    assert is_said or (file, kind) in unseen, lines


def test_all_parts_are_made_again_together(world_model, tmp_path):
  folder = shutil.copytree(world_model, tmp_path / 'run')
  shutil.rmtree(folder / 'latents')
  shutil.rmtree(folder / 'checkpoints')
  (folder / 'stages.json').unlink()
  world_model_run.train(world_model_config(folder))
  assert_same(world_model_result(folder), undamaged(world_model))


@pytest.mark.parametrize(
  ('file', 'message'),
  [
    (
      'latents/part-00001.npz',
      r'holds \d\d of 110 frames; the command that made',
    ),
    ('latents', 'no latents in .*/latents; the command that made'),
    (
      'checkpoints/vision',
      r'vision/ckpt-2 is damaged \(.* lost\); the command',
    ),
    ('checkpoints/model/ckpt-2.index', r'model/ckpt-2 is damaged \(.* is lost'),
    ('stages.json', '--world_model must be the folder of a finished run'),
  ],
)
def test_who_loads_a_world_model_is_told_what_it_lost(
  file, message, world_model, tmp_path
):
  folder = shutil.copytree(world_model, tmp_path / 'run')
  path = folder / file
  shutil.rmtree(path) if path.is_dir() else path.unlink()
  with pytest.raises((faults.Fault, faults.UsageError)) as caught:
    world_model_lib.WorldModel.load(folder)
  assert re.search(message, str(caught.value))
  assert '\n' not in str(caught.value)


def test_without_both_configurations_nothing_is_written(world_model, tmp_path):
  folder = shutil.copytree(world_model, tmp_path / 'run')
  for name in ('config.json', 'config.copy.json'):
    (folder / name).write_text('{')
  before = {path: path.stat().st_mtime_ns for path in folder.rglob('*')}
  with pytest.raises(faults.Fault, match=r'config\.json is damaged .*put it b'):
    world_model_run.train(world_model_config(folder))
  assert before == {path: path.stat().st_mtime_ns for path in folder.rglob('*')}


@pytest.mark.parametrize(
  ('name', 'value', 'message'),
  [
    ('env', 3, 'env must be a text, got 3'),
    ('env', 'chess', 'chess'),
    ('held_out', 0, 'held_out must be an integer of at least 2, got 0'),
    ('held_out', 'x', "held_out must be an integer .* got 'x'"),
    ('held_out', 2.5, 'held_out must be an integer .* got 2.5'),
    ('held_out', None, "'held_out' is missing|held_out must be .* got None"),
    ('done_weight', float('nan'), 'done_weight must be a finite number'),
    ('done_weight', '10', 'done_weight must be a finite number'),
    ('units', True, 'units must be an integer'),
    ('units', -3, 'units must be an integer'),
    ('latent_size', [], 'latent_size must be an integer'),
    ('cell', 'abacus', "cell must be one of .*, got 'abacus'"),
    ('joint', 1, 'joint must be True or False, got 1'),
    ('vision', 5, 'vision must be a text, got 5'),
    ('seed', 'x', "seed must be an integer.* got 'x'"),
    ('rollouts', 5, 'rollouts|not iterable'),
    ('window', 0.5, 'window must be an integer'),
    ('model_rate', 'fast', "model_rate must be a number.* got 'fast'"),
  ],
)
def test_settings_that_were_edited_are_named(
  name, value, message, world_model, tmp_path
):
  for part in ('config.json', 'stages.json'):
    shutil.copy(world_model / part, tmp_path)
  file = tmp_path / 'config.json'
  whole = json.loads(file.read_text())
  whole['config'][name] = value
  file.write_text(json.dumps(whole))
  with pytest.raises(faults.UsageError) as caught:
    world_model_settings.read_config('world_model', tmp_path)
  assert re.search(message, str(caught.value)), caught.value
  assert '\n' not in str(caught.value)
  if value != 'chess':
    assert str(file) in str(caught.value) and 'put it back' in str(caught.value)


# The log of its training.


@pytest.mark.parametrize(
  'line',
  [
    b'{"stage": "vision", "step": 2, "loss"',
    b'{"stage": "vision", "step": "2", "loss": 1}',
    b'{"stage": 3, "step": 2}',
    b'{"step": 2}',
    b'[]',
    b'3',
    b'',
    b'\xff\xfe',
    b'{"stage": "vision", "step": 2, "loss": null}',
    b'[' * 9999,
    bytes(40),
  ],
)
def test_a_line_of_the_log_that_cannot_be_read_is_left_out(
  line, tmp_path, capsys
):
  log = metrics.MetricsLog(tmp_path, tmp_path / 'tensorboard')
  for step in (1, 2, 3):
    log.write('vision', step, loss=step)
  path = tmp_path / 'metrics.jsonl'
  lines = path.read_bytes().splitlines()
  path.write_bytes(b'\n'.join([lines[0], line, lines[2], b'']))
  assert [record['step'] for record in log.records('vision')] == [1, 3]
  assert [record['step'] for record in log.records()] == [1, 3]
  said = capsys.readouterr().err
  assert said == f'warning: {path}: 1 damaged lines are left out\n'
  log.rewind('vision', 2)
  log.write('vision', 3, loss=3)
  assert path.read_bytes().splitlines() == [lines[0], lines[2]]


# A controller.


@pytest.fixture(scope='module')
def evolve(world_model, tmp_path_factory):
  """Evolves in a folder, without a dream and a game; returns the evolution."""
  loaded = world_model_lib.WorldModel.load(world_model)
  config = config_flags.resolve(
    controller_settings.Config,
    [
      '--preset=smoke',
      f'--world_model={world_model}',
      '--popsize=4',
      '--generations=4',
      '--select_every=2',
      '--selection_episodes=2',
    ],
  )

  def step(settings, state, players):
    x = cma_es.ask(settings, state)
    scores = -tf.reduce_sum(x**2, -1)
    return cma_es.tell(settings, state, x, -scores), scores

  def play(players, seeds, parameters):
    return [float(seed % 7 + parameters.sum()) for seed in seeds]

  class Evolution(evolution_lib.Evolution):
    def _in_dream(self):
      return functools.partial(step, self._settings)

  def run(folder):
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(search, 'play_scores', play)
      log = metrics.MetricsLog(folder, folder / 'tensorboard')
      evolution = Evolution(loaded, config, folder, '1', None)
      if not evolution.is_whole:
        evolution.run(log)
      assert evolution.is_whole
    return evolution, log.records(evolution.stage)

  folder = tmp_path_factory.mktemp('evolution')
  run(folder)
  return run, folder


_EVOLUTION = (
  *('state.npz', 'state-before.npz', 'looks.json', 'mean-2.npy'),
  *('mean-4.npy', 'metrics.jsonl', 'player/agent.json'),
)
_PLAYER = cells(
  ['player/saved_model.pb', 'player/variables/variables.index'],
  ('lost', 'garbled'),
)


@pytest.mark.parametrize(('file', 'kind'), [*cells(_EVOLUTION), *_PLAYER])
def test_an_evolution_goes_the_same_way_again(file, kind, evolve, tmp_path):
  run, whole = evolve
  wanted, records = run(whole)
  folder = shutil.copytree(whole, tmp_path / 'evolution')
  damages.DAMAGES[kind](folder / file)
  found, again = run(folder)
  assert found.evaluations == wanted.evaluations
  assert list(found.evaluations) == [2, 4]
  assert_same(found.state._asdict(), wanted.state._asdict())
  for generation in (2, 4):
    np.testing.assert_array_equal(
      found.mean(generation), wanted.mean(generation)
    )
  assert search.is_player(found.player)
  if file != 'metrics.jsonl':
    assert again == records


def test_an_evolution_of_an_older_version_is_taken_up(evolve, tmp_path):
  run, whole = evolve
  folder = shutil.copytree(whole, tmp_path / 'evolution')
  (folder / 'state-before.npz').unlink()
  before = (folder / 'state.npz').read_bytes()
  found, _ = run(folder)
  assert found.generation == 4
  assert (folder / 'state.npz').read_bytes() == before


@pytest.mark.parametrize(
  'scores',
  [3, None, {}, 'x', [1], [1, 2, 3], [1, 'x'], [1, None], [1, float('nan')]],
)
def test_scores_that_are_none_are_played_again(scores, evolve, tmp_path):
  run, whole = evolve
  folder = shutil.copytree(whole, tmp_path / 'evolution')
  path = folder / 'looks.json'
  found = json.loads(path.read_text())
  path.write_text(json.dumps({**found, '2': scores, 'x': [1, 2]}))
  assert run(folder)[0].evaluations == run(whole)[0].evaluations
  assert files.read_json(path) == found


# A memory task.


def memory_config(folder):
  flags = '--task=copy --cell=lstm --preset=smoke --updates=2 --lstm_units=4 '
  flags += '--batch=2 --test_sequences=3 --jit=off --longest=2 --test_lengths=2'
  return config_flags.resolve(
    memory_settings.Config, [f'--run_dir={folder}', *flags.split()]
  )


@pytest.fixture(scope='module')
def memory_task(tmp_path_factory):
  """The folder of a run that was never damaged."""
  folder = tmp_path_factory.mktemp('whole') / 'memory'
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(memory_run.report, 'make', lambda training: None)
    patch.setattr(memory_run.run_lib.Run, 'publish', lambda *unused, **more: 0)
    memory_run.run(memory_config(folder))
    yield folder


@pytest.mark.parametrize(
  ('file', 'kind'),
  [
    *cells(['stages.json'], ('lost', 'cut')),
    *cells(['checkpoints/lstm-0/checkpoint'], ('empty', 'garbled')),
    *cells(['checkpoints/lstm-0/ckpt-2.index'], ('lost', 'flipped')),
    *cells(['export/lstm-0/saved_model.pb'], ('lost', 'garbled')),
    *cells(['export/lstm-0/variables/variables.index'], ('zeroed',)),
  ],
)
def test_a_memory_task_is_learnt_alike(file, kind, memory_task, tmp_path):
  folder = shutil.copytree(memory_task, tmp_path / 'run')
  damages.DAMAGES[kind](folder / file)
  memory_run.run(memory_config(folder))
  one, other = (
    json.loads((path / 'stages.json').read_text())
    for path in (folder, memory_task)
  )
  assert one == other
  where = 'checkpoints/lstm-0'
  assert_same(tensors(folder / where), tensors(memory_task / where))
  assert (folder / 'export/lstm-0/saved_model.pb').stat().st_size > 1000


# Games, scores and episodes.


class Opened:
  """As much of an open run as a comparison of predictions asks for."""

  def __init__(self, path, config):
    self.path, self.config = path, config


@pytest.fixture
def comparison(tmp_path):
  """One whose games are collected and whose baselines are scored."""
  config = config_flags.resolve(
    predictions_settings.Config, ['--preset=smoke', '--games=2', '--held_out=2']
  )
  found = predictions_run.Comparison(Opened(tmp_path, config))
  games = pommerman_games.Games(
    state=np.ones((6, 4), np.uint8),
    action=np.ones(6, np.uint8),
    is_first=np.arange(6) % 3 == 0,
    is_terminal=np.arange(6) % 3 == 2,
    game=np.repeat(np.arange(2, dtype=np.int32), 3),
    oracle=np.ones((6, 0), np.uint8),
  )
  for name in ('games', 'held_out'):
    pommerman_games.save(games, tmp_path / f'{name}-0.npz')
  for name in ('oracle', 'copy'):
    found._keep(name, 0, {1: {'wrong': np.ones((2, 2))}})
  assert found.is_collected(0) and found.are_scored(0, 'oracle', 'copy')
  return found


@pytest.mark.parametrize(
  ('file', 'kind'),
  cells(['games-0.npz', 'held_out-0.npz', 'scores/copy-0.json']),
)
def test_games_and_scores_that_are_damaged_are_missed(
  file, kind, comparison, capsys
):
  damages.DAMAGES[kind](comparison.run.path / file)
  if (file, kind) == ('scores/copy-0.json', 'flipped'):
    return  # Another number, perhaps.
  is_of_games = file.endswith('.npz')
  assert comparison.is_collected(0) != is_of_games
  assert comparison.are_scored(0, 'oracle', 'copy') == is_of_games
  assert capsys.readouterr().err.count('warning: ') == 1


@pytest.mark.parametrize(
  'text', ['{"1": 3}', '{"x": {}}', '{"7": {}}', '{"1": {"a": ["b", 1]}}', '[]']
)
def test_scores_that_are_no_scores_are_missed(text, comparison):
  (comparison.run.path / 'scores' / 'copy-0.json').write_text(text)
  assert not comparison.are_scored(0, 'oracle', 'copy')


def test_fewer_games_than_asked_for_are_missed(comparison):
  games = comparison.load('games', 0)
  few = games.select(games.game < 1)
  pommerman_games.save(few, comparison.run.path / 'games-0.npz')
  assert not comparison.is_collected(0)


@pytest.mark.parametrize(
  'line',
  [
    *('', '{', '[]', '3', '{"index": 2}', '[' * 9999),
    '{"index": 2, "seed": 7, "score": NaN, "terminated": true}',
    '{"index": 2, "seed": 7, "score": "1", "terminated": true}',
    '{"index": 3, "seed": 7, "score": 1, "terminated": true}',
    '{"index": 2, "seed": 7.5, "score": 1, "terminated": true}',
    '{"index": 2, "seed": 7, "score": 1, "terminated": 1}',
  ],
)
def test_episodes_after_a_damaged_line_are_played_again(line, tmp_path, capsys):
  path = tmp_path / 'episodes.jsonl'
  whole = [
    json.dumps({'index': i, 'seed': 7, 'score': 1.0, 'terminated': False})
    for i in range(5)
  ]
  path.write_text('\n'.join([*whole[:2], line, *whole[3:], '']))
  assert [episode['index'] for episode in score.read_episodes(path)] == [0, 1]
  assert path.read_text().splitlines() == whole[:2]
  assert 'damaged from episode 2 on' in capsys.readouterr().err
  path.write_text('\n'.join([*whole, '{"index": 5, "se']))  # A kill did this.
  assert len(score.read_episodes(path)) == 5
  assert capsys.readouterr().err == ''


def test_a_specification_is_not_written_for_others_episodes(
  world_model, tmp_path
):
  folder = shutil.copytree(world_model / 'rollouts', tmp_path / 'rollouts')
  spec = rollouts.read_spec(folder)
  (folder / 'spec.json').unlink()
  with pytest.raises(ValueError, match='episodes beside it are of another'):
    collect._mend_spec(folder, spec, seed=1)
  assert not (folder / 'spec.json').exists()
  collect._mend_spec(folder, spec, seed=0)
  assert rollouts.read_spec(folder) == spec
  (folder / 'spec.json').write_text('{"version": 2}')  # Of a later version.
  collect._mend_spec(folder, spec, seed=0)
  assert (folder / 'spec.json').read_text() == '{"version": 2}'
