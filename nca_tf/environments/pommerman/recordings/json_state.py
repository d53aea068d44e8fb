"""Games in the JSON that the original writes and reads.

A record is a dict of texts, each of them JSON: the original's `get_json_info`
returns it, and the file of `set_init_game_state` holds it.
"""

import json
from collections.abc import Mapping

import numpy as np

from nca_tf import checks
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
# The entries that are read.
_ENTRIES = ('board_size', 'step_count', 'board', 'agents', 'bombs', 'flames')
_ENTRIES += ('items',)
_LONGEST_TEXT = 1 << 20  # A board full of bombs and flames has 1 << 16.
_LAST_STEP = 2**31 - 1  # A game may be stepped past its end.


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

  Further entries of the record are ignored, as in the original.

  Raises:
    ValueError: The record is damaged, or of a board or agents that the variant
      does not have, or of a game that no play of it reaches.
  """
  try:
    taken = _read(variant, record)
    snapshot.check(variant, taken)
  except ValueError as error:
    raise ValueError(
      f'record must be a game of {variant.name}: {error}'
    ) from error
  return snapshot.load(variant, taken)


def _read(variant, record):
  """Returns a record as a snapshot whose numbers are of their ranges."""
  if not isinstance(record, Mapping):
    raise ValueError(f'no mapping of texts, got {checks.shorten(record)}')
  data = {name: _parse(record, name) for name in _ENTRIES}
  size = variant.board_size
  checks.integer('board_size', data['board_size'], size, size)
  agents = _read_agents(data['agents'], variant)
  bombs = _read_rows('bombs', data['bombs'], variant)
  flames = _read_rows('flames', data['flames'], variant)
  step_count = checks.integer('step_count', data['step_count'], 0, _LAST_STEP)
  return Snapshot(
    board=_read_board(data['board'], variant),
    items=_read_items(data['items'], size),
    agents=agents[None],
    bomb_counts=np.array([len(bombs)]),
    bombs=bombs,
    flame_counts=np.array([len(flames)]),
    flames=flames,
    step_count=np.array([step_count]),
  )


def _parse(record, name):
  """Returns what the text of an entry holds."""
  if name not in record:
    raise ValueError(f'{name} is missing')
  text = record[name]
  if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
    raise ValueError(
      f'{name} must be a text of JSON of at most {_LONGEST_TEXT} characters, '
      f'got {checks.shorten(text)}'
    )
  try:
    return json.loads(
      text, object_pairs_hook=_make_object, parse_constant=_refuse_constant
    )
  except (ValueError, RecursionError) as error:  # The latter of deep lists.
    raise ValueError(f'{name} must be a text of JSON: {error}') from error


def _make_object(pairs):
  if len(dict(pairs)) < len(pairs):
    raise ValueError(f'a name twice in {checks.shorten(pairs)}')
  return dict(pairs)


def _refuse_constant(text):
  raise ValueError(f'{text} is no number')


def _read_list(name, values, count=None):
  """Returns a list, of a length where one is wanted."""
  if not isinstance(values, list) or count not in (None, len(values)):
    of = '' if count is None else f' of {count}'
    raise ValueError(f'{name} must be a list{of}, got {checks.shorten(values)}')
  return values


def _read_cell(name, values, size):
  return [
    checks.integer(f'{name}[{axis}]', value, 0, size - 1)
    for axis, value in enumerate(_read_list(name, values, 2))
  ]


def _read_board(rows, variant):
  """Returns [1, S, S] uint8 codes."""
  size, codes = variant.board_size, snapshot.find_codes(variant)
  rows = [
    _read_list(f'board[{number}]', row, size)
    for number, row in enumerate(_read_list('board', rows, size))
  ]
  board = [
    [
      checks.integer(f'board[{row}][{column}]', code, 0, int(codes[-1]))
      for column, code in enumerate(values)
    ]
    for row, values in enumerate(rows)
  ]
  return np.array([board], np.uint8)


def _read_items(entries, size):
  """Returns [1, S, S] uint8 codes of hidden items, 0 elsewhere."""
  items = np.zeros((1, size, size), np.uint8)
  first, *_, last = variants.ITEMS
  for number, entry in enumerate(_read_list('items', entries)):
    name = f'items[{number}]'
    cell, code = _read_list(name, entry, 2)
    row, column = _read_cell(f'{name}[0]', cell, size)
    if items[0, row, column]:
      raise ValueError(f'{name} must be in a cell of its own, got {cell}')
    items[0, row, column] = checks.integer(f'{name}[1]', code, first, last)
  return items


def _read_agents(entries, variant):
  """Returns the rows of the agents, in the order of their numbers."""
  rows = _read_rows('agents', entries, variant)
  _read_list('agents', entries, variant.agents)
  numbers = [
    checks.integer(
      f'agents[{number}].agent_id',
      entry.get('agent_id'),
      0,
      variant.agents - 1,
    )
    for number, entry in enumerate(entries)
  ]
  if len(set(numbers)) < len(numbers):
    raise ValueError(f'agent_id must be another in each agent, got {numbers}')
  return rows[np.argsort(numbers)]


def _read_rows(kind, entries, variant):
  """Returns dicts of JSON as rows [K, 2 + columns]."""
  ranges = snapshot.find_ranges(variant)[kind]
  rows = []
  for number, entry in enumerate(_read_list(kind, entries)):
    name = f'{kind}[{number}]'
    if not isinstance(entry, dict):
      raise ValueError(f'{name} must be an object, got {checks.shorten(entry)}')
    missing = sorted({'position', *_COLUMNS[kind]} - set(entry))
    if missing:
      raise ValueError(f'{name}.{missing[0]} is missing')
    cell = _read_cell(f'{name}.position', entry['position'], variant.board_size)
    rows.append(
      [
        *cell,
        *(
          _read_value(f'{name}.{column}', entry[column], *ranges[column])
          for column in _COLUMNS[kind]
        ),
      ]
    )
  return np.array(rows, np.int64).reshape(len(rows), len(ranges))


def _read_value(name, value, least, most):
  """Returns a value of a row; of JSON's true, false and null, a number."""
  if name.endswith(('.can_kick', '.is_alive')):
    return int(checks.boolean(name, value))
  if name.endswith('.moving_direction'):
    if value is None:  # It lies still.
      return variants.STOP
    least = variants.UP
  return checks.integer(name, value, least, most)
