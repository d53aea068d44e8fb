"""The stage of train_world_model that fits the done head to M's futures."""

import json
import shutil

import numpy as np
import pytest

from nca_tf.command_line import config_flags
from nca_tf.datasets import rollouts
from nca_tf.experiments.world_model import run
from nca_tf.experiments.world_model import settings
from nca_tf.training import done_head
from nca_tf.world_model import world_model as world_model_lib

SMALL = ('--preset=smoke', '--vision_steps=2', '--model_steps=4')


@pytest.fixture(scope='module')
def recorded(tmp_path_factory):
  """Made-up rollouts of 12 episodes that end by death."""
  folder = tmp_path_factory.mktemp('recorded')
  random = np.random.default_rng(0)
  spec = rollouts.Spec('vizdoom', (64, 64, 3), 3, 'discrete')
  with rollouts.Writer(folder, spec, shard_size=4) as writer:
    for index in range(12):
      steps = int(random.integers(20, 45))
      writer.append(
        rollouts.make_episode(
          index,
          index,
          random.integers(0, 256, (steps + 1, 64, 64, 3), dtype=np.uint8),
          random.integers(3, size=steps).astype(np.int32),
          np.ones(steps, np.float32),
          terminated=True,
        )
      )
  return folder


@pytest.fixture(scope='module')
def trained(recorded, tmp_path_factory):
  """A run whose V, M and done head are fitted, without measures."""
  folder = tmp_path_factory.mktemp('runs') / 'lstm'
  train(recorded, folder)
  return folder


def train(recorded, folder, *arguments):
  config = config_flags.resolve(
    settings.Config,
    [
      *SMALL,
      '--cell=lstm',
      f'--rollouts={recorded}',
      f'--run_dir={folder}',
      *arguments,
    ],
  )
  return run.train(config)


def weights(folder):
  """Weights of M: those of its done head, and the others."""
  model = world_model_lib.WorldModel.load(folder).model
  head = model.done_head.weights
  others = [v for v in model.weights if all(v is not own for own in head)]
  return [v.numpy() for v in head], [v.numpy() for v in others]


def assert_equal(one, other):
  for a, b in zip(one, other, strict=True):
    np.testing.assert_array_equal(a, b)


def stages(folder):
  return json.loads((folder / 'stages.json').read_text())


def test_only_the_done_head_changes(trained, tmp_path):
  assert stages(trained)['done_head']['deaths'] > 0
  before = tmp_path / 'before'
  shutil.copytree(trained, before)
  found = stages(before)
  del found['done_head']  # As a folder of an older version.
  (before / 'stages.json').write_text(json.dumps(found))
  (head, others), (old_head, old_others) = map(weights, (trained, before))
  assert_equal(others, old_others)
  assert all((a != b).any() for a, b in zip(head, old_head, strict=True))


def test_killed_before_its_end_it_is_fitted_again(
  recorded, trained, tmp_path, monkeypatch
):
  folder = tmp_path / 'killed'

  def die(*arguments):
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(done_head, 'fit', die)
    with pytest.raises(KeyboardInterrupt):
      train(recorded, folder)
  assert 'done_head' not in stages(folder)
  train(recorded, folder)
  for one, other in zip(weights(folder), weights(trained), strict=True):
    assert_equal(one, other)


def test_a_lost_checkpoint_is_made_again(recorded, trained):
  before = weights(trained)
  shutil.rmtree(trained / 'checkpoints' / 'done_head')
  train(recorded, trained)
  for one, other in zip(weights(trained), before, strict=True):
    assert_equal(one, other)


def test_it_can_be_left_out(recorded, trained, tmp_path):
  folder = tmp_path / 'plain'
  train(recorded, folder, '--done_open_loop=false')
  assert 'done_head' not in stages(folder)
  (head, others), (old_head, old_others) = map(weights, (trained, folder))
  assert_equal(others, old_others)
  assert (head[0] != old_head[0]).any()
