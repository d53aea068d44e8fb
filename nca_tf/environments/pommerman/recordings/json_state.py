"""Games in the JSON that the original writes and reads.

A record is a dict of texts, each of them JSON: the original's `get_json_info`
returns it, and the file of `set_init_game_state` holds it.
"""

import json
from collections.abc import Mapping

import numpy as np

from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.game_state import State
from nca_tf.environments.pommerman.engine.variants import Variant
from nca_tf.environments.pommerman.recordings import snapshot
from nca_tf.environments.pommerman.recordings.snapshot import Snapshot

# The rows of a `Snapshot` after row and column, and what JSON shows of each.
_COLUMNS = {
  'agents': dict(ammo=int, blast_strength=int, can_kick=bool, is_alive=bool),
  'bombs': {
    'life': int,
    'blast_strength': int,
    'moving_direction': lambda direction: direction or None,
    'bomber_id': int,
  },
  'flames': {'life': int},
}


def dump(state: State, game: int) -> dict[str, str]:
  """Returns the record of one game, by index."""
  taken = snapshot.take(state)
  items = taken.items[game]
  bombs = snapshot.split(taken.bombs, taken.bomb_counts)
  flames = snapshot.split(taken.flames, taken.flame_counts)
  record = {
    'board_size': state.variant.board_size,
    'step_count': int(taken.step_count[game]),
    'board': taken.board[game].tolist(),
    'agents': [
      {'agent_id': number, **entry}
      for number, entry in enumerate(_dump('agents', taken.agents[game]))
    ],
    'bombs': _dump('bombs', bombs[game]),
    'flames': _dump('flames', flames[game]),
    'items': [
      [[row, column], int(items[row, column])]
      for row, column in np.argwhere(items).tolist()
    ],
    'intended_actions': [variants.STOP] * state.variant.agents,
  }
  return {key: json.dumps(value) for key, value in record.items()}


def _dump(kind, rows):
  """Returns rows [K, 2 + columns] as dicts."""
  entries = []
  for row, column, *values in rows.tolist():
    columns = zip(_COLUMNS[kind].items(), values, strict=True)
    shown = {name: show(value) for (name, show), value in columns}
    entries.append({'position': [row, column], **shown})
  return entries


def load(variant: Variant, record: Mapping[str, str]) -> State:
  """Returns the state of a game that `dump` or the original has recorded.

  Raises:
    ValueError: The record is damaged, or of a board or agents that the variant
      does not have.
  """
  try:
    return snapshot.load(variant, _read(variant, record))
  except (KeyError, TypeError, IndexError, ValueError) as error:
    raise ValueError(
      f'record must be a game of {variant.name}, got {error!r}'
    ) from error


def _read(variant, record):
  data = {key: json.loads(text) for key, text in record.items()}
  size = variant.board_size
  board = _read_codes(data['board']).reshape(1, size, size)
  items = np.zeros_like(board)
  codes = _read_codes([code for _, code in data['items']])
  for ((row, column), _), code in zip(data['items'], codes, strict=True):
    items[0, row, column] = code
  agents = sorted(data['agents'], key=lambda agent: agent['agent_id'])
  if [agent['agent_id'] for agent in agents] != list(range(variant.agents)):
    raise ValueError(f'{len(agents)} agents')
  bombs = _read_rows('bombs', data['bombs'], size)
  flames = _read_rows('flames', data['flames'], size)
  return Snapshot(
    board=board,
    items=items,
    agents=_read_rows('agents', agents, size)[None],
    bomb_counts=np.array([len(bombs)]),
    bombs=bombs,
    flame_counts=np.array([len(flames)]),
    flames=flames,
    step_count=np.array([data['step_count']]),
  )


def _read_rows(kind, entries, size):
  """Returns dicts of JSON as rows [K, 2 + columns]."""
  rows = [
    [*entry['position'], *(entry[name] for name in _COLUMNS[kind])]
    for entry in entries
  ]
  for row in rows:
    if kind == 'bombs':
      row[4] = row[4] or variants.STOP  # The original's None: it lies still.
    if not all(0 <= place < size for place in row[:2]):
      raise ValueError('a cell off the board')
  return np.array(rows, np.int64).reshape(len(rows), 2 + len(_COLUMNS[kind]))


def _read_codes(values):
  """Returns codes of cells as uint8, or refuses them."""
  codes = np.array(values, np.int64)
  if np.any((codes < 0) | (codes >= variants.AGENT + 4)):
    raise ValueError('an unknown code')
  return codes.astype(np.uint8)
