"""The recorded episodes of a world model: their frames and their latents."""

import functools
import itertools
import pathlib
import typing

import numpy as np

from nca_tf.command_line import faults
from nca_tf.datasets import frames as frames_lib
from nca_tf.datasets import latents as latents_lib
from nca_tf.datasets import rollouts
from nca_tf.runs import progress
from nca_tf.world_model import world_model

_VALIDATION = 10  # One episode in so many.


class Shard(typing.NamedTuple):
  """Whole episodes of one file."""

  path: pathlib.Path
  first: int  # Number of the folder's first episode.
  episodes: list[tuple[int, int]]  # Number and real frames of each.


class Recordings:
  """Episodes of several folders, numbered from the first folder on.

  recordings = Recordings([folder], spec, held_out=8)
  batch = recordings.batches(100, seed=0, mirror=False)(step)
  recordings.encode(codec, folder / 'latents', mirror=False)
  """

  def __init__(self, folders, spec, held_out: int):
    """Reads nothing yet; one episode in `held_out` is held out."""
    self._folders = [pathlib.Path(folder) for folder in folders]
    self._spec = spec
    self._held_out = held_out

  @functools.cached_property
  def shards(self) -> list[Shard]:
    """All files with their whole episodes; damage is reported here.

    Raises:
      faults.UsageError: There is no whole episode.
      faults.Fault: It is not said what they are.
    """
    shards, first = [], 0
    for folder in self._folders:
      try:
        spec = rollouts.read_spec(folder)
      except ValueError as error:
        raise faults.Fault(f'{error}; put it back as it was') from error
      last = first - 1
      for path in rollouts.shards(folder):
        episodes = [
          (first + episode.index, _real_frames(episode))
          for episode in rollouts.read_shard(path, spec, frames=False)
        ]
        last = max([last, *(number for number, _ in episodes)])
        shards.append(Shard(path, first, episodes))
      first = last + 1
    if not any(shard.episodes for shard in shards):
      folders = ', '.join(str(folder) for folder in self._folders)
      raise faults.UsageError(f'no whole episode in {folders}')
    return shards

  @property
  def frames(self) -> int:
    """Real frames of all whole episodes."""
    return sum(size for shard in self.shards for _, size in shard.episodes)

  @property
  def episodes(self) -> int:
    """Number of whole episodes."""
    return sum(len(shard.episodes) for shard in self.shards)

  def read_again(self) -> None:
    """Forgets what `shards` found: the files have changed."""
    self.__dict__.pop('shards', None)

  def held_out_frames(self, limit: int) -> dict[int, np.ndarray]:
    """Real frames of up to `limit` held-out episodes by number, in order.

    Raises:
      faults.UsageError: There is no held-out episode.
    """
    each = (self._read_frames(shard, held_out=True) for shard in self.shards)
    pairs = itertools.chain.from_iterable(each)
    found = dict(itertools.islice(pairs, limit))
    if not found:
      raise faults.UsageError(
        f'no held-out episode in {self._folders[0]}: it needs at least '
        f'{self._held_out} whole episodes'
      )
    return found

  def episode_frames(self, number: int) -> np.ndarray:
    """Real frames of one held-out episode.

    Raises:
      faults.Fault: It is lost.
    """
    holding = (each for each in self.shards if number in dict(each.episodes))
    shard = next(holding, None)
    if shard is None:
      folders = ', '.join(str(folder) for folder in self._folders)
      raise faults.Fault(
        f'episode {number} is lost in {folders}; put its file back'
      )
    return dict(self._read_frames(shard, held_out=True))[number]

  def batches(self, size: int, seed: int, mirror: bool):
    """Function of the training step to frames uint8 [size, H, W, C].

    Every second one is mirrored with `mirror`; `seed` is of their order.

    Raises:
      ValueError: There are fewer frames than that.
    """
    is_held_out = world_model.is_held_out
    counts = [
      sum(n for k, n in shard.episodes if not is_held_out(k, self._held_out))
      for shard in self.shards
    ]

    def load(index):
      parts = self._read_frames(self.shards[index], held_out=False)
      shape = 0, *self._spec.observation_shape
      empty = np.zeros(shape, self._spec.observation_dtype)
      return np.concatenate([empty, *(frames for _, frames in parts)])

    batch = frames_lib.FrameBatches(counts, load, size, seed).batch

    def mirrored(step):
      frames = batch(step)
      frames[1::2] = frames[1::2, :, ::-1].copy()
      return frames

    return mirrored if mirror else batch

  def moments(self) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation [N] of vectors, without those held out.

    Raises:
      faults.UsageError: There is no episode to learn from.
    """
    count, origin = 0, None
    for shard in self.shards:
      for _, vectors in self._read_frames(shard, held_out=False):
        if origin is None:  # Sums of differences from it lose no digits.
          origin = vectors[0].astype(np.float64)
          first, second = np.zeros((2, *origin.shape))
        moved = vectors - origin
        count += len(moved)
        first += moved.sum(0)
        second += np.square(moved).sum(0)
    if not count:
      raise faults.UsageError(
        f'no episode to learn from in {self._folders[0]}: all are held out'
      )
    variance = second / count - np.square(first / count)
    return origin + first / count, np.sqrt(np.maximum(variance, 0))

  def encode(self, codec, folder: pathlib.Path, mirror: bool) -> int:
    """Writes what V makes of every frame, one file per shard.

    Files that hold the episodes of their shard already are kept, others
    removed. With `mirror` the mirror images are encoded as well. Returns the
    number of frames recorded.
    """
    folder.mkdir(exist_ok=True)
    total = self.frames
    kinds = ('part', 'mirror')[: 1 + mirror]
    wanted = {
      f'{kind}-{index:05d}.npz'
      for kind in kinds
      for index, shard in enumerate(self.shards)
      if shard.episodes
    }
    for kind in kinds:
      for file in folder.glob(f'{kind}-*.npz'):
        if file.name not in wanted:
          file.unlink()
      label = 'encode mirrored' if kind == 'mirror' else 'encode'
      done = 0
      with progress.Progress(label, total, 'frames') as bar:
        for index, shard in enumerate(self.shards):
          file = folder / f'{kind}-{index:05d}.npz'
          if shard.episodes and not _holds(file, shard):
            encoded = self._encode(codec, shard, mirror=kind == 'mirror')
            latents_lib.save(encoded, file)
          done += sum(size for _, size in shard.episodes)
          bar.update(done)
    return total

  def _encode(self, codec, shard, mirror):
    spec = rollouts.read_spec(shard.path.parent)
    parts = []
    for episode in rollouts.read_shard(shard.path, spec, on_damage=_ignore):
      frames, action = episode.observation, episode.action
      if mirror:
        frames, action = frames[:, :, ::-1], self._mirror_action(action)
      mean, log_variance = codec.encode(frames)
      # V's own noise is far above the last digit of a half, a vector has none.
      kind = np.float16 if self._spec.has_frames else np.float32
      number = shard.first + episode.index
      parts.append(
        latents_lib.Latents(
          mean=mean.astype(kind),
          log_variance=log_variance.astype(kind),
          action=action,
          reward=episode.reward,
          is_first=episode.is_first,
          is_terminal=episode.is_terminal,
          episode=np.full(len(episode.reward), number, np.int32),
        )
      )
    return latents_lib.concatenate(parts)

  def _mirror_action(self, action):
    if self._spec.action_kind == 'continuous':
      return -action
    return np.asarray(self._spec.mirrored_actions, action.dtype)[action]

  def _read_frames(self, shard, held_out):
    """Yields number and real frames of one shard's episodes, of one kind."""
    spec = rollouts.read_spec(shard.path.parent)
    for episode in rollouts.read_shard(
      shard.path, spec, frames=False, on_damage=_ignore
    ):
      number = shard.first + episode.index
      if world_model.is_held_out(number, self._held_out) == held_out:
        whole = rollouts.decompress(episode, spec).observation
        yield number, whole[: _real_frames(episode)]


def keep_apart(
  latents: latents_lib.Latents, mirror: bool
) -> list[latents_lib.Latents]:
  """Episodes to learn from, and those to choose M by; none is in both.

  Args:
    latents: Whole episodes.
    mirror: Whether the mirror images of all of them come after them.

  Raises:
    faults.UsageError: There are fewer than ten.
  """
  count = len(latents.episodes)
  own = np.arange(count) % (count // 2 if mirror else count)
  is_kept = own % _VALIDATION == _VALIDATION - 1
  if not is_kept.any():
    raise faults.UsageError(
      f'--keep_best needs at least {_VALIDATION} episodes to learn from, got '
      f'{own.max() + 1}; raise --episodes'
    )
  sides = np.flatnonzero(~is_kept), np.flatnonzero(is_kept)
  return [latents_lib.select(latents, side) for side in sides]


def _holds(file, shard):
  """Tells whether a file has the latents of all episodes of a shard."""
  if not file.exists():
    return False
  try:
    part = latents_lib.load_part(file)
  except ValueError as error:
    faults.warn(f'{error}; encoded again')
    return False
  found = [
    (
      int(part.episode[steps.start]),
      steps.stop - steps.start - int(part.is_terminal[steps.stop - 1]),
    )
    for steps in part.episodes
  ]
  if found != shard.episodes:
    faults.warn(f'{file} is not of the episodes of {shard.path}; encoded again')
  return found == shard.episodes


def _ignore(line):
  """`shards` has reported the damage already."""


def _real_frames(episode):
  """Steps with a frame of their own: after death the last one repeats."""
  return len(episode.reward) - int(episode.is_terminal[-1])
