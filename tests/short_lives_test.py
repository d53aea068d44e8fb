"""Games of a few steps go through every binary to the very end."""

import dataclasses
import json
import pathlib
import re
import runpy
import sys

import five_step_game
import numpy as np
import pytest

from nca_tf import environments
from nca_tf.command_line import config_flags
from nca_tf.datasets import rollouts
from nca_tf.environments.workers import saved_agent
from nca_tf.experiments.world_model import run as world_model_run
from nca_tf.experiments.world_model import settings
from nca_tf.runs import run as run_lib
from nca_tf.saved_models import screen

ROOT = pathlib.Path(environments.__file__).parents[2]
GAME = five_step_game.NAME


@pytest.fixture(scope='module', autouse=True)
def five_steps():
  """Registers the fake game."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(environments.GAMES, GAME, five_step_game.ENTRY)
    yield


def call(binary, *flags):
  """Runs a binary in this process, where the game is registered."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sys, 'argv', [binary, '--preset=smoke', *map(str, flags)])
    runpy.run_path(str(ROOT / 'bin' / binary), run_name='__main__')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A world model and a controller of the game."""
  folder = tmp_path_factory.mktemp('runs')
  call(
    'train_world_model',
    f'--env={GAME}',
    '--cell=lstm',
    f'--run_dir={folder / "model"}',
  )
  call(
    'train_controller',
    f'--world_model={folder / "model"}',
    '--iterations=1',
    '--evolutions=1',
    '--generations=1',
    '--runoff_episodes=0',
    f'--run_dir={folder / "controller"}',
  )
  return folder


def test_a_world_model_is_measured_drawn_and_exported(folder):
  run = folder / 'model'
  stages = json.loads((run / 'stages.json').read_text())
  assert list(stages)[-1] == 'figures'
  lives = [each.length for each in rollouts.read(run / 'rollouts')]
  assert 3 < np.mean(lives) < 8
  assert (run / 'figures' / 'horizon_errors.png').exists()
  assert 'M (lstm)' in (run / 'summary.md').read_text()
  assert (run / 'export' / 'model').is_dir()


@pytest.mark.parametrize('recorded', [0, 5, 13])
def test_short_episodes_are_made_up_for(recorded, tmp_path, monkeypatch):
  """Whatever a killed process has recorded already."""

  class Enough(Exception):
    pass

  def stop(self):
    raise Enough

  monkeypatch.setattr(world_model_run.Training, '_train_vision', stop)
  flags = ['--preset=smoke', f'--env={GAME}', f'--run_dir={tmp_path}']
  config = config_flags.resolve(settings.Config, [*flags, '--processes=1'])
  with run_lib.start(config, settings.NAME, '') as run:
    folder = run.path / 'rollouts'
    if recorded:
      how = {'processes': 1, 'options': config.game_options}
      what = GAME, config.policy, recorded, config.seed
      world_model_run.collect('before', folder, *what, **how)
    with pytest.raises(Enough):
      world_model_run.Training(run).train()
    assert run.info('collect') == {'episodes': 32}
  steps = [0, 0, 0]
  for episode in rollouts.read(folder):
    round_ = 0 if episode.index < 8 else 1 if episode.index < 16 else 2
    if episode.index % 4 != 3:  # Not held out.
      steps[round_] += episode.length
  wanted = 4 * 17  # Streams, and a window with its last target.
  assert steps[0] + steps[1] < wanted <= sum(steps)


def test_its_agent_is_scored_filmed_and_recorded(folder, tmp_path):
  agent = folder / 'controller'
  info = saved_agent.read_info(agent)
  assert (info['env'], info['parameters']) == (GAME, 8 + 16 + 1)
  film = tmp_path / 'agent.gif'
  call(
    'evaluate',
    f'--agent={agent}',
    f'--run_dir={tmp_path / "score"}',
    f'--record={film}',
  )
  assert film.stat().st_size > 1000
  lines = (tmp_path / 'score' / 'episodes.jsonl').read_text().splitlines()
  assert len(lines) == 6
  call(
    'record_rollouts',
    f'--env={GAME}',
    f'--policy={agent}',
    f'--run_dir={tmp_path / "seen"}',
  )
  spec = rollouts.read_spec(tmp_path / 'seen' / 'rollouts')
  assert spec.source['policy'] == f'agent-{info["digest"]}'


def test_scripted_policies_are_scored(tmp_path):
  call(
    'evaluate',
    f'--env={GAME}',
    '--policy=random_per_tic',
    f'--run_dir={tmp_path}',
  )
  assert json.loads((tmp_path / 'stages.json').read_text())['evaluate']['mean']


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (('--mirror',), '--mirror must be off for --env=five_steps'),
    (('--policy=stay',), "--policy must be one of random, .*, got 'stay'"),
    (('--action_kind=continuous',), '--action_kind must be discrete in five_'),
    (('--engine=package',), '--engine must be native in five_steps'),
  ],
)
def test_what_the_game_lacks_is_refused_in_one_line(flags, message, capsys):
  with pytest.raises(SystemExit):
    call('train_world_model', f'--env={GAME}', *flags)
  assert re.search(message, capsys.readouterr().err)


def test_frames_that_v_cannot_read_are_refused(monkeypatch, capsys):
  spec = dataclasses.replace(five_step_game.SPEC, observation_shape=(32, 32, 3))
  monkeypatch.setattr(five_step_game, 'SPEC', spec)
  with pytest.raises(SystemExit):
    call('train_world_model', f'--env={GAME}')
  assert '--env must be a game with frames of (64,' in capsys.readouterr().err


def test_a_screen_that_is_the_observation_is_not_changed():
  random = np.random.default_rng(0)
  frames = random.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
  seen = screen.observe(frames, five_step_game.SPEC)
  np.testing.assert_array_equal(seen, frames)


def record(folder, lives, deaths, still):
  """Writes rollouts of noise, or of one colour, with given lives."""
  random = np.random.default_rng(0)
  spec = rollouts.Spec(GAME, (64, 64, 3), 2, 'discrete')
  with rollouts.Writer(folder, spec, shard_size=40) as writer:
    for index, (life, death) in enumerate(zip(lives, deaths, strict=True)):
      shape = (life + 1, 64, 64, 3)
      frames = random.integers(0, 256, shape, dtype=np.uint8)
      writer.append(
        rollouts.make_episode(
          index,
          index,
          np.full(shape, 7, np.uint8) if still else frames,
          random.integers(2, size=life).astype(np.int32),
          np.ones(life, np.float32),
          terminated=bool(death),
        )
      )


@pytest.mark.parametrize(
  ('lives', 'deaths', 'held_out', 'still', 'cell'),
  [
    pytest.param([1] * 60, [1] * 60, 4, False, 'dnc', id='one step'),
    pytest.param([2] * 60, [1] * 60, 4, False, 'lstm', id='two steps'),
    pytest.param([3] * 60, [0] * 60, 4, False, 'lstm', id='no death'),
    pytest.param([5] * 29 + [2], [1] * 30, 30, False, 'lstm', id='one episode'),
    pytest.param([40] * 16, [1] * 16, 4, True, 'lstm', id='nothing moves'),
  ],
)
def test_every_life_reaches_the_figures(
  lives, deaths, held_out, still, cell, tmp_path
):
  record(tmp_path / 'rollouts', lives, deaths, still)
  call(
    'train_world_model',
    f'--env={GAME}',
    f'--cell={cell}',
    '--jit=off',
    f'--rollouts={tmp_path / "rollouts"}',
    f'--held_out={held_out}',
    f'--episodes={max(len(lives), held_out)}',
    '--vision_steps=2',
    '--model_steps=2',
    '--model_batch=2',
    '--window=8',
    f'--run_dir={tmp_path / "run"}',
  )
  stages = json.loads((tmp_path / 'run' / 'stages.json').read_text())
  assert list(stages)[-1] == 'figures'
  text = (tmp_path / 'run' / 'stages.json').read_text()
  assert 'NaN' not in text and 'Infinity' not in text
