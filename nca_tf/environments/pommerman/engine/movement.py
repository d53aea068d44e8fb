"""Where agents and bombs go in a step: wishes, bounces and kicks.

The original works through lists and counts who wants each cell; counts of
abandoned cells are never taken back, so they only grow. The set of those who
bounce is therefore a least fixed point, which does not depend on the order, and
all games can be worked on at once.
"""

import dataclasses

import numpy as np

from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.game_state import COLUMN_STEP
from nca_tf.environments.pommerman.engine.game_state import ROW_STEP
from nca_tf.environments.pommerman.engine.game_state import State

_CODES = 16
STOPS_AGENT = np.isin(np.arange(_CODES), (variants.RIGID, variants.WOOD))
IS_ITEM = np.isin(
  np.arange(_CODES),
  (variants.EXTRA_BOMB, variants.INCREASE_RANGE, variants.KICK),
)
STOPS_BOMB = STOPS_AGENT | IS_ITEM


@dataclasses.dataclass
class _Plan:
  """Wishes of a step; N = G * A agents and K bombs, C cells.

  Attributes:
    grid: [C] codes; the cells of living agents and of bombs are PASSAGE.
    step: [6] what an action adds to a cell.
    action: [N] actions, STOP for the dead.
    cell: [N] cells of the agents.
    wish: [N] cells that they want.
    living: Indices of living agents.
    movers: Indices of agents that want another cell than their own.
    bomb_cell: [K] cells of the bombs.
    bomb_wish: [K] cells that they want.
    bomb_movers: Indices of bombs that want another cell than their own.
    wanted: [C] how many agents have wanted a cell.
    bomb_wanted: [C] how many bombs have wanted a cell.
    visitor: [C] an agent that has wanted a cell; arbitrary for other cells.
  """

  grid: np.ndarray
  step: np.ndarray
  action: np.ndarray
  cell: np.ndarray
  wish: np.ndarray
  living: np.ndarray
  movers: np.ndarray
  bomb_cell: np.ndarray
  bomb_wish: np.ndarray
  bomb_movers: np.ndarray
  wanted: np.ndarray
  bomb_wanted: np.ndarray
  visitor: np.ndarray


def move(state: State, actions: np.ndarray) -> None:
  """Lays bombs, moves agents and bombs and picks up items, in place.

  Cells of living agents and of bombs become PASSAGE on the grid; who stands
  where is painted at the end of the step.

  Args:
    state: Behind the ageing of the flames.
    actions: [G, A] int64.
  """
  plan = _make_wishes(state, actions)
  _undo_crossings(plan, state)
  _count(plan)
  _bounce(plan)
  kicked = _kick(plan, state)
  _apply(plan, state, kicked)


def _make_wishes(state, actions):
  """Steps 2 and 3 of the rules: bombs are laid, everyone names a cell."""
  grid = state.grid.reshape(-1)
  cell = state.cell.reshape(-1)
  action = (actions * state.alive).reshape(-1)
  step = ROW_STEP * state.grid.shape[1] + COLUMN_STEP
  living = np.flatnonzero(state.alive)
  grid[cell[living]] = variants.PASSAGE
  layers = np.flatnonzero(action == variants.LAY_BOMB)
  if layers.size:
    _lay_bombs(state, layers)
  movers = np.flatnonzero((action - 1).view(np.uint64) < variants.RIGHT)
  target = cell[movers] + step[action[movers]]
  free = ~STOPS_AGENT[grid[target]]
  movers = movers[free]
  wish = cell.copy()
  wish[movers] = target[free]
  bombs = state.bombs
  grid[bombs.cell] = variants.PASSAGE
  rolling = np.flatnonzero(bombs.direction)
  target = bombs.cell[rolling] + step[bombs.direction[rolling]]
  free = ~STOPS_BOMB[grid[target]]
  bomb_wish = bombs.cell.copy()
  bomb_wish[rolling[free]] = target[free]
  return _Plan(
    grid=grid,
    step=step,
    action=action,
    cell=cell,
    wish=wish,
    living=living,
    movers=movers,
    bomb_cell=bombs.cell,
    bomb_wish=bomb_wish,
    bomb_movers=rolling[free],
    wanted=np.zeros(len(grid), np.uint8),
    bomb_wanted=np.zeros(len(grid), np.uint8),
    visitor=np.empty(len(grid), np.int32),
  )


def _lay_bombs(state, layers):
  """Appends the bombs of those who have one and stand on none."""
  ammo = state.ammo.reshape(-1)
  cells = state.cell.reshape(-1)
  layers = layers[ammo[layers] > 0]
  bombs = state.bombs
  taken = np.zeros(state.grid.size, bool)
  taken[bombs.cell] = True
  layers = layers[~taken[cells[layers]]]
  ammo[layers] -= 1
  new = {
    'cell': cells[layers],
    'life': np.full(len(layers), variants.BOMB_LIFE),
    'blast_strength': state.blast_strength.reshape(-1)[layers],
    'direction': np.zeros(len(layers), np.int64),
    'owner': layers % state.variant.agents,
  }
  for name, values in new.items():
    setattr(bombs, name, np.concatenate([getattr(bombs, name), values]))


def _undo_crossings(plan, state):
  """Step 4: who would pass another one on the same edge stays."""
  movers = plan.movers
  edge = _find_edge(plan.cell[movers], plan.wish[movers], plan.action[movers])
  back = _find_pairs(movers, edge, 2 * len(plan.grid))
  bombs = plan.bomb_movers
  if bombs.size:
    # Edges count although the agent that took them stays.
    bombs_back = _find_crossing_bombs(plan, state)
    plan.bomb_wish[bombs_back] = plan.bomb_cell[bombs_back]
    plan.bomb_movers = bombs[plan.bomb_wish[bombs] != plan.bomb_cell[bombs]]
  plan.wish[back] = plan.cell[back]
  plan.movers = movers[plan.wish[movers] != plan.cell[movers]]


def _find_edge(start, end, action):
  """Numbers the edges between neighbouring cells, both ways the same."""
  return 2 * np.minimum(start, end) + (action < variants.LEFT)


def _find_pairs(names, edge, edges):
  """Returns the names whose edge another one has as well."""
  last = np.empty(edges, np.int32)
  last[edge] = names
  other = last[edge]
  lost = other != names
  return np.concatenate([names[lost], other[lost]])


def _find_crossing_bombs(plan, state):
  bombs = plan.bomb_movers
  start, end = plan.bomb_cell[bombs], plan.bomb_wish[bombs]
  game = start // state.grid[0].size
  # Small: only rolling bombs against the agents of their games.
  cell = plan.cell.reshape(state.cell.shape)[game]  # [M, A]
  wish = plan.wish.reshape(state.cell.shape)[game]
  start, end = start[:, None], end[:, None]
  met = (cell == end) & (wish == start) | (cell == start) & (wish == end)
  met = np.any(met & state.alive[game], 1)
  left = bombs[~met]
  edge = _find_edge(
    plan.bomb_cell[left], plan.bomb_wish[left], state.bombs.direction[left]
  )
  return np.concatenate(
    [bombs[met], _find_pairs(left, edge, 2 * len(plan.grid))]
  )


def _count(plan):
  """Counts who wants each cell."""
  one = np.uint8(1)
  wish = plan.wish[plan.living]
  np.add.at(plan.wanted, wish, one)
  plan.visitor[wish] = plan.living
  np.add.at(plan.bomb_wanted, plan.bomb_wish, one)


def _bounce(plan):
  """Step 5: who wants what another one of its kind wants stays."""
  while True:
    wish = plan.wish[plan.movers]
    hit = (plan.wanted[wish] > 1) | (plan.bomb_wanted[wish] > 1)
    bomb_wish = plan.bomb_wish[plan.bomb_movers]
    bomb_hit = (plan.bomb_wanted[bomb_wish] > 1) | (plan.wanted[bomb_wish] > 1)
    back, bombs_back = plan.movers[hit], plan.bomb_movers[bomb_hit]
    if not back.size and not bombs_back.size:
      return
    _send_back(plan, back, bombs_back)
    plan.movers = plan.movers[~hit]
    plan.bomb_movers = plan.bomb_movers[~bomb_hit]


def _send_back(plan, agents, bombs):
  """Lets some stay where they are: their own cells are wanted once more."""
  plan.wish[agents] = plan.cell[agents]
  plan.wanted[plan.cell[agents]] += 1
  plan.bomb_wish[bombs] = plan.bomb_cell[bombs]
  plan.bomb_wanted[plan.bomb_cell[bombs]] += 1


def _kick(plan, state):
  """Steps 6 and 7: bombs meet agents; returns the bombs kicked for good."""
  none = np.zeros(0, np.int64)
  bomb = np.flatnonzero(plan.wanted[plan.bomb_wish])
  if not bomb.size:
    return none
  plan.visitor[plan.wish[plan.living]] = plan.living
  agent = plan.visitor[plan.bomb_wish[bomb]]
  agent_moves = plan.wish[agent] != plan.cell[agent]
  bomb_moves = plan.bomb_wish[bomb] != plan.bomb_cell[bomb]
  meets = plan.wish[agent] == plan.bomb_wish[bomb]
  meets &= agent_moves | bomb_moves
  if not meets.any():
    return none
  agent, bomb = agent[meets].astype(np.int64), bomb[meets]
  agent_moves = agent_moves[meets]
  target = plan.bomb_wish[bomb] + plan.step[plan.action[agent]]
  kicks = agent_moves & state.can_kick.reshape(-1)[agent]
  kicks &= (plan.wanted[target] == 0) & (plan.bomb_wanted[target] == 0)
  kicks &= ~STOPS_BOMB[plan.grid[target]]
  kicker, kicked = agent[kicks], bomb[kicks]
  plan.bomb_wanted[plan.bomb_wish[kicked]] = 0
  state.bombs.direction[kicked] = plan.action[kicker]
  plan.bomb_wish[kicked] = target[kicks]
  np.add.at(plan.bomb_wanted, target[kicks], np.uint8(1))
  _send_back(plan, agent[agent_moves & ~kicks], bomb[~kicks])
  return _bounce_again(plan, state, kicker, kicked, bomb)


def _bounce_again(plan, state, kicker, kicked, met):
  """Step 7, in games where a bomb met an agent."""
  area = state.grid[0].size
  games = np.zeros(state.games, bool)
  games[plan.bomb_cell[met] // area] = True
  stays = plan.wish[plan.movers] == plan.cell[plan.movers]
  plan.movers = plan.movers[~stays]
  agents = plan.movers[games[plan.movers // state.variant.agents]]
  moves = plan.bomb_wish != plan.bomb_cell
  moves[kicked] = True
  bombs = np.flatnonzero(moves)
  bombs = bombs[games[plan.bomb_cell[bombs] // area]]
  while True:
    wish, bomb_wish = plan.wish[agents], plan.bomb_wish[bombs]
    hit = (plan.wanted[wish] > 1) | (plan.bomb_wanted[wish] != 0)
    bomb_hit = (plan.bomb_wanted[bomb_wish] > 1) | (plan.wanted[bomb_wish] != 0)
    if not hit.any() and not bomb_hit.any():
      break
    # A kicker and its bomb fail together.
    fails = np.isin(kicker, agents[hit]) | np.isin(kicked, bombs[bomb_hit])
    hit |= np.isin(agents, kicker[fails])
    bomb_hit |= np.isin(bombs, kicked[fails])
    _send_back(plan, agents[hit], bombs[bomb_hit])
    kicker, kicked = kicker[~fails], kicked[~fails]
    agents, bombs = agents[~hit], bombs[~bomb_hit]
  movers = plan.movers
  plan.movers = movers[plan.wish[movers] != plan.cell[movers]]
  return kicked


def _apply(plan, state, kicked):
  """Step 8: everyone goes where it may, agents pick up what lies there."""
  bombs = state.bombs
  stops = plan.bomb_wish == plan.bomb_cell
  stops[kicked] = False
  bombs.direction[stops] = 0
  bombs.cell = plan.bomb_wish
  movers = plan.movers
  plan.cell[movers] = plan.wish[movers]
  code = plan.grid[plan.cell[movers]]
  finds = IS_ITEM[code]
  if finds.any():
    _pick_up(state, movers[finds], code[finds])


def _pick_up(state, agents, code):
  ammo = state.ammo.reshape(-1)
  who = agents[code == variants.EXTRA_BOMB]
  ammo[who] = np.minimum(ammo[who] + 1, variants.MAX_AMMO)
  blast_strength = state.blast_strength.reshape(-1)
  who = agents[code == variants.INCREASE_RANGE]
  blast_strength[who] = np.minimum(
    blast_strength[who] + 1, state.variant.max_blast_strength
  )
  state.can_kick.reshape(-1)[agents[code == variants.KICK]] = True
