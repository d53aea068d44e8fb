"""Rollouts on disk: TFRecord shards with one episode per record.

A folder holds `spec.json` and shards named by their first episode:

    spec.json
    episodes-00000000.tfrecord
    episodes-00000064.tfrecord.partial     being written, or left by a crash

Each record is flushed, so a crash loses at most the episode being written. A
damaged record is skipped and reported; the others are read.
"""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator

from absl import logging

from nca_tf import files
from nca_tf.datasets import episodes
from nca_tf.datasets import record_file
from nca_tf.datasets.episodes import Episode
from nca_tf.datasets.episodes import Spec
from nca_tf.datasets.episodes import decompress
from nca_tf.datasets.episodes import make_episode

__all__ = [
  'Episode',
  'Spec',
  'Writer',
  'count',
  'decompress',
  'is_of_another_version',
  'make_episode',
  'read',
  'read_shard',
  'read_spec',
  'shard_name',
  'shards',
  'write_spec',
]

_VERSION = 1
_SPEC = 'spec.json'
_SHARD = 'episodes-{:08d}.tfrecord'


class Writer:
  """Appends episodes to a folder, in order, also after an interruption.

  A shard that an interrupted writer left is truncated after its last complete
  episode and kept; `next_index` is the index of the episode to append next.

  Example:
    >>> with Writer(folder, spec) as writer:
    ...   for index in range(writer.next_index, 100):
    ...     writer.append(make_episode(index, ...))
  """

  def __init__(
    self, folder: str | os.PathLike, spec: Spec, shard_size: int = 64
  ):
    """Opens or makes the folder.

    Args:
      folder: Of the shards.
      spec: Of the episodes.
      shard_size: Episodes per shard.

    Raises:
      ValueError: The folder holds something else, or `shard_size` is wrong.
      OSError: The folder cannot be written.
    """
    if shard_size < 1:
      raise ValueError(f'shard_size must be at least 1, got {shard_size}')
    self._folder = pathlib.Path(folder)
    self._spec = spec
    self._shard_size = shard_size
    self._shard = None
    self._partial = None
    self._count = 0
    self._folder.mkdir(parents=True, exist_ok=True)
    file = self._folder / _SPEC
    if file.exists():
      _check_spec(read_spec(self._folder), spec, file, source=True)
    elif shards(self._folder):
      raise ValueError(f'folder must hold {_SPEC} beside its shards: {folder}')
    else:
      write_spec(self._folder, spec)
    for path in shards(self._folder):
      if path.suffix == files.PARTIAL:
        _salvage(path)
    self.next_index = _next_index(self._folder)

  def append(self, episode: Episode):
    """Writes one episode and flushes it.

    Raises:
      ValueError: It is not the next one, or an array has the wrong dtype or
        size.
      tf.errors.OpError: The write failed; earlier episodes are intact.
    """
    if episode.index != self.next_index:
      raise ValueError(
        f'episode.index must be {self.next_index}, got {episode.index}'
      )
    record = episodes.encode(episodes.validate(episode, self._spec), self._spec)
    if self._shard is None:
      import tensorflow as tf  # Here, so that specs can be read without it.

      name = shard_name(episode.index)
      self._partial = self._folder / (name + files.PARTIAL)
      self._shard = tf.io.TFRecordWriter(str(self._partial))
    self._shard.write(record)
    self._shard.flush()
    self.next_index += 1
    self._count += 1
    if self._count == self._shard_size:
      self.close()

  def close(self):
    """Completes the current shard; `append` then starts another one."""
    shard, self._shard = self._shard, None
    if shard is None:
      return
    self._count = 0
    shard.close()
    os.replace(self._partial, self._partial.with_suffix(''))

  def __enter__(self) -> 'Writer':
    return self

  def __exit__(self, kind, *unused):
    if kind is None:
      self.close()
    # After an error the shard stays partial; the next writer completes it.


def read(
  folder: str | os.PathLike,
  *,
  expect: Spec | None = None,
  frames: bool = True,
  on_damage: Callable[[str], None] | None = None,
) -> Iterator[Episode]:
  """Reads all complete episodes, in order, also of a shard being written.

  Args:
    folder: Of the shards.
    expect: Refuses rollouts of another game, frame size or kind of action.
    frames: False leaves the frames compressed, which is much faster.
    on_damage: Called with a message per damaged place; the default logs it.

  Returns:
    An iterator of `Episode`.

  Raises:
    ValueError: There are no rollouts, or they are not as expected.
  """
  folder = pathlib.Path(folder)
  paths = shards(folder)
  if not paths:
    raise ValueError(f'folder must hold rollouts, got none in {folder}')
  spec = read_spec(folder)
  if expect is not None:
    _check_spec(spec, expect, folder / _SPEC)
  return _read(paths, spec, frames, on_damage or logging.warning)


def read_shard(
  path: str | os.PathLike,
  spec: Spec,
  *,
  frames: bool = True,
  on_damage: Callable[[str], None] | None = None,
) -> Iterator[Episode]:
  """Reads the complete episodes of one of `shards(folder)`; see `read`."""
  return _read([pathlib.Path(path)], spec, frames, on_damage or logging.warning)


def count(folder: str | os.PathLike) -> int:
  """Returns the number of complete records, without reading their data."""
  return sum(1 for path in shards(folder) for _ in record_file.scan(path))


def read_spec(folder: str | os.PathLike) -> Spec:
  """Reads a folder's `spec.json`; `ValueError` if there is none."""
  file = pathlib.Path(folder) / _SPEC
  try:
    values = files.read_json(file)
    if values.pop('version', None) != _VERSION:
      raise ValueError('another version')
    return Spec(**values)
  except FileNotFoundError:
    raise ValueError(f'folder must hold {_SPEC}, got {folder}') from None
  except (TypeError, ValueError) as error:
    raise ValueError(f'{file} must describe rollouts: {error}') from error


def is_of_another_version(folder: str | os.PathLike) -> bool:
  """Tells whether a folder's `spec.json` is whole, but not of this version."""
  try:
    version = files.read_json(pathlib.Path(folder) / _SPEC).get('version')
  except (OSError, ValueError):
    return False
  return isinstance(version, int) and version != _VERSION


def write_spec(folder: str | os.PathLike, spec: Spec) -> None:
  """Writes a folder's `spec.json`."""
  values = {'version': _VERSION, **dataclasses.asdict(spec)}
  files.write_json(pathlib.Path(folder) / _SPEC, values)


def shard_name(first: int) -> str:
  """Returns the name of the shard that begins with an episode."""
  return _SHARD.format(first)


def _read(paths, spec, frames, on_damage):
  next_index = 0
  for path in paths:
    for data in record_file.read(path, on_damage):
      try:
        episode = episodes.decode(data, spec, frames)
      except ValueError as error:
        on_damage(f'{path}: {error}; this episode is left out')
        continue
      if episode.index < next_index:
        on_damage(f'{path}: episode {episode.index} again; left out')
        continue
      next_index = episode.index + 1
      yield episode


def shards(folder: str | os.PathLike) -> list[pathlib.Path]:
  """Returns the files of a folder of rollouts, in order."""
  paths = pathlib.Path(folder).glob(_SHARD.replace('{:08d}', '*') + '*')
  return sorted(
    path for path in paths if path.suffix in ('.tfrecord', files.PARTIAL)
  )


def _salvage(path: pathlib.Path):
  """Truncates a shard that an interrupted writer left, and renames it."""
  end = max((record.end for record in record_file.scan(path)), default=0)
  if not end:
    path.unlink()
    return
  os.truncate(path, end)
  os.replace(path, path.with_suffix(''))


def _next_index(folder: pathlib.Path) -> int:
  """Returns the index after that of the last readable episode."""
  spec = read_spec(folder)
  for path in reversed(shards(folder)):
    whole = _read([path], spec, frames=False, on_damage=lambda line: None)
    last = collections.deque(whole, maxlen=1)
    if last:
      return last[0].index + 1
  return 0


def _check_spec(found: Spec, wanted: Spec, file, source: bool = False):
  for field in dataclasses.fields(Spec):
    if field.name == 'source' and not source:
      continue
    ours, theirs = getattr(wanted, field.name), getattr(found, field.name)
    if ours != theirs:
      raise ValueError(f'{file}: {field.name} must be {ours!r}, got {theirs!r}')
