"""Recorded games of the original, in one .npz file.

Letters: G games, T steps of all games, A agents, S rows and columns. The steps
of game g are `game_offsets[g]` to `game_offsets[g + 1]`.
"""

import dataclasses
import os
import zipfile

import numpy as np

from nca_tf import files
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.variants import Variant
from nca_tf.environments.pommerman.recordings import snapshot
from nca_tf.environments.pommerman.recordings.snapshot import Snapshot

_GAME, _STEP, _SEEN, _BOMBS, _FLAMES = 'game', 'step', 'seen', 'bombs', 'flames'
_LAST = 255
_LIMIT = 1 << 27  # Bytes: 200,000 steps of games on boards of 11 x 11.
# name: (what the rows are of, further axes, smallest, largest value)
_FIELDS = {
  'init_board': (_GAME, 'SS', 0, 13),
  'init_items': (_GAME, 'SS', 0, 8),
  'init_agents': (_GAME, 'A6', 0, _LAST),
  'init_step': (_GAME, '', 0, 2**31 - 1),
  'n_init_bombs': (_GAME, '', 0, _LAST),
  'n_init_flames': (_GAME, '', 0, _LAST),
  'init_bombs': ('init_bombs', '6', 0, _LAST),
  'init_flames': ('init_flames', '3', 0, _LAST),
  'actions': (_STEP, 'A', 0, variants.ACTIONS - 1),
  'board': (_STEP, 'SS', 0, 13),
  'items': (_STEP, 'SS', 0, 8),
  'agents': (_STEP, 'A6', 0, _LAST),
  'n_bombs': (_STEP, '', 0, _LAST),
  'n_flames': (_STEP, '', 0, _LAST),
  'bombs': (_BOMBS, '6', 0, _LAST),
  'flames': (_FLAMES, '3', 0, _LAST),
  'rewards': (_STEP, 'A', -1, 1),
  'done': (_STEP, '', 0, 1),
  'result': (_GAME, '', 0, 3),
  'winners': (_GAME, '4', 0, 1),
  'seed': (_GAME, '', None, None),
}
# Further fields of a file that has the first of them.
_OPTIONAL = (
  {
    'obs_step': (_SEEN, '', 0, None),
    'obs_board': (_SEEN, 'ASS', 0, 13),
    'obs_blast': (_SEEN, 'ASS', 0, _LAST),
    'obs_life': (_SEEN, 'ASS', 0, _LAST),
    'obs_dir': (_SEEN, 'ASS', 0, 4),
    'obs_flame': (_SEEN, 'ASS', 0, _LAST),
    'obs_alive': (_SEEN, 'A', 0, 1),
    'obs_message': (_SEEN, 'A2', 0, variants.VOCABULARY - 1),
  },
  {'sent_messages': (_STEP, 'A2', 0, variants.VOCABULARY - 1)},
  {'first_collapse': (_GAME, '', 1, None), 'max_steps': (_GAME, '', 1, None)},
)


_NEEDED = ('board_size', 'n_agents', 'game_offsets', 'env', *_FIELDS)


@dataclasses.dataclass(frozen=True)
class Trace:
  """Games of one file, checked."""

  arrays: dict[str, np.ndarray]  # The file's arrays by name
  rules: list[Variant]  # [G] the variant of each game

  @property
  def games(self) -> int:
    """Number of games, G."""
    return len(self.rules)

  @property
  def steps(self) -> int:
    """Number of steps of all games, T."""
    return len(self.arrays['actions'])

  @property
  def seeded(self) -> bool:
    """Whether the games began on the boards of their seeds."""
    data = self.arrays
    crafted = data['n_init_flames'].any() or data['n_init_bombs'].any()
    return not crafted and not data['init_step'].any()

  def get_start(self, games: np.ndarray) -> Snapshot:
    """Returns how some games, given by index, begin."""
    data = self.arrays
    bombs = snapshot.split(data['init_bombs'], data['n_init_bombs'])
    flames = snapshot.split(data['init_flames'], data['n_init_flames'])
    return Snapshot(
      board=data['init_board'][games],
      items=data['init_items'][games],
      agents=data['init_agents'][games],
      bomb_counts=data['n_init_bombs'][games].astype(int),
      bombs=np.concatenate([bombs[game] for game in games]),
      flame_counts=data['n_init_flames'][games].astype(int),
      flames=np.concatenate([flames[game] for game in games]),
      step_count=data['init_step'][games],
    )


def read(path: str | os.PathLike) -> Trace:
  """Reads and checks a file of games.

  Raises:
    OSError: It cannot be read.
    ValueError: It is damaged or of another kind, or has a game of an unknown
      variant or with a beginning that no play of its variant reaches. What was
      recorded later is only checked for its range: `replay` compares it.
  """
  arrays = files.read_arrays(path, _NEEDED, _LIMIT)
  with zipfile.ZipFile(path) as archive:  # It was read a moment ago.
    there = {entry.removesuffix('.npy') for entry in archive.namelist()}
  fields = dict(_FIELDS)
  for optional in _OPTIONAL:
    if next(iter(optional)) in there:
      arrays |= files.read_arrays(path, optional, _LIMIT)
      fields |= optional
  try:
    _check_fields(arrays, fields)
    rules = _find_rules(arrays)
    _check_cells(arrays)
    trace = Trace(arrays, rules)
    _check_starts(trace)
  except ValueError as error:
    raise ValueError(f'{path}: {error}') from error
  return trace


def _check_fields(arrays, fields):
  """Refuses arrays that are misshapen or out of range."""
  letters, rows = _find_sizes(arrays)
  for name, (of, axes, least, most) in fields.items():
    shape = (rows[of], *(int(letters.get(axis, axis)) for axis in axes))
    values = arrays[name]
    if values.shape != shape or values.dtype.kind not in 'biu':
      raise ValueError(
        f'{name} must be integers of shape {shape}, got {values.dtype} of '
        f'shape {values.shape}'
      )
    _check_range(name, values, least, most)
  if 'obs_step' in arrays:
    steps = arrays['obs_step'].astype(np.int64)
    _check_range('obs_step', steps, 0, rows[_STEP] - 1)
    if np.any(np.diff(steps) <= 0):
      raise ValueError('obs_step must grow: an observation for a step')


def _check_range(name, values, least, most):
  if values.size and (
    (least is not None and values.min() < least)
    or (most is not None and values.max() > most)
  ):
    raise ValueError(
      f'{name} must be in {least}..{"" if most is None else most}, got '
      f'{values.min()}..{values.max()}'
    )


def _find_sizes(arrays):
  """Returns the sizes that letters stand for, and the rows of each kind."""
  offsets = arrays['game_offsets']
  scalars = (arrays['board_size'], arrays['n_agents'])
  if any(each.shape or each.dtype.kind not in 'iu' for each in scalars):
    raise ValueError('board_size and n_agents must be integers')
  if (
    offsets.ndim != 1
    or offsets.dtype.kind not in 'iu'
    or len(offsets) < 2
    or offsets[0] != 0
    or np.any(np.diff(offsets.astype(np.int64)) <= 0)
  ):
    raise ValueError('game_offsets must be integers that grow from 0')
  rows = {_GAME: len(offsets) - 1, _STEP: int(offsets[-1])}
  for kind in ('init_bombs', 'init_flames', _BOMBS, _FLAMES):
    counts = arrays[f'n_{kind}']
    if counts.dtype.kind not in 'iu':
      raise ValueError(f'n_{kind} must be integers, got {counts.dtype}')
    rows[kind] = int(counts.sum())
  if 'obs_step' in arrays:
    steps = arrays['obs_step']
    if steps.ndim != 1 or steps.dtype.kind not in 'iu':
      raise ValueError('obs_step must be a list of integers')
    rows[_SEEN] = len(steps)
  return {'S': int(scalars[0]), 'A': int(scalars[1])}, rows


def _find_rules(arrays):
  """Returns the variant of each game."""
  names = arrays['env']
  if names.shape != arrays['result'].shape or names.dtype.kind != 'U':
    raise ValueError('env must be a name for each game')
  rules = []
  for game, name in enumerate(names.tolist()):
    if name not in variants.VARIANTS:
      raise ValueError(f'unknown variant {name!r}')
    changes = {
      field: int(arrays[field][game])
      for field in ('first_collapse', 'max_steps')
      if 'first_collapse' in arrays
    }
    variant = variants.get_variant(name, **changes)
    sizes = (variant.board_size, variant.agents)
    if sizes != (int(arrays['board_size']), int(arrays['n_agents'])):
      raise ValueError(f'{name} has other sizes than the file')
    if variant.radio and 'obs_step' in arrays and 'sent_messages' not in arrays:
      raise ValueError(f'sent_messages is missing, which {name} observes')
    rules.append(variant)
  return rules


def _check_cells(arrays):
  """Refuses agents, bombs and flames off the board, and unknown owners."""
  size, agents = int(arrays['board_size']), int(arrays['n_agents'])
  for name in ('agents', 'bombs', 'flames'):
    for each in (f'init_{name}', name):
      _check_range(f'cells of {each}', arrays[each][..., :2], 0, size - 1)
  for name in ('init_bombs', 'bombs'):
    _check_range(f'directions of {name}', arrays[name][:, 4], 0, 4)
    _check_range(f'owners of {name}', arrays[name][:, 5], 0, agents - 1)


def _check_starts(trace):
  """Refuses beginnings that no play of their variants reaches."""
  for rules in dict.fromkeys(trace.rules):
    games = [game for game, each in enumerate(trace.rules) if each == rules]
    try:
      snapshot.check(rules, trace.get_start(np.array(games)))
    except ValueError as error:
      raise ValueError(f'beginning of {rules.name}: {error}') from error
