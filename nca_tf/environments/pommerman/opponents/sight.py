"""What scripted agents see, of all games at once.

Letters: L agents that act, B boards that they see, P = S + 2 rows and columns
of a board with its border.
"""

import typing

import numpy as np

from nca_tf.environments.pommerman.engine import game_state
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.variants import Variant


class Sight(typing.NamedTuple):
  """L agents and their boards."""

  board: np.ndarray  # [B, P, P] uint8 codes, RIGID around them
  bombs: np.ndarray  # [B, P, P] uint8 blast strength where a bomb lies, or 0
  which: np.ndarray  # [L] row of `board` and `bombs`
  game: np.ndarray  # [L]
  agent: np.ndarray  # [L]
  row: np.ndarray  # [L], with the border: 1 is the uppermost
  column: np.ndarray  # [L], likewise
  ammo: np.ndarray  # [L]
  blast_strength: np.ndarray  # [L]

  def take(self, chosen: np.ndarray) -> 'Sight':
    """Returns some of the agents, with the same boards."""
    return self._replace(
      **{name: getattr(self, name)[chosen] for name in self._fields[2:]}
    )


def shape(seen) -> tuple[int, int]:
  """Returns (G, A) of observations or of a state."""
  if isinstance(seen, game_state.State):
    return seen.alive.shape
  return seen['ammo'].shape


def look(seen, variant: Variant, who: np.ndarray | None = None) -> Sight:
  """Returns what agents see.

  Args:
    seen: Observations [G, A, ...] as of `observation.observe`, or the state of
      games without fog, which is faster. (A ring that collapses shows one step
      earlier in a state.)
    variant: Of the games.
    who: [G, A] bool, which agents look; all living ones by default.

  Raises:
    ValueError: The state of a variant with fog, or boards of another size.
  """
  is_state = isinstance(seen, game_state.State)
  fields = vars(seen) if is_state else seen  # Of the same names in both.
  game, agent = np.nonzero(fields['alive'] if who is None else who)
  board, bombs, which, row, column = (
    _read_state(seen, game, agent)
    if is_state
    else _read_observations(seen, variant, game, agent)
  )
  ammo = fields['ammo'][game, agent]
  strength = fields['blast_strength'][game, agent]
  return Sight(
    board, bombs, which, game, agent, row + 1, column + 1, ammo, strength
  )


def _read_state(state, game, agent):
  """Returns boards and bombs with a border, and `which`, row and column."""
  if state.variant.view is not None:
    raise ValueError(
      f'seen must be observations where there is fog, in {state.variant.name}, '
      'got a state'
    )
  bombs = np.zeros(state.grid.shape, np.uint8)
  bombs.reshape(-1)[state.bombs.cell] = state.bombs.blast_strength
  _, row, column = state.locate(state.cell[game, agent])
  return state.grid, bombs, game, row, column


def _read_observations(seen, variant, game, agent):
  """Returns the same of observations."""
  size = variant.board_size
  board, bombs = seen['board'], seen['bomb_blast_strength']
  if board.shape[-1] != size:
    raise ValueError(
      f'seen must have boards of {size} rows, as {variant.name}, got '
      f'{board.shape[-1]}'
    )
  if variant.view is None:  # One board for all agents of a game.
    board, bombs, which = board[:, 0], bombs[:, 0], game
  else:
    board, bombs = board[game, agent], bombs[game, agent]
    which = np.arange(len(game))
  border = ((0, 0), (1, 1), (1, 1))
  board = np.pad(board, border, constant_values=variants.RIGID)
  bombs = np.pad(bombs.astype(np.uint8), border)
  row, column = np.moveaxis(seen['position'][game, agent], -1, 0)
  return board, bombs, which, row, column
