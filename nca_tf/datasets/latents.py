"""Latents, the data of M: the posterior of every recorded frame.

As doomrnn's series files: mean and log variance per frame instead of frames,
and z is sampled anew at every use (World Models, appendix A.2).
"""

import pathlib
import typing

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
  return concatenate([load_part(path) for path in paths])


def load_part(path):
  """The latents of one file.

  Raises:
    ValueError: it is damaged.
  """
  part = load_fields(path, Latents)
  steps = part.is_first.shape
  is_right = (
    len(steps) == 1
    and steps[0] > 0
    and all(field.shape[:1] == steps for field in part)
    and part.mean.ndim == 2
    and part.mean.shape == part.log_variance.shape
    and part.action.ndim <= 2
    and part.reward.shape == part.is_terminal.shape == part.episode.shape
    and [field.dtype.kind for field in part[:2]] == ['f', 'f']
    and part.is_first.dtype == part.is_terminal.dtype == np.bool_
    and part.action.dtype.kind in 'fi'
    and (part.reward.dtype.kind, part.episode.dtype.kind) == ('f', 'i')
    and part.is_first[0]
    and all(np.isfinite(field).all() for field in part)
  )
  if not is_right:
    raise ValueError(f'{path} is damaged (its arrays are no latents)')
  return part


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


def load_fields(path: pathlib.Path, kind: type, limit: int | None = None):
  """A NamedTuple of arrays from the `.npz` file that holds its fields.

  Args:
    path: the file.
    kind: the NamedTuple.
    limit: bytes that they may have unpacked; as many as the file by default,
      which is right for a file that is not compressed.

  Raises:
    ValueError: the file is lost or damaged, or a field of `kind` is missing.
  """
  try:
    limit = path.stat().st_size if limit is None else limit
    return kind(**files.read_arrays(path, kind._fields, limit))
  except FileNotFoundError as error:
    raise ValueError(f'{path} is lost') from error


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
