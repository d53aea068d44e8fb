"""Finds the episodes that a folder of rollouts has lost, and puts them back."""

import os
import pathlib
import re
from collections.abc import Sequence

import tensorflow as tf

from nca_tf import files
from nca_tf.datasets import episodes as episodes_lib
from nca_tf.datasets import rollouts


def find_missing(
  folder: str | os.PathLike, spec: rollouts.Spec, shard_size: int
) -> dict[pathlib.Path, list[int]]:
  """Finds the episodes before the last one that cannot be read.

  A shard may be damaged or lost; what is missing at the end is no loss, as a
  `rollouts.Writer` goes on there.

  Args:
    folder: Of the rollouts.
    spec: Of the episodes.
    shard_size: Episodes per shard, as they were written.

  Returns:
    The missing indices by the shard, perhaps a lost one, that they belong to.
  """
  folder = pathlib.Path(folder)
  found, starts = set(), {0}
  for path in rollouts.shards(folder):
    number = re.match(r'episodes-(\d+)\.', path.name)
    if number:
      starts.add(int(number[1]))
    whole = rollouts.read_shard(
      path, spec, frames=False, on_damage=lambda line: None
    )
    found.update(episode.index for episode in whole)
  missing, starts = {}, sorted(starts)
  for start, stop in zip(starts, [*starts[1:], None], strict=True):
    stop = max(found, default=-1) + 1 if stop is None else stop
    for index in sorted(set(range(start, stop)) - found):
      first = index - (index - start) % shard_size
      missing.setdefault(folder / rollouts.shard_name(first), []).append(index)
  return missing


def put_back(
  path: pathlib.Path, spec: rollouts.Spec, lost: Sequence[rollouts.Episode]
) -> None:
  """Writes a shard anew: what can be read of it, and episodes that it lost."""
  whole = list(lost)
  if path.exists():
    whole += rollouts.read_shard(
      path, spec, frames=False, on_damage=lambda line: None
    )
  partial = path.with_name(path.name + files.PARTIAL)
  with tf.io.TFRecordWriter(str(partial)) as shard:
    for episode in sorted(whole, key=lambda episode: episode.index):
      shard.write(
        episodes_lib.encode(episodes_lib.validate(episode, spec), spec)
      )
  os.replace(partial, path)
