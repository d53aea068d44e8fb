"""Shuffled batches of frames for V, in bounded memory."""

import functools

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
    self._load = load
    self._batch = batch
    self._seed = seed
    self._counts = tuple(counts)
    self._plan = functools.partial(
      _plan, self._counts, batch, max(pool, batch), seed
    )
    self._pool = (None, None)  # shards, frames
    self.batches_per_epoch = self._plan(0)[1][-1]

  def batch(self, step):
    """Frames uint8 [batch, H, W, C] of training step `step`."""
    epoch, (pools, before) = 0, self._plan(0)
    # Epochs may differ by a batch or two, as each pool drops an incomplete one.
    while step >= before[-1]:
      step -= before[-1]
      epoch += 1
      pools, before = self._plan(epoch)
    number = int(np.searchsorted(before, step, side='right')) - 1
    frames = self._frames(pools[number])
    order = _permutation(self._seed, epoch, number, len(frames))
    start = (step - before[number]) * self._batch
    return frames[order[start : start + self._batch]]

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


@functools.lru_cache
def _plan(counts, batch, limit, seed, epoch):
  """Shards of each pool of an epoch, and the batches before each pool."""
  random = random_numbers.generator(seed, 'pools of frames', epoch)
  pools, size = [[]], 0
  for shard in random.permutation(len(counts)):
    if pools[-1] and size + counts[shard] > limit:
      pools.append([])
      size = 0
    pools[-1].append(int(shard))
    size += counts[shard]
  batches = [sum(counts[shard] for shard in pool) // batch for pool in pools]
  before = np.concatenate([[0], np.cumsum(batches)])
  return [sorted(pool) for pool in pools], before


@functools.lru_cache(maxsize=1)
def _permutation(seed, epoch, pool, size):
  rng = random_numbers.generator(seed, f'frames of pool {pool}', epoch)
  return rng.permutation(size)
