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

_CELL = 'position'
_AGENT = (
  ('ammo', int),
  ('blast_strength', int),
  ('can_kick', bool),
  ('is_alive', bool),
)


def dump(state: State, game: int) -> dict[str, str]:
  """Returns the record of one game, by index."""
  taken = snapshot.take(state)
  first, end = _find_range(taken.bomb_counts, game)
  bombs = [
    {
      _CELL: [row, column],
      'bomber_id': owner,
      'life': life,
      'blast_strength': blast_strength,
      'moving_direction': direction or None,
    }
    for row, column, life, blast_strength, direction, owner in taken.bombs[
      first:end
    ].tolist()
  ]
  first, end = _find_range(taken.flame_counts, game)
  flames = [
    {_CELL: [row, column], 'life': life}
    for row, column, life in taken.flames[first:end].tolist()
  ]
  agents = [
    {
      'agent_id': number,
      _CELL: [row, column],
      **{
        name: kind(value)
        for (name, kind), value in zip(_AGENT, values, strict=True)
      },
    }
    for number, (row, column, *values) in enumerate(taken.agents[game].tolist())
  ]
  hidden = taken.items[game]
  items = [
    [cell, int(hidden[tuple(cell)])] for cell in np.argwhere(hidden).tolist()
  ]
  record = {
    'board_size': state.variant.board_size,
    'step_count': int(taken.step_count[game]),
    'board': taken.board[game].tolist(),
    'agents': agents,
    'bombs': bombs,
    'flames': flames,
    'items': items,
    'intended_actions': [variants.STOP] * state.variant.agents,
  }
  return {key: json.dumps(value) for key, value in record.items()}


def _find_range(counts, game):
  end = int(np.sum(counts[: game + 1]))
  return end - int(counts[game]), end


def load(variant: Variant, record: Mapping[str, str]) -> State:
  """Returns the state of one game.

  Args:
    variant: The rules.
    record: Of `dump` or of the original.

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
  agents = [
    [*agent[_CELL], *(int(agent[name]) for name, _ in _AGENT)]
    for agent in agents
  ]
  bombs = [
    [
      *bomb[_CELL],
      bomb['life'],
      bomb['blast_strength'],
      bomb['moving_direction'] or variants.STOP,
      bomb['bomber_id'],
    ]
    for bomb in data['bombs']
  ]
  flames = [[*flame[_CELL], flame['life']] for flame in data['flames']]
  result = Snapshot(
    board=board,
    items=items,
    agents=np.array(agents)[None],
    bomb_counts=np.array([len(bombs)]),
    bombs=np.array(bombs, np.int64).reshape(-1, 6),
    flame_counts=np.array([len(flames)]),
    flames=np.array(flames, np.int64).reshape(-1, 3),
    step_count=np.array([data['step_count']]),
  )
  for rows in (result.agents[0], result.bombs, result.flames):
    if np.any((rows[:, :2] < 0) | (rows[:, :2] >= size)):
      raise ValueError('a cell off the board')
  return result


def _read_codes(values):
  """Returns codes of cells as uint8, or refuses them."""
  codes = np.array(values, np.int64)
  if np.any((codes < 0) | (codes >= variants.AGENT + 4)):
    raise ValueError('an unknown code')
  return codes.astype(np.uint8)
