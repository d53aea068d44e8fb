"""Shuffled frame batches: every frame once per epoch, bounded memory."""

import numpy as np
import pytest

from nca_tf.datasets import frames as frames_lib

COUNTS = [5, 9, 4, 12]


def _shard(number):
  """Frames of one shard; the first pixel tells which frame it is."""
  frames = np.zeros((COUNTS[number], 2, 2, 3), np.uint8)
  frames[:, 0, 0, 0] = sum(COUNTS[:number]) + np.arange(COUNTS[number])
  return frames


def _identities(batches, steps):
  return [batches.batch(step)[:, 0, 0, 0].tolist() for step in steps]


def test_one_pool_shows_every_frame_once_per_epoch():
  batches = frames_lib.FrameBatches(COUNTS, _shard, 6, seed=0)
  assert batches.batches_per_epoch == 5
  for epoch in range(2):
    seen = sum(_identities(batches, range(5 * epoch, 5 * epoch + 5)), [])
    assert sorted(seen) == list(range(30))


def test_small_pools_hold_few_frames_at_once():
  held = []

  def load(number):
    held.append(number)
    return _shard(number)

  batches = frames_lib.FrameBatches(COUNTS, load, 3, seed=0, pool=13)
  seen = sum(_identities(batches, range(batches.batches_per_epoch)), [])
  assert len(set(seen)) == len(seen)  # none twice
  assert sorted(held) == [0, 1, 2, 3]  # each shard read once


def test_batches_are_a_function_of_seed_and_step():
  one, two, other = (
    frames_lib.FrameBatches(COUNTS, _shard, 4, seed=seed, pool=15)
    for seed in (3, 3, 4)
  )
  order = [9, 2, 14, 0]
  walked = dict(zip(range(15), _identities(one, range(15)), strict=True))
  assert _identities(two, order) == [walked[step] for step in order]
  assert _identities(other, range(15)) != list(walked.values())


def test_one_pool_is_read_once():
  reads = []

  def load(number):
    reads.append(number)
    return _shard(number)

  batches = frames_lib.FrameBatches(COUNTS, load, 6, seed=0)
  _identities(batches, range(12))
  assert reads == [0, 1, 2, 3]


def test_fewer_frames_than_a_batch_is_said():
  with pytest.raises(ValueError, match='a batch of 31 .* got 30'):
    frames_lib.FrameBatches(COUNTS, _shard, 31, seed=0)
