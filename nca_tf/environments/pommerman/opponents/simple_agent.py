"""SimpleAgent: the scripted opponent of Pommerman, for all games at once.

Resnick et al. 2018 (arXiv:1809.07124), section 4: it flees bombs, bombs
enemies and wood, and fetches power-ups. It decides as the original does, with
the same probabilities; the searches are ours, over sets of cells.
"""

import typing

import numpy as np

from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.variants import Variant
from nca_tf.environments.pommerman.opponents import bit_board
from nca_tf.environments.pommerman.opponents import bomb_threats
from nca_tf.environments.pommerman.opponents import near_cells
from nca_tf.environments.pommerman.opponents import sight as sight_lib

_MEMORY = 6  # Places it avoids, those where it last strolled.
_DEPTH = 10  # Rows plus columns over which it plans.
_CODES = 14
_LAST = 9  # A rank after all others.
# Rows and columns of the moves UP, DOWN, LEFT, RIGHT and of STOP.
_MOVES = np.array([1, 2, 3, 4, 0])
_ROWS = np.array([-1, 1, 0, 0, 0])
_COLUMNS = np.array([0, 0, -1, 1, 0])

# Bits of what a cell is to a path; the upper four are for the agents.
_WALK, _OPEN, _PASSAGE, _FOG = 1, 2, 4, 8
_FIRST_AGENT = 16


class _Plan(typing.NamedTuple):
  """What L agents know of their surroundings."""

  sight: sight_lib.Sight
  place: np.ndarray  # [L], row by row and without the border
  passable: np.ndarray  # [L, P], as of `bit_board`
  passage: np.ndarray  # [L, P]
  fog: np.ndarray  # [L, P]
  board: np.ndarray  # [L, P], without its border
  layers: np.ndarray  # [D, L, P], what is reached within 0, 1, ... steps

  @property
  def board_size(self) -> int:
    """S."""
    return self.passable.shape[1] - 2

  def take(self, chosen: np.ndarray) -> '_Plan':
    """Returns the plans of some of the agents."""
    return _Plan(
      self.sight.take(chosen),
      *(field[chosen] for field in self[1:-1]),
      self.layers[:, chosen],
    )

  def neighbours(self, cells: np.ndarray) -> np.ndarray:
    """Returns [L, 5], which moves of `_MOVES` end in a set [L, P]."""
    return bit_board.contains(
      cells,
      np.arange(len(cells))[:, None],
      self.sight.row[:, None] + _ROWS,
      self.sight.column[:, None] + _COLUMNS,
    )


class SimpleAgents:
  """All SimpleAgents of G games; each remembers where it walked last.

  agents = SimpleAgents(variants.get_variant('PommeFFACompetition-v0'))
  actions = agents.act(state, rng)  # [G, A]
  agents.reset(outcome.done)
  """

  def __init__(self, variant: Variant):
    """Makes agents of a variant; the first `act` says how many games."""
    size = variant.board_size
    if size + 2 > bit_board.LARGEST:
      raise ValueError(
        f'variant must have at most {bit_board.LARGEST - 2} rows, got {size}'
      )
    self._variant = variant
    self._classes = _make_classes()
    self._extent = _make_extent(size)
    self._enemies = np.zeros((variant.agents, _CODES), bool)
    for agent in range(variant.agents):
      self._enemies[agent, list(variant.enemies(agent))] = True
    self._visited = None  # [G, A, _MEMORY] places, the oldest first, or -1
    self._chased = None  # [G, A] last move towards an enemy

  def reset(self, where: np.ndarray | None = None):
    """Forgets the past of games that begin anew: [G] bool, or all."""
    if self._visited is not None:
      where = slice(None) if where is None else where
      self._visited[where] = -1
      self._chased[where] = variants.STOP

  def act(self, seen, rng: np.random.Generator, who=None) -> np.ndarray:
    """Chooses the actions of all games.

    Args:
      seen: Observations of G games, or their state where there is no fog.
      rng: Source of the random choices.
      who: [G, A] bool, which agents act; all living ones by default.

    Returns:
      [G, A] int64 actions; STOP for the others.
    """
    sight = sight_lib.look(seen, self._variant, who)
    shape = sight_lib.shape(seen)
    if self._visited is None or self._visited.shape[:2] != shape:
      self._visited = np.empty((*shape, _MEMORY), np.int64)
      self._chased = np.empty(shape, np.int64)
      self.reset()
    actions = np.zeros(shape, np.int64)
    if len(sight.game):
      actions[sight.game, sight.agent] = self._choose(sight, rng)
    return actions

  def _choose(self, sight, rng):
    """Actions [L]: safety first."""
    plan = self._make_plan(sight)
    threats = bomb_threats.find(sight, plan.layers)
    actions = np.zeros(len(sight.game), np.int64)
    threatened = threats.strength.any(1)
    lanes = np.flatnonzero(threatened)
    if len(lanes):
      actions[lanes] = _flee(plan.take(lanes), threats.take(lanes), rng)
    lanes = np.flatnonzero(~threatened)
    if len(lanes):
      actions[lanes] = self._work(plan.take(lanes), rng)
    return actions

  def _make_plan(self, sight):
    size = self._variant.board_size
    flags = np.zeros((*sight.board.shape[:2], bit_board.LARGEST), np.uint8)
    flags[..., : size + 2] = self._classes[sight.board]
    walk, opened, passage, fog = (
      bit_board.pack(flags & bit)[sight.which]
      for bit in (_WALK, _OPEN, _PASSAGE, _FOG)
    )
    for other in range(self._variant.agents):
      # It assumes that it can walk through any agent that is no enemy.
      shown = bit_board.pack(flags & (_FIRST_AGENT << other))[sight.which]
      friend = ~self._enemies[sight.agent, variants.AGENT + other]
      walk |= shown * friend[:, None]
    place = (sight.row - 1) * size + sight.column - 1
    layers = bit_board.flood(
      bit_board.single(size)[place], walk, opened & self._extent[place]
    )
    board = np.broadcast_to(bit_board.whole(size), walk.shape)
    return _Plan(sight, place, walk, passage, fog, board, layers)

  def _work(self, plan, rng):
    """Actions [L] where no bomb threatens: the first rule that applies."""
    sight = plan.sight
    near = near_cells.look_around(
      sight.board,
      sight.which,
      sight.row,
      sight.column,
      lambda code: self._is_passable(code, sight.agent),
      rng,
    )
    may_bomb = _may_bomb(plan)
    enemies = self._enemies[sight.agent[:, None], near.code]
    wood = near.code == variants.WOOD
    items = (variants.EXTRA_BOMB <= near.code) & (near.code <= variants.KICK)
    adjacent = near_cells.move_to_nearest(near, enemies, 1) > 0
    chase = near_cells.move_to_nearest(near, enemies, 3)
    repeated = chase == self._chased[sight.game, sight.agent]
    chase[repeated & (rng.random(len(chase)) >= 0.5)] = variants.STOP
    fetch = near_cells.move_to_nearest(near, items, 2)
    at_wood = near_cells.move_to_nearest(near, wood, 1) > 0
    to_wood = near_cells.move_to_nearest(near, wood, 2)
    danger = self._find_danger(plan)
    to_wood[_at_move(danger, to_wood)] = variants.STOP
    at_wood_action = np.where(may_bomb, variants.LAY_BOMB, variants.STOP)
    rules = [adjacent & may_bomb, chase > 0, fetch > 0, at_wood, to_wood > 0]
    choices = [variants.LAY_BOMB, chase, fetch, at_wood_action, to_wood]
    actions = np.select(rules, choices, -1)
    chased = ~rules[0] & rules[1]
    self._chased[sight.game[chased], sight.agent[chased]] = chase[chased]
    lanes = np.flatnonzero(actions < 0)
    if len(lanes):
      actions[lanes] = self._stroll(plan.take(lanes), danger[lanes], rng)
    return actions

  def _is_passable(self, code, agent):
    """Whether agents [L] assume that they can walk through codes [L, K]."""
    walk = (self._classes[code] & _WALK) != 0
    is_agent = code >= variants.AGENT
    return walk | (is_agent & ~self._enemies[agent[:, None], code])

  def _find_danger(self, plan):
    """[L, 5]: which of `_MOVES` end in a bomb's row or column, in its reach.

    Walls that would stop the blast do not count, and the reach is one cell
    longer than the blast: the original's caution.
    """
    sight, size = plan.sight, self._variant.board_size
    danger = np.zeros(sight.board.shape[:2], np.uint16)
    board, row, column = np.nonzero(sight.bombs)
    if len(board):
      strength = sight.bombs[board, row, column].astype(np.int64)
      strength = np.minimum(strength, 2 * size - 1)
      place = (row - 1) * size + column - 1
      # Bombs come in the order of their boards.
      first = np.flatnonzero(np.diff(board, prepend=-1))
      danger[board[first]] = np.bitwise_or.reduceat(
        bit_board.cross(size)[strength, place], first
      )
    return plan.neighbours(danger[sight.which])

  def _stroll(self, plan, danger, rng):
    """A random safe step, if possible to a place not visited lately."""
    sight = plan.sight
    allowed = plan.neighbours(plan.passable) & ~danger
    visited = self._visited[sight.game, sight.agent]
    width = self._variant.board_size
    target = plan.place[:, None] + _ROWS * width + _COLUMNS
    fresh = allowed & ~(target[:, :, None] == visited[:, None]).any(2)
    allowed = np.where(fresh.any(1, keepdims=True), fresh, allowed)
    allowed[:, -1] &= allowed.sum(1) == 1  # Staying is the last resort.
    visited = np.concatenate([visited[:, 1:], plan.place[:, None]], 1)
    self._visited[sight.game, sight.agent] = visited
    return _pick(allowed, rng)


def _flee(plan, threats, rng):
  """Actions [L] of agents within the reach of bombs."""
  strength = threats.strength
  passable = plan.neighbours(plan.passable)[:, :4]
  fog = plan.neighbours(plan.fog)[:, :4]
  safe = (passable | fog) & (strength == 0)
  on_board = plan.neighbours(plan.board)[:, :4] & (strength > 0)
  safe = np.where(safe.any(1, keepdims=True), safe, on_board)
  actions = _pick(safe, rng)
  lanes = np.flatnonzero((strength > 0).all(1))
  if len(lanes):
    actions[lanes] = _leave_bomb(plan.take(lanes), threats.take(lanes))
  return actions


def _leave_bomb(plan, threats):
  """Actions [L] with bombs on every side, or on a bomb: avoids dead ends.

  In the order in which the threats were found, this is the first move after
  which a path leads around a corner or out of the bomb's reach.
  """
  width = plan.board_size
  steps = _ROWS[:4] * width + _COLUMNS[:4]
  allowed = plan.neighbours(plan.passable)[:, :4]
  lane, move = np.nonzero(allowed)
  target = (plan.place[:, None] + steps)[lane, move]
  own = bit_board.single(width)[plan.place[lane]]
  free = bit_board.leads_out(
    bit_board.single(width)[target],
    plan.passable[lane] & ~own,
    bit_board.beyond(width)[threats.strength[lane, move], target],
  )
  good = np.zeros(allowed.shape, bool)
  good[lane[free], move[free]] = True
  best = np.where(good, threats.rank, _LAST).argmin(1)
  return np.where(good.any(1), _MOVES[best], variants.STOP)


def _may_bomb(plan):
  """[L] bool: it has a bomb, and a path out of the blast."""
  sight = plan.sight
  lanes = np.arange(len(plan.place))
  within = np.minimum(sight.blast_strength, len(plan.layers) - 1)
  off_axes = bit_board.off_axes(plan.board_size)[plan.place]
  escape = plan.layers[-1] & plan.passage
  escape &= off_axes | ~plan.layers[within, lanes]
  return (sight.ammo > 0) & escape.any(1)


def _pick(allowed, rng):
  """Actions [L] of one of the allowed `_MOVES` [L, K] each; STOP for none."""
  choice = (allowed * rng.random(allowed.shape)).argmax(1)
  some = allowed.any(1)
  return np.where(some, _MOVES[choice], variants.STOP)


def _at_move(table, action):
  """Values of a table [L, 5] over `_MOVES` at actions [L]."""
  return table[np.arange(len(action)), action - 1]  # STOP, 0, is the last.


def _make_classes():
  """[14] bits of each code."""
  classes = np.zeros(_CODES, np.uint8)
  classes[[variants.PASSAGE, *variants.ITEMS]] |= _WALK
  classes[variants.PASSAGE] |= _PASSAGE
  classes[variants.FOG] |= _FOG
  closed = [variants.RIGID, variants.FLAMES, variants.FOG]
  classes[~np.isin(np.arange(_CODES), closed)] |= _OPEN
  for agent in range(4):
    classes[variants.AGENT + agent] |= _FIRST_AGENT << agent
  return classes


def _make_extent(size):
  """[S * S, P]: cells that it plans over, by where it stands.

  Those within `_DEPTH`. It does not look at row + _DEPTH and after, so that
  from the first row it never sees the last one of 11.
  """
  near = bit_board.distances(size) <= _DEPTH
  row, column = np.divmod(np.arange(size**2), size)
  line = np.arange(size)
  near &= (line < row[:, None] + _DEPTH)[:, :, None]
  near &= (line < column[:, None] + _DEPTH)[:, None, :]
  return bit_board.from_flags(near)
