"""bin/train_world_model: the smoke run, what it leaves, and bad input."""

import json
import os
import shutil

import event_files
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.datasets import rollouts
from nca_tf.experiments.world_model import data
from nca_tf.experiments.world_model import run
from nca_tf.experiments.world_model import settings
from nca_tf.memory import cells
from nca_tf.training import vision as vision_training
from nca_tf.world_model import world_model as world_model_lib

SMALL = ('--preset=smoke', '--vision_steps=6', '--model_steps=6')


def resolve(*arguments):
  return config_flags.resolve(settings.Config, [*SMALL, *arguments])


@pytest.fixture(scope='module', params=cells.names())
def finished(request, tmp_path_factory):
  """A finished run of either cell; the second takes the first's rollouts."""
  folder = tmp_path_factory.mktemp('runs') / request.param
  config = resolve(f'--cell={request.param}', f'--run_dir={folder}')
  run.run(config)
  return config, folder


@pytest.fixture(scope='module')
def recorded(tmp_path_factory):
  """Made-up rollouts of 8 episodes, without the game."""
  folder = tmp_path_factory.mktemp('recorded')
  random = np.random.default_rng(0)
  spec = rollouts.Spec('vizdoom', (64, 64, 3), 3, 'discrete')
  with rollouts.Writer(folder, spec, shard_size=3) as writer:
    for index in range(8):
      writer.append(
        rollouts.make_episode(
          index,
          index,
          random.integers(0, 256, (41, 64, 64, 3), dtype=np.uint8),
          random.integers(3, size=40).astype(np.int32),
          np.ones(40, np.float32),
          terminated=True,
        )
      )
  return folder


def test_run_leaves_what_it_promises(finished):
  config, folder = finished
  expected = [
    'config.json',
    'summary.md',
    'metrics.jsonl',
    'checkpoints/vision/checkpoint',
    'checkpoints/model/checkpoint',
    'export/vision/saved_model.pb',
    'export/model/saved_model.pb',
    'figures/reconstructions.png',
    'figures/horizon_errors.png',
    'figures/mixture.png',
    'figures/learning_curves_model.png',
    'figures/dream.gif',
  ]
  if cells.get(config.cell).has_memory:
    expected += ['figures/memory_trace.png', 'figures/memory_matrices.png']
  assert [name for name in expected if not (folder / name).exists()] == []
  assert not list(folder.rglob('*.partial'))


def test_summary_names_the_predictors(finished):
  config, folder = finished
  stages = json.loads((folder / 'stages.json').read_text())
  assert list(stages['measure']) == [
    f'M ({config.cell})',
    f'untrained M ({config.cell})',
    'copy last frame',
    'constant velocity',
  ]
  text = (folder / 'summary.md').read_text()
  assert all(name in text for name in stages['measure'])


def test_dream_is_an_animation(finished):
  with Image.open(finished[1] / 'figures' / 'dream.gif') as gif:
    assert gif.n_frames > 20


def test_tensorboard_has_scalars_pictures_and_the_dream(finished):
  config, folder = finished
  ((curve, tags),) = event_files.read_steps(folder / 'tensorboard').items()
  assert curve == f'{config.cell}-{config.seed}'
  assert all(len(set(steps)) == len(steps) for steps in tags.values())
  assert event_files.size_of(folder) < 5e6
  wanted = {
    'vision/steps_per_second',
    'model/steps_per_second',
    event_files.HYPERPARAMETERS,
    'vision/reconstruction',
    'vision/held_out_reconstruction',
    'model/nll',
    'model/held_out_nll',
    'figures/reconstructions',
    'figures/dream',
    'mixture/latents',
    'summary',
  }
  if cells.get(config.cell).has_memory:
    wanted |= {'figures/memory_trace', 'memory/usage'}
  assert wanted <= tags.keys()


def test_saved_models_name_their_signatures(finished):
  folder = finished[1] / 'export'
  vision = tf.saved_model.load(folder / 'vision')
  model = tf.saved_model.load(folder / 'model')
  assert set(vision.signatures) == {'encode', 'decode'}
  assert set(model.signatures) == {
    'initial_state',
    'predict',
    'step',
    'dream',
  }


def test_finished_run_is_not_run_again(finished, monkeypatch):
  config, folder = finished

  def never(*args, **options):
    raise AssertionError('trained again')

  monkeypatch.setattr(run.loop, 'fit', never)
  before = (folder / 'metrics.jsonl').read_bytes()
  run.run(config)
  assert (folder / 'metrics.jsonl').read_bytes() == before


def test_folder_of_another_configuration_is_refused(finished):
  config, folder = finished
  other = resolve(
    f'--cell={config.cell}', f'--run_dir={folder}', '--latent_size=9'
  )
  with pytest.raises(
    faults.UsageError, match='latent_size: folder has 8, command has 9'
  ):
    run.run(other)


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--env=chess', '--env must be .*vizdoom.* got .chess.'),
    ('--cell=gru', '--cell must be one of dnc, lstm, got .gru.'),
    ('--preset=huge', '--preset must be one of smoke, laptop, paper'),
    ('--held_out=9', '--held_out must be at most --episodes, got 9 of 8'),
    ('--read_heads=9', '--read_heads must be at most --memory_slots'),
    ('--policy=clever', '--policy must be one of random, .* got .clever.'),
    ('--rollouts=/nowhere', '--rollouts: .*spec.json'),
    ('--vision_steps=0', '--vision_steps must be .* at least 1, got .0.'),
    ('--latent=words', '--latent must be one of mixture, categorical, got'),
    ('--view=half', '--view must be one of whole, band, got .half.'),
    ('--view=band', r'--vision must be columns for frames of \(32, 128, 3\)'),
    ('--vision=columns', '--vision must be reference or light for frames of'),
  ],
)
def test_wrong_flag_is_one_line(flag, message, tmp_path):
  folder = tmp_path / 'run'
  with pytest.raises(faults.UsageError, match=message) as caught:
    resolve(flag, f'--run_dir={folder}')
  assert '\n' not in str(caught.value)
  assert not folder.exists()


def test_vision_of_another_run_must_be_of_the_same_data(finished, recorded):
  _, folder = finished
  same = (f'--initial_vision={folder}', f'--rollouts={folder}/rollouts')
  assert resolve(*same).initial_vision == str(folder)
  longer = (same[0], f'{same[1]},{recorded}')
  assert resolve(*longer).initial_vision == str(folder)
  for flags, message in (
    (same[:1], f'--rollouts must begin with {folder}/rollouts, .* got none'),
    (
      (same[0], f'--rollouts={recorded}'),
      f'--rollouts must begin with {folder}',
    ),
    ((*same, '--latent_size=9'), '--latent_size must be 8, .* got 9'),
    ((*same, '--held_out=2'), '--held_out must be 4, .* got 2'),
    (('--initial_vision=/nowhere',), "finished run .* got '/nowhere'"),
  ):
    with pytest.raises(faults.UsageError, match=message):
      resolve(*flags)


def test_rollouts_of_another_game_are_refused(recorded, tmp_path):
  shutil.copytree(recorded, tmp_path / 'other')
  file = tmp_path / 'other' / 'spec.json'
  file.write_text(file.read_text().replace('vizdoom', 'chess'))
  with pytest.raises(
    faults.UsageError, match='--rollouts must be of --env=vizdoom.*chess'
  ):
    resolve(f'--rollouts={tmp_path / "other"}')


def test_rollouts_with_another_kind_of_action_are_refused(recorded):
  with pytest.raises(
    faults.UsageError, match='--action_kind=continuous, .* discrete actions'
  ):
    resolve(f'--rollouts={recorded}', '--action_kind=continuous')


def test_rollouts_of_another_frame_skip_are_refused(recorded):
  with pytest.raises(faults.UsageError, match='--frame_skip=4, got .* with 1'):
    resolve(f'--rollouts={recorded}', '--frame_skip=4')


def test_rollouts_without_an_episode_are_refused(recorded, tmp_path):
  folder = tmp_path / 'empty'
  folder.mkdir()
  shutil.copy(recorded / 'spec.json', folder)
  with pytest.raises(faults.UsageError, match='whole episodes, got none'):
    resolve(f'--rollouts={folder}')


def test_truncated_rollouts_lose_the_cut_episode_alone(
  recorded, tmp_path, caplog
):
  folder = tmp_path / 'cut'
  shutil.copytree(recorded, folder)
  last = sorted(folder.glob('episodes-*'))[0]
  os.truncate(last, last.stat().st_size - 1000)
  spec = resolve(f'--rollouts={folder}').game_spec
  shards = data.Recordings([folder], spec, held_out=4).shards
  found = [number for shard in shards for number, _ in shard.episodes]
  assert found == [0, 1, 3, 4, 5, 6, 7]
  assert 'episodes-00000000' in caplog.text


def test_mirrored_episodes_are_learnt_as_well(recorded, tmp_path):
  config = resolve(
    f'--rollouts={recorded}', f'--run_dir={tmp_path}', '--mirror'
  )
  run.train(config)
  spec = rollouts.read_spec(recorded)
  episode = next(rollouts.read_shard(rollouts.shards(recorded)[0], spec))
  latents, held_out = world_model_lib.read_latents(
    tmp_path, config.held_out, mirror=True
  )
  parts = latents.episodes
  assert len(parts) == 2 * (8 - len(held_out.episodes))
  ours, mirrored = parts[0], parts[len(parts) // 2]
  np.testing.assert_array_equal(latents.action[ours], episode.action)
  np.testing.assert_array_equal(latents.action[mirrored], 2 - episode.action)
  codec = world_model_lib.WorldModel.load(tmp_path).codec
  flipped, _ = codec.encode(episode.observation[:, :, ::-1])
  np.testing.assert_allclose(latents.mean[mirrored], flipped, atol=2e-3)
  assert np.abs(latents.mean[mirrored] - latents.mean[ours]).max() > 0.01
  assert latents.episode[mirrored][0] == latents.episode[ours][0]


@pytest.mark.parametrize(
  ('cell', 'posterior'), (('lstm', 'frame'), ('dnc', 'memory'))
)
def test_an_m_over_codes_leaves_the_same(cell, posterior, recorded, tmp_path):
  flags = f'--cell={cell}', '--latent=categorical', f'--rollouts={recorded}'
  sizes = '--categoricals=5', '--classes=3', f'--posterior={posterior}'
  run.run(resolve(*flags, *sizes, f'--run_dir={tmp_path}'))
  assert (tmp_path / 'figures' / 'codes.png').is_file()
  assert not (tmp_path / 'figures' / 'mixture.png').exists()
  exported = tf.saved_model.load(tmp_path / 'export' / 'model')
  predicted = exported.signatures['predict'].structured_outputs
  assert predicted['logits'].shape.as_list() == [None, 5, 3]
  loaded = world_model_lib.WorldModel.load(tmp_path)
  assert loaded.architecture.latent == 'categorical'
  assert loaded.model.remembers == (posterior == 'memory')
  initial = f'--initial={tmp_path}'
  with pytest.raises(faults.UsageError, match='--latent must be categorical'):
    resolve(f'--cell={cell}', initial)
  with pytest.raises(faults.UsageError, match='--classes must be 3, that of'):
    resolve(*flags, '--categoricals=5', initial)
  with pytest.raises(faults.UsageError, match='--posterior must be'):
    other = {'frame': 'memory', 'memory': 'frame'}[posterior]
    resolve(*flags, *sizes[:2], f'--posterior={other}', initial)


def test_too_few_frames_for_a_batch_name_the_flag(recorded, tmp_path):
  config = resolve(
    f'--rollouts={recorded}', f'--run_dir={tmp_path}', '--vision_batch=500'
  )
  with pytest.raises(faults.UsageError, match='--vision_batch: a batch of 500'):
    run.run(config)


def test_too_long_windows_name_the_flags(recorded, tmp_path):
  config = resolve(
    '--cell=lstm',
    f'--rollouts={recorded}',
    f'--run_dir={tmp_path}',
    '--window=300',
  )
  with pytest.raises(faults.UsageError, match='--model_batch, --window: '):
    run.run(config)


def test_nan_stops_with_stage_and_step(recorded, tmp_path, monkeypatch):
  step = vision_training.VisionTrainer.step

  def poisoned(self, index):
    scalars = step(self, index)
    return scalars | {'total': float('nan')} if index == 4 else scalars

  monkeypatch.setattr(vision_training.VisionTrainer, 'step', poisoned)
  config = resolve(f'--rollouts={recorded}', f'--run_dir={tmp_path / "r"}')
  with pytest.raises(faults.Fault, match='vision: total is nan at step 4'):
    run.run(config)


def test_full_disk_in_training_is_one_line(
  recorded, tmp_path, monkeypatch, capsys
):
  def full(self, step):
    raise OSError(28, 'No space left on device', 'checkpoint')

  monkeypatch.setattr(run.checkpoints.Checkpoints, 'save', full)
  with pytest.raises(SystemExit) as ended:
    config_flags.main(
      '',
      settings.Config,
      run.run,
      [
        'train_world_model',
        *SMALL,
        f'--rollouts={recorded}',
        f'--run_dir={tmp_path / "r"}',
      ],
    )
  assert ended.value.code == 1
  assert (
    'train_world_model: No space left on device: checkpoint'
    in capsys.readouterr().err
  )
