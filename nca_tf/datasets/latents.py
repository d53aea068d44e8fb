"""Latents, the data of M: the posterior of every recorded frame.

As doomrnn's series files: mean and log variance per frame instead of frames,
and z is sampled anew at every use (World Models, appendix A.2).
"""

import pathlib
import typing
import zipfile

import numpy as np

from nca_tf import files
from nca_tf import random_numbers


class Latents(typing.NamedTuple):
  """Steps of whole episodes, one after the other; F steps in all."""

  mean: np.ndarray  # [F, Z] float16, or float32 of a game of vectors
  log_variance: np.ndarray  # like mean
  action: np.ndarray  # [F] int32, or [F, A] float32 when continuous
  reward: np.ndarray  # [F] float32
  is_first: np.ndarray  # [F] bool
  is_terminal: np.ndarray  # [F] bool
  episode: np.ndarray  # [F] int32, index of the episode

  @property
  def episodes(self):
    """List of slices, one per episode, in order."""
    starts = np.flatnonzero(self.is_first)
    ends = np.append(starts[1:], len(self.is_first))
    return [slice(start, end) for start, end in zip(starts, ends, strict=True)]


def save(latents, path):
  """Writes latents into one `.npz` file."""
  files.write_arrays(path, latents._asdict())


def load(folder, kind='part'):
  """Joins every `part-*.npz` (or another prefix, `kind`) of a folder, in order.

  Raises:
    ValueError: there is no part, or one is damaged.
  """
  paths = sorted(pathlib.Path(folder).glob(f'{kind}-*.npz'))
  if not paths:
    raise ValueError(f'no latents in {folder}')
  return concatenate([load_fields(each, Latents, 'latents') for each in paths])


def concatenate(parts):
  """Joins Latents along time."""
  return Latents(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def select(latents, episodes):
  """The episodes of these positions in `latents.episodes`, in that order."""
  steps = _steps(latents, episodes)
  return Latents(*(field[steps] for field in latents))


def _steps(latents, episodes):
  slices, steps = latents.episodes, np.arange(len(latents.is_first))
  return np.concatenate([steps[slices[i]] for i in episodes])


def load_fields(path: pathlib.Path, kind: type, content: str):
  """A NamedTuple of arrays from the `.npz` file that holds its fields.

  Raises:
    ValueError: the file is damaged, or a field of `kind` is missing; the
      message calls what the file should hold `content`.
  """
  try:
    with path.open('rb') as file, np.load(file, allow_pickle=False) as arrays:
      return kind(**{name: arrays[name] for name in kind._fields})
  except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as e:
    raise ValueError(f'damaged {content} in {path}: {e}') from e


class Streams:
  """Windows for M with the state carried from each to the next.

  As doomrnn: in each epoch the episodes are shuffled, joined and cut into
  `batch` streams of equal length, and each stream into consecutive windows of
  `window` transitions. Every batch is a function of (seed, step) alone.

    streams = Streams(latents, batch=16, window=64, seed=0)
    fresh, window = streams.window(step)  # fresh: a new epoch, reset the state
  """

  def __init__(self, latents, batch, window, seed, purpose='windows'):
    """Takes the latents.

    Args:
      latents: Latents of whole episodes.
      batch: number of streams, B.
      window: transitions per window, T.
      seed: of the shuffling.
      purpose: of the windows; another one shuffles otherwise.

    Raises:
      ValueError: fewer than batch * (window + 1) steps.
    """
    self._latents = latents
    self._batch = batch
    self._window = window
    self._seed = seed
    self._purpose = purpose
    self._order = None
    length = len(latents.is_first) // batch
    self.windows_per_epoch = (length - 1) // window
    if self.windows_per_epoch < 1:
      raise ValueError(
        f'batch {batch} of windows of {window} needs at least '
        f'{batch * (window + 1)} recorded steps, got {len(latents.is_first)}'
      )

  def window(self, step):
    """Steps [B, T + 1] of training step `step`.

    Returns:
      Whether an epoch begins, and Latents with leading axes [B, T + 1]. The
      last step of a window is also the first step of the next.
    """
    epoch, position = divmod(step, self.windows_per_epoch)
    start = position * self._window
    rows = self._streams(epoch)[:, start : start + self._window + 1]
    return position == 0, Latents(*(field[rows] for field in self._latents))

  def _streams(self, epoch):
    """Row indices [B, length] of one epoch."""
    if self._order is None or self._order[0] != epoch:
      rng = random_numbers.generator(self._seed, self._purpose, epoch)
      episodes = rng.permutation(int(self._latents.is_first.sum()))
      steps = _steps(self._latents, episodes)
      length = len(steps) // self._batch
      steps = steps[: length * self._batch].reshape(self._batch, length)
      self._order = (epoch, steps)
    return self._order[1]
