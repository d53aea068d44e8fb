"""One episode as a record: its fields, and their encoding as bytes.

The fields are named as in RLDS (Ramos et al. 2021, arXiv:2111.02767).
Letters: L actions of an episode, L + 1 steps; H, W, C of a frame, or N numbers
of a vector in its place; A components of an action, where it has several.
"""

import contextlib
import dataclasses
import math
import zlib
from typing import Any, NamedTuple

import numpy as np

from nca_tf import checks

_COMPRESSION = 1  # zlib's fastest: higher levels save 5 % for twice the time.
_LARGEST_FRAME = 1 << 24  # Bytes.
_LARGEST_EPISODE = 1 << 29  # Bytes of its frames.
_ACTION_DTYPES = {'discrete': np.int32, 'continuous': np.float32}


@dataclasses.dataclass(frozen=True)
class Spec:
  """Game and formats of a folder of rollouts.

  Attributes:
    game: Name of the game.
    observation_shape: Height, width and channels of its uint8 frames, or the
      size of its float32 vectors.
    actions: Number of discrete actions.
    action_kind: 'discrete' or 'continuous'.
    frame_skip: Tics of the game per action.
    source: How the episodes were made (policy, seed, ...), for JSON. A writer
      appends only to a folder of the same source; a reader ignores it.
    components: Floats of a continuous action.
  """

  game: str
  observation_shape: tuple[int, ...]
  actions: int
  action_kind: str
  source: dict[str, Any] = dataclasses.field(default_factory=dict)
  frame_skip: int = 1  # Also where an older spec.json has none.
  components: int = 1  # As well.

  def __post_init__(self):
    """Makes a spec read from JSON equal to the one that was written."""
    if not isinstance(self.observation_shape, list | tuple):
      raise ValueError(
        f'observation_shape must be a list, got {self.observation_shape!r}'
      )
    shape = tuple(
      checks.integer('observation_shape', size, 1, _LARGEST_FRAME)
      for size in self.observation_shape
    )
    if not isinstance(self.game, str):
      raise ValueError(f'game must be a text, got {self.game!r}')
    if not isinstance(self.source, dict):
      raise ValueError(f'source must be an object, got {self.source!r}')
    if math.prod(shape) > _LARGEST_FRAME:
      raise ValueError(
        f'observation_shape must be of at most {_LARGEST_FRAME} bytes, got '
        f'{list(shape)}'
      )
    least = 0 if self.action_kind == 'continuous' else 1
    for name, value in (
      ('observation_shape', shape),
      ('actions', checks.integer('actions', self.actions, least)),
      ('frame_skip', checks.integer('frame_skip', self.frame_skip, 1)),
      ('components', checks.integer('components', self.components, 1)),
    ):
      object.__setattr__(self, name, value)
    if self.action_kind not in _ACTION_DTYPES:
      raise ValueError(
        f'action_kind must be one of {", ".join(_ACTION_DTYPES)}, '
        f'got {self.action_kind!r}'
      )

  @property
  def observation_dtype(self) -> type:
    """NumPy's type of observations: pictures are uint8, vectors float32."""
    return np.uint8 if len(self.observation_shape) == 3 else np.float32

  @property
  def action_shape(self) -> tuple[int, ...]:
    """Shape of one action: () or (A,)."""
    return (self.components,) if self.components > 1 else ()


class Episode(NamedTuple):
  """An episode of L actions.

  Step t holds a frame, the action taken on it and that action's reward. The
  last step has no action. After death there is no frame either: the last step
  then repeats the one before, and `is_terminal` is set. At a time limit its
  frame is real and `is_terminal` is not set.
  """

  index: int
  seed: int
  # uint8 [L + 1, H, W, C] or float32 [L + 1, N], or its zlib block
  observation: np.ndarray | bytes
  action: np.ndarray  # [L + 1] or [L + 1, A], int32 or float32, the last is 0
  reward: np.ndarray  # [L + 1] float32, the last is 0
  discount: np.ndarray  # [L + 1] float32, 0 where is_terminal, else 1
  is_first: np.ndarray  # [L + 1] bool
  is_last: np.ndarray  # [L + 1] bool
  is_terminal: np.ndarray  # [L + 1] bool

  @property
  def length(self) -> int:
    """Number of actions, L."""
    return len(self.reward) - 1


def make_episode(
  index: int,
  seed: int,
  frames: np.ndarray | bytes,
  actions: np.ndarray,
  rewards: np.ndarray,
  terminated: bool,
) -> Episode:
  """Makes an episode from the frames, actions and rewards of a game.

  Args:
    index: Position in the data set, from 0.
    seed: The seed that determines it.
    frames: uint8 [L + 1, H, W, C] or float32 [L + 1, N], or one zlib block of
      it.
    actions: [L], or [L, A].
    rewards: [L].
    terminated: Whether the last action ended in death.
  """
  steps = len(actions) + 1
  at = np.arange(steps)
  is_last = at == steps - 1
  is_terminal = is_last & bool(terminated)
  return Episode(
    index=int(index),
    seed=int(seed),
    observation=frames,
    action=np.concatenate([actions, np.zeros_like(actions[:1])]),
    reward=np.append(rewards, 0).astype(np.float32),
    discount=(~is_terminal).astype(np.float32),
    is_first=at == 0,
    is_last=is_last,
    is_terminal=is_terminal,
  )


def validate(episode: Episode, spec: Spec) -> Episode:
  """Returns the episode after checking its arrays: dtypes, sizes and values."""
  steps = len(episode.reward)
  if steps < 2:
    raise ValueError(f'episode must have 2 steps or more, got {steps}')
  dtypes = _dtypes(spec)
  shapes = {name: (steps,) for name in dtypes}
  shapes['action'] = (steps, *spec.action_shape)
  if not isinstance(episode.observation, bytes):
    dtypes['observation'] = spec.observation_dtype
    shapes['observation'] = (steps, *spec.observation_shape)
  for name, dtype in dtypes.items():
    array = getattr(episode, name)
    if array.dtype != dtype or array.shape != shapes[name]:
      raise ValueError(
        f'episode.{name} must be {np.dtype(dtype)} {list(shapes[name])}, '
        f'got {array.dtype} {list(array.shape)}'
      )
  _check_values(episode, spec)
  return episode


def _check_values(episode, spec):
  """Refuses what no game gives, such as damage with a right checksum."""
  at, action = np.arange(len(episode.reward)), episode.action
  ends = ~episode.is_terminal
  for name, is_right in (
    ('index', 0 <= episode.index < 2**31),
    ('seed', episode.seed >= 0),
    ('reward', np.isfinite(episode.reward).all()),
    ('is_first', np.array_equal(episode.is_first, at == 0)),
    ('is_last', np.array_equal(episode.is_last, at == at[-1])),
    ('is_terminal', ends[:-1].all()),
    ('discount', np.array_equal(episode.discount, ends.astype(np.float32))),
    (
      'action',
      (0 <= action.min() and action.max() < spec.actions)
      if spec.action_kind == 'discrete'
      else np.isfinite(action).all(),
    ),
  ):
    if not is_right:
      raise ValueError(f'episode.{name} of {episode.index} is out of range')


def _dtypes(spec):
  """Dtypes of the arrays beside the frames."""
  return {
    'action': _ACTION_DTYPES[spec.action_kind],
    'reward': np.float32,
    'discount': np.float32,
    'is_first': np.bool_,
    'is_last': np.bool_,
    'is_terminal': np.bool_,
  }


def encode(episode: Episode, spec: Spec) -> bytes:
  """Returns a `tf.train.Example` as bytes."""
  import tensorflow as tf  # Here, so that specs can be read without it.

  block = episode.observation
  if not isinstance(block, bytes):
    block = zlib.compress(np.ascontiguousarray(block).data, _COMPRESSION)
  features = {
    'index': [episode.index],
    'seed': [episode.seed],
    'shape': [len(episode.reward), *spec.observation_shape],
    'observation': block,
    'checksum': [_checksum(episode, spec, block)],
    **{name: getattr(episode, name).ravel() for name in _dtypes(spec)},
  }
  features = {name: _feature(values) for name, values in features.items()}
  features = tf.train.Features(feature=features)
  example = tf.train.Example(features=features)
  # Equal episodes give equal files: by default the order of a map is not fixed.
  return example.SerializeToString(deterministic=True)


def _checksum(episode: Episode, spec: Spec, block: bytes) -> int:
  """Returns a CRC-32 of everything in the episode."""
  checksum = zlib.crc32(
    block, zlib.crc32(f'{int(episode.index)} {int(episode.seed)}'.encode())
  )
  for name in _dtypes(spec):
    checksum = zlib.crc32(getattr(episode, name).tobytes(), checksum)
  return checksum


def decode(record: bytes, spec: Spec, frames: bool) -> Episode:
  """Returns the episode of a record; `ValueError` if it is damaged."""
  import tensorflow as tf
  from google.protobuf import message

  example = tf.train.Example()
  try:
    example.ParseFromString(record)
  except message.DecodeError as error:
    raise ValueError('a record is not a tf.train.Example') from error
  feature = example.features.feature
  blocks = feature['observation'].bytes_list.value
  index, seed, shape, checksum = (
    list(feature[name].int64_list.value)
    for name in ('index', 'seed', 'shape', 'checksum')
  )
  if not len(blocks) == len(index) == len(seed) == 1:
    raise ValueError('a record is not an episode')
  arrays = {}
  for name, dtype in _dtypes(spec).items():
    lists = feature[name]
    values = lists.float_list if dtype is np.float32 else lists.int64_list
    arrays[name] = np.array(values.value).astype(dtype)
  with contextlib.suppress(ValueError):  # `validate` reports another size.
    arrays['action'] = arrays['action'].reshape(-1, *spec.action_shape)
  episode = Episode(*index, *seed, observation=blocks[0], **arrays)
  validate(episode, spec)
  expected = [len(episode.reward), *spec.observation_shape]
  if shape != expected:
    raise ValueError(f'episode {episode.index} must have frames {expected}')
  if checksum != [_checksum(episode, spec, blocks[0])]:
    raise ValueError(f'episode {episode.index} is damaged')
  return decompress(episode, spec) if frames else episode


def decompress(episode: Episode, spec: Spec) -> Episode:
  """Returns an episode with its frames as an array, not as a block.

  Raises:
    ValueError: The block is damaged, or of another size.
  """
  shape = (len(episode.reward), *spec.observation_shape)
  size = math.prod(shape) * np.dtype(spec.observation_dtype).itemsize
  try:
    if size > _LARGEST_EPISODE:
      raise ValueError(f'{size} bytes')
    block = zlib.decompressobj()
    pixels = block.decompress(episode.observation, size + 1)
    if len(pixels) != size or not block.eof:
      raise ValueError(f'not {size} bytes')
    array = np.frombuffer(pixels, spec.observation_dtype).reshape(shape)
  except (zlib.error, ValueError) as error:
    raise ValueError(
      f'frames of episode {episode.index} are damaged ({error})'
    ) from error
  return episode._replace(observation=array)


def _feature(values):
  import tensorflow as tf

  if isinstance(values, bytes):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[values]))
  values = np.asarray(values)
  if values.dtype.kind == 'f':
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))
  values = values.astype(np.int64)
  return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
