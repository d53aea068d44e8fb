"""Which spaces of Gymnasium agents can play in; TensorFlow is not imported."""

import gymnasium
import numpy as np


def check_actions(space: gymnasium.Space) -> None:
  """Raises ValueError for actions that no kind of `actions` is for."""
  spaces = gymnasium.spaces
  if not (
    (isinstance(space, spaces.Discrete) and space.start == 0)
    or (isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1)
    or (
      isinstance(space, spaces.Box)
      and space.is_bounded()
      and len(space.shape) == 1
    )
  ):
    raise ValueError(
      'actions must be Discrete from 0, MultiDiscrete or a bounded Box of one '
      f'axis, got {space}'
    )


def check_observations(space: gymnasium.Space) -> None:
  """Raises ValueError for observations that no network here takes."""
  spaces = gymnasium.spaces
  if isinstance(space, spaces.Tuple):
    is_taken = all(map(_is_part, space))
  else:
    is_taken = _is_part(space) or (
      isinstance(space, spaces.Box) and len(space.shape) == 3
    )
  if not is_taken:
    raise ValueError(
      'observations must be Discrete from 0, MultiDiscrete, a Box of one axis '
      f'or three, or a Tuple of the others, got {space}'
    )


def _is_part(space):
  spaces = gymnasium.spaces
  if isinstance(space, spaces.MultiDiscrete):
    return space.nvec.ndim == 1 and not np.any(space.start)
  if isinstance(space, spaces.Discrete):
    return space.start == 0
  return isinstance(space, spaces.Box) and len(space.shape) == 1


def is_joined(space: gymnasium.Space) -> bool:
  """Whether networks see observations as `join` makes them."""
  return isinstance(
    space, gymnasium.spaces.MultiDiscrete | gymnasium.spaces.Tuple
  )


def join(space: gymnasium.Space, batch) -> np.ndarray:
  """Joins the parts of B observations, indices one-hot, to float32 [B, N].

  Args:
    space: Of one observation, as `check_observations` takes it.
    batch: As Gymnasium's vector environments give it.
  """
  spaces = gymnasium.spaces
  if isinstance(space, spaces.Tuple):
    pairs = zip(space, batch, strict=True)
    return np.concatenate([join(part, each) for part, each in pairs], -1)
  batch = np.asarray(batch)
  if isinstance(space, spaces.MultiDiscrete):
    pairs = zip(space.nvec, batch.T, strict=True)
    hot = [np.eye(int(n), dtype=np.float32)[each] for n, each in pairs]
    return np.concatenate(hot, -1)
  if isinstance(space, spaces.Discrete):
    return np.eye(int(space.n), dtype=np.float32)[batch]
  return batch.astype(np.float32)
