"""Which spaces of Gymnasium agents can play in; TensorFlow is not imported."""

import gymnasium


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
  if not (
    (isinstance(space, spaces.Discrete) and space.start == 0)
    or (isinstance(space, spaces.Box) and len(space.shape) in (1, 3))
  ):
    raise ValueError(
      'observations must be Discrete from 0, or a Box of one axis or three, '
      f'got {space}'
    )
