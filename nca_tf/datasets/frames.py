"""Shuffled batches of frames for V, in bounded memory."""

import numpy as np

from nca_tf import random_numbers


class FrameBatches:
  """Batches of single frames out of shards of episodes.

  In each epoch the shards are shuffled and gathered into pools of at most about
  `pool` frames; frames are shuffled within a pool. Shards that all fit into one
  pool are read only once. Every batch is a function of (seed, step) alone.

    frames = FrameBatches(counts, load, batch=100, seed=0)
    frames.batch(step)  # uint8 [100, 64, 64, 3]
  """

  def __init__(self, counts, load, batch, seed, pool=150_000):
    """Plans the first epoch.

    Args:
      counts: number of frames of each shard.
      load: function of a shard's index that returns its frames, uint8.
      batch: frames per batch.
      seed: of the shuffling.
      pool: frames in memory, about 1.8 GB at the default.

    Raises:
      ValueError: fewer frames than one batch.
    """
    if sum(counts) < batch:
      raise ValueError(
        f'a batch of {batch} needs as many frames, got {sum(counts)}'
      )
    self._counts = counts
    self._load = load
    self._batch = batch
    self._seed = seed
    self._limit = max(pool, batch)
    self._plan = None  # (epoch, pools, batches before each pool)
    self._pool = (None, None)  # shards, frames
    self._order = (None, None)  # (epoch, pool), permutation
    self.batches_per_epoch = self._make_plan(0)[2][-1]

  def batch(self, step):
    """Frames uint8 [batch, H, W, C] of training step `step`."""
    epoch, position = self._epoch(step)
    _, pools, before = self._make_plan(epoch)
    number = int(np.searchsorted(before, position, side='right')) - 1
    frames = self._frames(pools[number])
    order = self._permutation(epoch, number, len(frames))
    start = (position - before[number]) * self._batch
    return frames[order[start : start + self._batch]]

  def _epoch(self, step):
    """Epoch, and batch within it, of a step.

    Epochs may differ by a batch or two, as each pool drops an incomplete batch.
    """
    epoch = 0
    while True:
      size = self._make_plan(epoch)[2][-1]
      if step < size:
        return epoch, step
      step -= size
      epoch += 1

  def _make_plan(self, epoch):
    if self._plan is None or self._plan[0] != epoch:
      random = random_numbers.generator(self._seed, 'pools of frames', epoch)
      pools, size = [[]], 0
      for shard in random.permutation(len(self._counts)):
        if pools[-1] and size + self._counts[shard] > self._limit:
          pools.append([])
          size = 0
        pools[-1].append(int(shard))
        size += self._counts[shard]
      batches = [
        sum(self._counts[shard] for shard in pool) // self._batch
        for pool in pools
      ]
      self._plan = (
        epoch,
        [sorted(pool) for pool in pools],
        np.concatenate([[0], np.cumsum(batches)]),
      )
    return self._plan

  def _frames(self, shards):
    if self._pool[0] != shards:
      self._pool = (None, None)  # Frees the last pool before reading the next.
      self._pool = (shards, self._read(shards))
    return self._pool[1]

  def _read(self, shards):
    """Fills one array shard by shard; concatenating needs twice the memory."""
    frames, end = None, 0
    for shard in shards:
      part = self._load(shard)
      if frames is None:
        total = sum(self._counts[number] for number in shards)
        frames = np.empty((total, *part.shape[1:]), part.dtype)
      frames[end : end + len(part)] = part
      end += len(part)
    return frames

  def _permutation(self, epoch, number, size):
    if self._order[0] != (epoch, number):
      random = random_numbers.generator(
        self._seed, f'frames of pool {number}', epoch
      )
      self._order = ((epoch, number), random.permutation(size))
    return self._order[1]
