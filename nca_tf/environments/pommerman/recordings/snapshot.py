"""Games at one moment, as the rows that traces and files hold.

Letters: G games, A agents, S rows and columns, K bombs and F flames in all.
"""

import dataclasses

import numpy as np

from nca_tf.environments.pommerman.engine import game_state
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.game_state import Bombs
from nca_tf.environments.pommerman.engine.game_state import Flames
from nca_tf.environments.pommerman.engine.game_state import State
from nca_tf.environments.pommerman.engine.variants import Variant


@dataclasses.dataclass(frozen=True)
class Snapshot:
  """G games at one moment."""

  board: np.ndarray  # [G, S, S] codes as displayed
  items: np.ndarray  # [G, S, S] codes of hidden items, 0 elsewhere
  # [G, A, 6] row, column, ammo, blast strength, can kick, is alive
  agents: np.ndarray
  bomb_counts: np.ndarray  # [G] bombs of each game
  # [K, 6] row, column, life, blast strength, direction, owner; game by game, in
  # the order of the game's list
  bombs: np.ndarray
  flame_counts: np.ndarray  # [G] flames of each game
  flames: np.ndarray  # [F, 3] row, column, life; likewise
  step_count: np.ndarray  # [G]


def find_ranges(variant: Variant) -> dict[str, dict[str, tuple[int, int]]]:
  """Returns the smallest and the largest value in each column of the rows."""
  cell = {name: (0, variant.board_size - 1) for name in ('row', 'column')}
  strength = (1, variants.MAX_BLAST_STRENGTH)
  return {
    'agents': {
      **cell,
      'ammo': (0, variants.MAX_AMMO),
      'blast_strength': strength,
      'can_kick': (0, 1),
      'is_alive': (0, 1),
    },
    'bombs': {
      **cell,
      'life': (1, variants.BOMB_LIFE),
      'blast_strength': strength,
      'moving_direction': (0, variants.RIGHT),
      'bomber_id': (0, variant.agents - 1),
    },
    'flames': {**cell, 'life': (0, variants.FLAME_LIFE)},
  }


def find_codes(variant: Variant) -> np.ndarray:
  """Returns the codes that a board shows: no fog, no dummy."""
  codes = np.arange(variants.AGENT + variant.agents)
  return np.delete(codes, [variants.FOG, variants.DUMMY])


def check(variant: Variant, snapshot: Snapshot) -> None:
  """Refuses games that no play of the variant reaches.

  Raises:
    ValueError: A value is out of its range, or board, items, agents, bombs and
      flames contradict each other.
  """
  _check_range('board', snapshot.board, find_codes(variant))
  _check_range('items', snapshot.items, [0, *variants.ITEMS])
  for kind, columns in find_ranges(variant).items():
    rows = getattr(snapshot, kind)
    for number, (name, (least, most)) in enumerate(columns.items()):
      allowed = np.arange(least, most + 1)
      _check_range(f'{name} of {kind}', rows[..., number], allowed)
  _check_agents(snapshot)
  _check_cells(snapshot, 'bombs')
  _check_cells(snapshot, 'flames')
  hides = np.isin(snapshot.board, (variants.WOOD, variants.FLAMES))
  _refuse(
    (snapshot.items != 0) & ~hides, 'items must be hidden by wood or flames'
  )


def _check_range(name, values, allowed):
  wrong = ~np.isin(values, allowed)
  if wrong.any():
    text = ', '.join(map(str, allowed))
    raise ValueError(f'{name} must be of {text}, got {values[wrong][0]}')


def _refuse(wrong, message):
  """Refuses the first place [G, S, S] that is wrong."""
  if wrong.any():
    game, row, column = np.argwhere(wrong)[0].tolist()
    place = f'game {game}, row {row}, column {column}'
    raise ValueError(f'{message}, got others at {place}')


def _check_agents(snapshot):
  """Refuses boards that show agents where none lives, or not the living."""
  shown = np.zeros(snapshot.board.shape, np.uint8)
  for number in range(snapshot.agents.shape[1]):
    row, column, *_, alive = snapshot.agents[:, number].T.astype(np.int64)
    game = np.flatnonzero(alive)
    # Where two live in one cell, the board lacks one of them.
    shown[game, row[game], column[game]] = variants.AGENT + number
  board = np.where(snapshot.board >= variants.AGENT, snapshot.board, 0)
  message = 'board must show the agents that live where they are'
  _refuse(board != shown, message)
  crowded = np.count_nonzero(shown, (1, 2)) != snapshot.agents[..., 5].sum(1)
  _refuse(crowded[:, None, None], f'{message}, one in a cell')


def _check_cells(snapshot, kind):
  """Refuses bombs or flames that the board does not show, and the reverse."""
  code, rows, counts = {
    'bombs': (variants.BOMB, snapshot.bombs, snapshot.bomb_counts),
    'flames': (variants.FLAMES, snapshot.flames, snapshot.flame_counts),
  }[kind]
  game = np.repeat(np.arange(len(snapshot.board)), counts)
  places = [game, *rows[:, : 3 if kind == 'flames' else 2].T.astype(np.int64)]
  _, first, times = np.unique(
    places, axis=1, return_index=True, return_counts=True
  )
  if np.any(times > 1):
    found = rows[first[times > 1][0]].tolist()
    age = ' and of an age' if kind == 'flames' else ''
    raise ValueError(f'{kind} must be one in a cell{age}, got {found} twice')
  board = snapshot.board
  there = np.zeros(board.shape, bool)
  there[tuple(places[:3])] = True
  shows = board == code
  if kind == 'bombs':  # An agent hides the bomb that it stands on.
    shows |= there & (board >= variants.AGENT)
  _refuse(
    there != shows,
    f'board must show the {kind} where they are',
  )


def load(variant: Variant, snapshot: Snapshot) -> State:
  """Returns the state of games that `check` accepts; no words were sent."""
  games = len(snapshot.board)
  state = game_state.make_empty(variant, games)
  state.board[:] = snapshot.board
  state.items[:] = snapshot.items
  number = np.arange(games)
  agents = snapshot.agents.astype(np.int64)
  state.cell = state.find_cell(number[:, None], agents[..., 0], agents[..., 1])
  state.ammo = agents[..., 2].copy()
  state.blast_strength = agents[..., 3].copy()
  state.can_kick, state.alive = agents[..., 4] != 0, agents[..., 5] != 0
  for name, make, rows, counts in (
    ('bombs', Bombs, snapshot.bombs, snapshot.bomb_counts),
    ('flames', Flames, snapshot.flames, snapshot.flame_counts),
  ):
    row, column, *rest = rows.astype(np.int64).T.copy()
    cell = state.find_cell(np.repeat(number, counts), row, column)
    setattr(state, name, make(cell, *rest))
  state.step_count = snapshot.step_count.astype(np.int64)
  return state


def take(state: State) -> Snapshot:
  """Returns copies of what a state holds."""
  bombs, flames = state.bombs, state.flames
  agents = [state.row, state.column, state.ammo, state.blast_strength]
  agents += [state.can_kick, state.alive]
  bomb_counts, bomb_rows = _sort(state, bombs)
  flame_counts, flame_rows = _sort(state, flames)
  return Snapshot(
    board=state.board.copy(),
    items=state.items.copy(),
    agents=np.stack(agents, -1).astype(np.int64),
    bomb_counts=bomb_counts,
    bombs=bomb_rows,
    flame_counts=flame_counts,
    flames=flame_rows,
    step_count=state.step_count.copy(),
  )


def split(rows: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
  """Returns each game's rows of [K, ...], given how many [G] each has."""
  return np.split(rows, np.cumsum(counts, dtype=np.int64)[:-1])


def _sort(state, records):
  """Returns how many bombs or flames a game has, and rows game by game."""
  cell, *columns = vars(records).values()  # In the order of their fields.
  game, row, column = state.locate(cell)
  order = np.argsort(game, kind='stable')
  rows = np.stack([row, column, *columns], 1)[order]
  return np.bincount(game, minlength=state.games), rows
