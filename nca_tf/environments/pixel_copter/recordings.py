"""Recorded games of the original PixelCopter, and their replay in our engine.

A file holds whole games as arrays: per game `seed`, `width`, `fps`,
`init_blocks`, `init_terrain`; per step `action` and what the original answered.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from nca_tf import files
from nca_tf.environments.pixel_copter import drawing
from nca_tf.environments.pixel_copter import engine

# What is compared: player, blocks and columns; scores, rewards and lives; the
# original's state; the levels of the seeds; pixels.
KINDS = ('state', 'rewards', 'features', 'levels', 'frames')
_LIMIT = 1 << 28  # Bytes of arrays in a file.
# Name: (kinds of dtype, what the first axis counts, the other axes)
_FIELDS = {
  'seed': ('iu', 'games', ()),
  'width': ('iu', 'games', ()),
  'fps': ('iu', 'games', ()),
  'init_blocks': ('f', 'games', (2,)),
  'n_init_terrain': ('iu', 'games', ()),
  'init_terrain': ('f', 'columns', (2,)),
  'action': ('iu', 'steps', ()),
  'y': ('f', 'steps', ()),
  'vel': ('f', 'steps', ()),
  'score': ('f', 'steps', ()),
  'reward': ('f', 'steps', ()),
  'lives': ('f', 'steps', ()),
  'done': ('b', 'steps', ()),
  'n_blocks': ('iu', 'steps', ()),
  'n_terrain': ('iu', 'steps', ()),
  'blocks': ('f', 'blocks', (2,)),
  'terrain_first_last_x': ('f', 'steps', (2,)),
  'prect': ('iu', 'steps', (4,)),
  'gs': ('f', 'steps', (7,)),
}


class Trace(NamedTuple):
  """Recorded games.

  Attributes:
    arrays: By the names of the file.
    rounding: Of `engine.Rules`.
  """

  arrays: Mapping[str, np.ndarray]
  rounding: str

  @property
  def games(self) -> int:
    """Number of games."""
    return len(self.arrays['seed'])

  @property
  def steps(self) -> int:
    """Number of steps of all games."""
    return len(self.arrays['action'])


def read(path: str | os.PathLike) -> Trace:
  """Reads and checks a file of games.

  Raises:
    OSError: It cannot be read.
    ValueError: It is damaged or of another kind.
  """
  arrays = files.read_arrays(path, limit=_LIMIT)
  try:
    return Trace(arrays, _check(arrays))
  except ValueError as error:
    raise ValueError(f'{path}: {error}') from error


def replay(trace: Trace) -> dict[str, list[tuple[int, int]]]:
  """Plays all games of a trace.

  Returns:
    For each of `KINDS` the game and the step of each mismatch; the step of a
    level that began otherwise is -1.
  """
  found = {kind: [] for kind in KINDS}
  data = trace.arrays
  sizes = np.stack([data['width'], data['fps']], 1)
  for size, fps in np.unique(sizes, axis=0):
    rules = engine.Rules(int(size), int(fps), trace.rounding)
    games = np.flatnonzero((sizes == (size, fps)).all(1))
    _replay_games(data, rules, games, found)
  return found


def _check(arrays):
  """Returns the rounding; `ValueError` unless the arrays fit each other."""
  for name in ('rounding', 'game_offsets', *_FIELDS):
    if name not in arrays:
      raise ValueError(f'not a trace of PixelCopter, {name} is missing')
  rounding, offsets = str(arrays['rounding']), arrays['game_offsets']
  if rounding not in engine.ROUNDINGS:
    raise ValueError(
      f'rounding must be one of {", ".join(engine.ROUNDINGS)}, got {rounding!r}'
    )
  if offsets.dtype.kind not in 'iu' or offsets.ndim != 1 or len(offsets) < 2:
    raise ValueError('game_offsets must be integers [games + 1]')
  if offsets[0] != 0 or np.any(np.diff(offsets.astype(np.int64)) < 1):
    raise ValueError('game_offsets must rise from 0')
  counts = {'games': len(offsets) - 1, 'steps': int(offsets[-1])}
  # The sums come first: the lengths of others depend on them.
  for name, axis in (('n_init_terrain', 'columns'), ('n_blocks', 'blocks')):
    _check_field(arrays, name, counts)
    counts[axis] = int(arrays[name].astype(np.int64).sum())
  for name in _FIELDS:
    _check_field(arrays, name, counts)
  _check_range('action', arrays['action'], 0, 1)
  _check_range('seed', arrays['seed'], 0, 2**63 - 1)
  _check_range('fps', arrays['fps'], 1, 1000)
  _check_range('width', arrays['width'], 32, 512)
  _check_frames(arrays, counts['steps'])
  return rounding


def _check_field(arrays, name, counts):
  kinds, axis, rest = _FIELDS[name]
  values = arrays[name]
  shape = (counts[axis], *rest)
  if values.shape != shape or values.dtype.kind not in kinds:
    raise ValueError(
      f'{name} must be of shape {shape} and kind {kinds}, got {values.dtype} '
      f'of shape {values.shape}'
    )


def _check_range(name, values, least, most):
  if values.size and (values.min() < least or values.max() > most):
    raise ValueError(
      f'{name} must be from {least} to {most}, got {values.min()} to '
      f'{values.max()}'
    )


def _check_frames(arrays, steps):
  if 'frames' not in arrays:
    return
  if 'frame_step' not in arrays:
    raise ValueError('frames without frame_step')
  frames, places = arrays['frames'], arrays['frame_step']
  size = int(arrays['width'].max())
  shape = (len(places), size, size, 3)
  if frames.shape != shape or frames.dtype != np.uint8:
    raise ValueError(
      f'frames must be uint8 of shape {shape}, got {frames.dtype} of shape '
      f'{frames.shape}'
    )
  if np.any(arrays['width'] != size):
    raise ValueError('frames must be of games of one width')
  _check_range('frame_step', places, 0, steps - 1)


def _replay_games(data, rules, games, found):
  """Plays games of one size side by side, each to its own end."""
  offsets = data['game_offsets'].astype(np.int64)
  lengths = np.diff(offsets)[games]
  order = np.argsort(-lengths, kind='stable')
  games, lengths = games[order], lengths[order]
  state = engine.start(
    rules, [engine.make_random(int(seed)) for seed in data['seed'][games]]
  )
  found['levels'] += _compare_levels(data, state, games)
  frames = np.full(len(data['action']), -1)
  if 'frames' in data:
    frames[data['frame_step']] = np.arange(len(data['frames']))
  for time in range(lengths[0]):
    playing = np.count_nonzero(lengths > time)  # They come first.
    steps = offsets[games] + np.minimum(time, lengths - 1)
    rewards = engine.step(state, data['action'][steps])
    steps = steps[:playing]
    wrong = {
      'state': _compare_state(data, state, steps),
      'rewards': _differ(rewards, data['reward'][steps])
      | _differ(state.score, data['score'][steps])
      | _differ(state.lives, data['lives'][steps])
      | _differ(state.is_over, data['done'][steps]),
      'features': _differ(engine.get_features(state), data['gs'][steps]),
    }
    shown = frames[steps]
    if np.any(shown >= 0):
      images = data['frames'][shown].swapaxes(1, 2)  # Theirs are [x, y].
      wrong['frames'] = _differ(drawing.draw(state), images) & (shown >= 0)
    for kind, rows in wrong.items():
      found[kind] += [(int(game), time) for game in games[:playing][rows]]


def _compare_levels(data, state, games):
  """Returns the games that begin with another level, at step -1."""
  counts = data['n_init_terrain'].astype(np.int64)
  ends = np.cumsum(counts)
  return [
    (int(game), -1)
    for lane, game in enumerate(games)
    if not np.array_equal(state.blocks[:, lane, 0], data['init_blocks'][game])
    or not np.array_equal(
      _get_present(state.columns[:, lane]),
      data['init_terrain'][ends[game] - counts[game] : ends[game]],
    )
  ]


def _compare_state(data, state, steps):
  """Returns the lanes whose copter, blocks or columns differ, bool [M]."""
  left, top, size = engine.get_player_box(state)
  box = np.stack([np.full_like(top, left), top, *np.full([2, len(top)], size)])
  wrong = _differ(state.y, data['y'][steps])
  wrong |= _differ(state.momentum, data['vel'][steps])
  wrong |= _differ(box.T, data['prect'][steps])
  counts = data['n_blocks'].astype(np.int64)
  ends = np.cumsum(counts)
  for lane, step in enumerate(steps):
    columns = _get_present(state.columns[:, lane])
    ours = _get_present(state.blocks[:, lane])
    wrong[lane] |= not (
      len(columns) == data['n_terrain'][step]
      and np.array_equal(
        columns[[0, -1], 0], data['terrain_first_last_x'][step]
      )
      and np.array_equal(
        ours, data['blocks'][ends[step] - counts[step] : ends[step]]
      )
    )
  return wrong


def _get_present(places):
  """Returns the centres [M, 2] of what is there, of float64 [2, places]."""
  return places[:, np.isfinite(places[0])].T


def _differ(ours, theirs):
  """Returns where the first rows of ours are not theirs, bool [len(theirs)]."""
  unequal = ours[: len(theirs)] != theirs
  return unequal.reshape(len(theirs), -1).any(1)
