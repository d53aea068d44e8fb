"""M as it was at its least validation loss, also after a kill."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny_world_models

from nca_tf.command_line import faults
from nca_tf.datasets import latents as latents_lib
from nca_tf.experiments.world_model import data
from nca_tf.training import best_weights
from nca_tf.training import model as model_training

BEST = 12  # Update after which the made-up validation loss is least.


def episodes(lengths):
  """Latents of episodes; an action is the number of its episode."""
  steps = sum(lengths)
  first = np.zeros(steps, bool)
  first[np.cumsum([0, *lengths[:-1]])] = True
  number = np.cumsum(first) - 1
  z = np.zeros((steps, 2), np.float16)
  flags = np.zeros(steps, bool)
  values = {
    'mean': z,
    'log_variance': z,
    'action': number.astype(np.int32),
    'reward': np.zeros(steps, np.float32),
    'is_first': first,
    'is_terminal': flags,
    'episode': number.astype(np.int32),
  }
  assert {*values} == {*latents_lib.Latents._fields}
  return latents_lib.Latents(**values)


def test_no_episode_is_on_both_sides():
  lengths = np.random.default_rng(0).integers(2, 9, 23)
  learnt, kept = data.keep_apart(episodes(lengths), mirror=False)
  assert sorted({*kept.action}) == [9, 19]
  assert sorted({*learnt.action}) == [i for i in range(23) if i not in (9, 19)]
  assert len(learnt.action) + len(kept.action) == lengths.sum()


def test_a_mirror_image_is_on_the_side_of_its_episode():
  lengths = np.random.default_rng(1).integers(2, 9, 23)
  both = episodes([*lengths, *lengths])
  learnt, kept = data.keep_apart(both, mirror=True)
  assert sorted({*kept.action}) == [9, 19, 23 + 9, 23 + 19]
  assert not {*kept.action} & {*learnt.action}


def test_too_few_episodes_are_one_line():
  with pytest.raises(faults.UsageError, match='at least 10 .*, got 9; raise'):
    data.keep_apart(episodes([3] * 9), mirror=False)


def test_the_first_of_the_least_losses_counts():
  layer = keras.layers.Dense(1)
  layer.build((None, 2))
  best = best_weights.BestWeights(layer)
  best.restore()  # Nothing was evaluated: it stays as it is.
  kept = None
  for number, loss in enumerate([3.0, 1.0, 2.0, 1.0]):
    layer.kernel.assign(tf.fill([2, 1], float(number)))
    best.keep(loss)
    kept = kept or (number if loss == 1.0 else None)
  best.restore()
  np.testing.assert_array_equal(layer.kernel, np.full([2, 1], kept))


@pytest.fixture
def recorded(tmp_path):
  return tiny_world_models.record(tmp_path / 'run-rollouts', episodes=16)


def train(folder, recorded, monkeypatch, killed_at=None):
  """Trains M with a made-up loss; returns its weights by update."""
  seen = {}

  def evaluate(trainer, streams, windows=8):
    del windows
    done = int(trainer.optimizer.iterations)
    if done == killed_at:
      raise KeyboardInterrupt
    seen[done] = [each.numpy() for each in trainer._model.weights]
    count = len(streams.window(0)[1].is_first)
    assert count  # Windows of episodes that there are.
    return {'loss': abs(done - BEST) + 1.0}

  monkeypatch.setattr(model_training.ModelTrainer, 'evaluate', evaluate)
  flags = '--keep_best', '--model_steps=20', '--nodone_open_loop'
  source = f'--rollouts={recorded}'
  tiny_world_models.train(folder, 'lstm', source, *flags)
  return seen


def weights(folder):
  path = tf.train.latest_checkpoint(str(folder / 'checkpoints' / 'model'))
  reader = tf.train.load_checkpoint(path)
  # A variable of M may be stored under a name of the optimiser's.
  names = [
    name
    for name in reader.get_variable_to_shape_map()
    if 'GRAPH' not in name and not name.startswith('best/')
  ]
  return {name: reader.get_tensor(name) for name in names}


def test_m_is_that_of_the_least_loss_also_after_a_kill(
  recorded, tmp_path, monkeypatch
):
  seen = train(tmp_path / 'whole', recorded, monkeypatch)
  assert max(seen) == 20
  whole = weights(tmp_path / 'whole')
  left = [part for part in whole.values() if part.dtype == np.float32]
  for wanted, last in zip(seen[BEST], seen[20], strict=True):
    assert (wanted != last).any()
    assert any(np.array_equal(wanted, part) for part in left)
    assert not any(np.array_equal(last, part) for part in left)
  path = tmp_path / 'whole' / 'metrics.jsonl'
  records = [json.loads(line) for line in path.read_text().splitlines()]
  losses = [
    record['held_out_validation_loss']
    for record in records
    if 'held_out_validation_loss' in record
  ]
  assert min(losses) == 1.0

  killed = tmp_path / 'killed'
  with pytest.raises(KeyboardInterrupt):
    train(killed, recorded, monkeypatch, killed_at=16)
  train(killed, recorded, monkeypatch)
  again = weights(killed)
  assert again.keys() == whole.keys()
  for name, part in whole.items():
    np.testing.assert_array_equal(again[name], part, err_msg=name)
