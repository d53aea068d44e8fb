"""bin/train_controller: the smoke run, what it leaves, kills and bad input."""

import contextlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

import event_files
import numpy as np
import processes
import pytest
import tensorflow as tf
import tiny_world_models

from nca_tf import environments
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments.workers import saved_agent
from nca_tf.experiments.controller import dream_check
from nca_tf.experiments.controller import run
from nca_tf.experiments.controller import search
from nca_tf.experiments.controller import settings
from nca_tf.experiments.games import evaluate
from nca_tf.runs import run as run_lib
from nca_tf.world_model import world_model as world_model_lib

BINARY = pathlib.Path(__file__).parent.parent / 'bin' / 'train_controller'
KILLS = int(os.environ.get('NCA_TF_KILLS', '2'))
MOMENTS = (
  'controller_1',
  'collect 2',
  'controller_2',
  'runoff',
  'model',
  'vision',
  'vizdoom, agent',
)


@pytest.fixture(scope='module')
def world_model(tmp_path_factory):
  return tiny_world_models.train(tmp_path_factory.mktemp('models') / 'lstm')


def arguments(world_model, folder):
  return [
    '--preset=smoke',
    f'--world_model={world_model}',
    f'--run_dir={folder}',
    '--threads=1',
    '--processes=1',
  ]


def resolve(world_model, folder, *more):
  return config_flags.resolve(
    settings.Config, [*arguments(world_model, folder), *more]
  )


@contextlib.contextmanager
def training_of(config):
  """The pipeline in its open run folder."""
  with run_lib.start(config, settings.NAME, '') as opened:
    yield run.ControllerTraining(opened)


def result(folder):
  """All that a run leaves and that a kill must not change."""
  stages = json.loads((folder / 'stages.json').read_text())
  stages['choose'].pop('finalists')
  agent = json.loads((folder / 'export/agent/agent.json').read_text())
  scores = (folder / 'episodes.jsonl').read_text()
  return (folder / 'metrics.jsonl').read_text(), stages, agent, scores


@pytest.fixture(scope='module')
def finished(world_model, tmp_path_factory):
  """A whole run of the binary, uninterrupted."""
  folder = tmp_path_factory.mktemp('runs') / 'whole'
  done = subprocess.run(
    [sys.executable, str(BINARY), *arguments(world_model, folder)],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  return folder, done.stdout


def test_run_leaves_what_it_promises(finished):
  folder, output = finished
  expected = (
    'config.json',
    'summary.md',
    'metrics.jsonl',
    'episodes.jsonl',
    'figures/scores.png',
    'export/agent/saved_model.pb',
    'iteration-1/evolution-1/state.npz',
    'iteration-2/evolution-2/looks.json',
    'iteration-2/rollouts/spec.json',
    'iteration-2/world_model/stages.json',
  )
  assert [name for name in expected if not (folder / name).exists()] == []
  assert 'in the dream' in output and 'metronome' in output
  assert f'bin/evaluate --agent={folder}' in output


def test_tensorboard_has_a_curve_per_evolution(finished):
  folder, _ = finished
  found = event_files.read_steps(folder / 'tensorboard')
  names = [f'lstm-0/evolution-{name}' for name in ('1', '1-2', '2', '2-2')]
  assert found.keys() == {'lstm-0', *names}
  for name in names:
    tags = found[name]
    steps = tags['controller/mean']
    assert steps == list(range(1, len(steps) + 1))
    assert tags['controller/generations_per_second'] == steps[1:]
    given = event_files.read_hyperparameters(folder / 'tensorboard' / name)
    assert given['cell'] == 'lstm' and given['popsize']


def test_evolutions_differ_and_all_their_evaluations_compete(finished):
  folder, output = finished
  first, second = (
    np.load(folder / f'iteration-2/evolution-{index}/mean-2.npy')
    for index in (1, 2)
  )
  assert np.abs(first - second).max() > 0.01
  looks = {
    (number, index, generation): float(np.mean(scores))
    for number in (1, 2)
    for index in (1, 2)
    for generation, scores in json.loads(
      (folder / f'iteration-{number}/evolution-{index}/looks.json').read_text()
    ).items()
  }
  assert len(looks) == 8
  chosen = json.loads((folder / 'stages.json').read_text())['choose']
  assert len(chosen['finalists']) == 2
  finalists = {
    (number, index, str(generation))
    for _, number, index, generation in chosen['finalists']
  }
  others = [score for look, score in looks.items() if look not in finalists]
  assert min(looks[look] for look in finalists) >= max(others)
  best = max(mean for mean, *_ in chosen['finalists'])
  assert chosen['mean'] == best
  assert f'evolution {chosen["evolution"]}' in output


def test_second_iteration_learns_from_old_and_new_episodes(finished):
  folder, _ = finished
  config = json.loads(
    (folder / 'iteration-2/world_model/config.json').read_text()
  )
  rollouts = config['config']['rollouts']
  assert len(rollouts) == 2
  assert rollouts[1] == str(folder / 'iteration-2' / 'rollouts')
  spec = json.loads((folder / 'iteration-2/rollouts/spec.json').read_text())
  assert spec['source']['policy'] == 'agent' or 'parameters' in spec['source']
  frames = [
    sum(len(np.load(part)['is_first']) for part in path.glob('part-*.npz'))
    for path in (
      pathlib.Path(config['config']['initial']) / 'latents',
      folder / 'iteration-2/world_model/latents',
    )
  ]
  assert frames[1] > frames[0]


def test_an_iteration_may_keep_v_and_its_latents(
  finished, world_model, tmp_path
):
  config = resolve(world_model, tmp_path, '--refit_vision_steps=0')
  with training_of(config) as training:
    for part in ('iteration-1', 'iteration-2/rollouts'):
      shutil.copytree(finished[0] / part, tmp_path / part)
    training.learn(2)
    learnt, first = training.world_model(2), training.world_model(1)
  tf.nest.map_structure(
    np.testing.assert_array_equal,
    [weight.numpy() for weight in learnt.vision.weights],
    [weight.numpy() for weight in first.vision.weights],
  )
  assert np.any(
    learnt.model.done_head.kernel.numpy()
    != first.model.done_head.kernel.numpy()
  )
  new = tmp_path / 'iteration-2/world_model/latents'
  kept = sorted((world_model / 'latents').glob('part-*.npz'))
  assert len(kept) < len(list(new.glob('part-*.npz')))
  for part in kept:
    assert (new / part.name).read_bytes() == part.read_bytes()


def test_agent_scores_what_the_summary_says(finished):
  """The final episodes again, by the agent that was exported."""
  folder, _ = finished
  info = saved_agent.read_info(folder)
  assert (info['env'], info['frame_skip']) == ('vizdoom', 4)
  lines = (folder / 'episodes.jsonl').read_text().splitlines()
  first = json.loads(lines[0])
  config = evaluate.Config(
    agent=str(folder), episodes=1, time_limit=120, processes=1
  )
  score = json.loads((folder / 'score.json').read_text())
  assert score['episodes'] == len(lines) == 3
  from nca_tf.environments import workers

  (played,) = workers.play(
    'vizdoom',
    str(folder / 'export' / 'agent'),
    [first['seed']],
    options=config.resolved.game_options,
  )
  assert played.score == first['score']


def test_seeds_of_selection_runoff_and_score_differ():
  seeds = [
    set(search.episode_seeds(3, purpose, 500))
    for purpose in ('selection', 'runoff', 'final', 'check stay', 'collect 2')
  ]
  assert sum(map(len, seeds)) == len(set().union(*seeds)) == 2500


def test_finished_run_is_not_run_again(finished, world_model, capsys):
  folder, _ = finished
  before = result(folder)
  run.run(resolve(world_model, folder))
  assert result(folder) == before
  assert 'generations' not in capsys.readouterr().err


@pytest.mark.parametrize('number', range(KILLS))
def test_the_same_command_finishes_a_killed_run(
  number, finished, world_model, tmp_path
):
  moment = MOMENTS[(2 * number) % len(MOMENTS)]
  delay = random.Random(number).uniform(0, 2.0)
  processes.kill_behind(
    [sys.executable, str(BINARY), *arguments(world_model, tmp_path)],
    moment,
    delay,
  )
  again = subprocess.run(
    [sys.executable, str(BINARY), *arguments(world_model, tmp_path)],
    check=False,
    capture_output=True,
    text=True,
  )
  assert again.returncode == 0, again.stderr[-2000:]
  assert result(tmp_path) == result(finished[0])


def test_controller_can_be_evolved_in_the_game(world_model, tmp_path):
  config = resolve(
    world_model,
    tmp_path,
    '--in=game',
    '--iterations=1',
    '--generations=1',
    '--popsize=4',
    '--dream_rollouts=1',
    '--check_episodes=0',
  )
  with training_of(config) as training:
    training.evolve(1)
    evolution = training.evolution(1)
  assert evolution.generation == 1
  assert -120 <= float(evolution.state.best_fitness) <= -20
  assert len(evolution.evaluations[1]) == 2


def learn_by_ppo(world_model, folder):
  flags = '--optimizer=ppo', '--iterations=1', '--check_episodes=0'
  run.run(resolve(world_model, folder, *flags))


def test_a_policy_gradient_goes_on_where_it_was_killed(
  world_model, tmp_path, monkeypatch
):
  learn_by_ppo(world_model, tmp_path / 'whole')
  keep = search.Search._keep_state

  def die(self):
    keep(self)
    if self.stage == 'controller_1-2' and self.generation == 1:
      raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(search.Search, '_keep_state', die)
    with pytest.raises(KeyboardInterrupt):
      learn_by_ppo(world_model, tmp_path / 'killed')
  learn_by_ppo(world_model, tmp_path / 'killed')
  assert result(tmp_path / 'killed') == result(tmp_path / 'whole')


def test_candidates_are_drawn_around_the_mean(world_model, tmp_path):
  config = resolve(world_model, tmp_path, '--iterations=1')
  with training_of(config) as training:
    evolution = training.evolution(1)
  mean = np.full(evolution.controller.size, 2.0)
  drawn = np.stack([evolution.draw(mean, seed) for seed in range(400)])
  np.testing.assert_allclose(drawn.mean(0), 2, atol=0.03)
  np.testing.assert_allclose(drawn.std(0), config.sigma, rtol=0.2)
  np.testing.assert_array_equal(evolution.draw(mean, 1), drawn[1])


def test_a_dream_in_which_standing_still_survives_is_refused(
  world_model, tmp_path, capsys
):
  def refuse(*flags):
    folder = tmp_path / flags[0]
    with training_of(resolve(world_model, folder, *flags)) as training:
      head = training.world_model(1).model.done_head
      head.bias.assign([-50.0])
      training.check(1)

  with pytest.raises(
    faults.UsageError, match='--world_model must have a better dream: standing'
  ):
    refuse('--noaccept_dream')
  assert (
    'warning: standing still survives 120 of 120' in capsys.readouterr().out
  )
  refuse('--accept_dream')
  assert 'warning: standing still' in capsys.readouterr().out


def test_dream_check_compares_each_policy_with_intervals():
  view = dream_check.compare({'stay': [4.0, 6.0]}, {'stay': [1.0, 3.0]}, 0)
  assert view.text().splitlines()[-1].split() == [
    *('stay', '5', '[4,', '6]'),
    *('2', '[1,', '3]'),
  ]
  spec = environments.get_spec('vizdoom', time_limit=10)
  assert dream_check.find_fault({'stay': [4.0]}, {'stay': [1.0]}, spec) is None
  assert dream_check.find_fault({'random': [9.0]}, {}, spec) is None


def test_untrained_model_differs_from_the_trained_one(world_model, tmp_path):
  config = resolve(world_model, tmp_path, '--untrained', '--iterations=1')
  with training_of(config) as training:
    untrained = training.world_model(1)
  trained = world_model_lib.WorldModel.load(world_model)
  assert np.any(
    untrained.model.done_head.kernel.numpy()
    != trained.model.done_head.kernel.numpy()
  )
  tf.nest.map_structure(
    np.testing.assert_array_equal,
    [weight.numpy() for weight in untrained.vision.weights],
    [weight.numpy() for weight in trained.vision.weights],
  )


def test_a_damaged_state_is_told_and_begins_anew(world_model, tmp_path, capsys):
  config = resolve(world_model, tmp_path, '--iterations=1')
  folder = tmp_path / 'iteration-1' / 'evolution-1'
  with training_of(config) as training:
    folder.mkdir(parents=True)
    (folder / 'state.npz').write_bytes(b'PK nothing')
    assert training.evolution(1).generation == 0
  line = capsys.readouterr().err
  assert 'state.npz is damaged (' in line and line.count('\n') == 1


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['--features=z,reads'], '--features must not have reads .* lstm'),
    (['--features=z,z'], '--features must differ, got z,z'),
    (['--features=q'], '--features must be'),
    (['--in=street'], "--in must be .*'street'"),
    (['--untrained'], '--iterations must be 1 with --untrained'),
    (['--popsize=3'], '--popsize must be'),
    (['--optimizer=ppo', '--in=game'], '--optimizer=ppo learns in the dream'),
    (['--world_model=/nowhere'], "--world_model must be .* got '/nowhere'"),
  ],
)
def test_wrong_flags_are_refused(world_model, tmp_path, flags, message):
  with pytest.raises(faults.UsageError, match=message):
    resolve(world_model, tmp_path, *flags)


def test_unfinished_world_model_is_refused(world_model, tmp_path):
  unfinished = shutil.copytree(world_model, tmp_path / 'model')
  stages = json.loads((unfinished / 'stages.json').read_text())
  del stages['model']
  (unfinished / 'stages.json').write_text(json.dumps(stages))
  with pytest.raises(faults.UsageError, match='finished run'):
    resolve(unfinished, tmp_path / 'run')
