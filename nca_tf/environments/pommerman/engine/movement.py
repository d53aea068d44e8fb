"""Where agents and bombs go in a step: desired cells, bounces and kicks.

The original works through lists and counts how many claim each cell; it never
lowers the count of a cell that a mover gives up, so counts only grow. The set
of those who must stay is therefore a least fixed point, which does not depend
on the order, and all games can be computed at once.
"""

import dataclasses

import numpy as np

from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.game_state import COLUMN_STEP
from nca_tf.environments.pommerman.engine.game_state import ROW_STEP
from nca_tf.environments.pommerman.engine.game_state import State

_CODES = 16
STOPS_AGENT = np.isin(np.arange(_CODES), (variants.RIGID, variants.WOOD))
IS_ITEM = np.isin(np.arange(_CODES), variants.ITEMS)
STOPS_BOMB = STOPS_AGENT | IS_ITEM


@dataclasses.dataclass
class _Plan:
  """Desired cells of a step; N = G * A agents, K bombs, C cells."""

  # [C] codes; the cells of living agents and of bombs are PASSAGE
  grid: np.ndarray
  step: np.ndarray  # [6] what an action adds to a cell
  action: np.ndarray  # [N] actions, STOP for the dead
  cell: np.ndarray  # [N] cells of the agents
  desired: np.ndarray  # [N] cells that they desire
  living: np.ndarray  # Indices of living agents
  movers: np.ndarray  # Indices of agents whose desired cell is not their own
  bomb_cell: np.ndarray  # [K] cells of the bombs
  bomb_desired: np.ndarray  # [K] cells that they desire
  # Indices of bombs whose desired cell is not their own
  bomb_movers: np.ndarray
  claims: np.ndarray  # [C] how many agents have claimed a cell
  bomb_claims: np.ndarray  # [C] how many bombs have claimed a cell
  # [C] an agent that has claimed a cell; arbitrary for other cells
  visitor: np.ndarray


def move(state: State, actions: np.ndarray) -> None:
  """Lays bombs, moves agents and bombs and picks up items, in place.

  Cells of living agents and of bombs become PASSAGE on the grid;
  `explosions.explode` paints agents and bombs at the end of the step. The
  actions [G, A] are int64, the state is that after `explosions.age_flames`.
  """
  plan = _plan_moves(state, actions)
  _undo_crossings(plan, state)
  _count(plan)
  _bounce(plan)
  kicked = _kick(plan, state)
  _apply(plan, state, kicked)


def _plan_moves(state, actions):
  """Steps 2 and 3 of the rules: lays bombs, finds the desired cells."""
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
  desired = cell.copy()
  desired[movers] = target[free]
  bombs = state.bombs
  grid[bombs.cell] = variants.PASSAGE
  rolling = np.flatnonzero(bombs.direction)
  target = bombs.cell[rolling] + step[bombs.direction[rolling]]
  free = ~STOPS_BOMB[grid[target]]
  bomb_desired = bombs.cell.copy()
  bomb_desired[rolling[free]] = target[free]
  return _Plan(
    grid=grid,
    step=step,
    action=action,
    cell=cell,
    desired=desired,
    living=living,
    movers=movers,
    bomb_cell=bombs.cell,
    bomb_desired=bomb_desired,
    bomb_movers=rolling[free],
    claims=np.zeros(len(grid), np.uint8),
    bomb_claims=np.zeros(len(grid), np.uint8),
    visitor=np.empty(len(grid), np.int32),
  )


def _lay_bombs(state, layers):
  """Appends bombs of agents that have one left and do not stand on one."""
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
  """Step 4: two that would swap their cells stay, both of them."""
  movers = plan.movers
  edge = _find_edge(
    plan.cell[movers], plan.desired[movers], plan.action[movers]
  )
  back = _find_pairs(movers, edge, 2 * len(plan.grid))
  bombs = plan.bomb_movers
  if bombs.size:
    # Before the agents' moves are undone: those block bombs all the same.
    bombs_back = _find_crossing_bombs(plan, state)
    plan.bomb_desired[bombs_back] = plan.bomb_cell[bombs_back]
    plan.bomb_movers = bombs[plan.bomb_desired[bombs] != plan.bomb_cell[bombs]]
  plan.desired[back] = plan.cell[back]
  plan.movers = movers[plan.desired[movers] != plan.cell[movers]]


def _find_edge(start, end, action):
  """Numbers the edges between neighbouring cells, for both directions."""
  return 2 * np.minimum(start, end) + (action < variants.LEFT)


def _find_pairs(names, edge, edges):
  """Returns the movers whose edge another mover crosses as well."""
  last = np.empty(edges, np.int32)
  last[edge] = names
  other = last[edge]
  lost = other != names
  return np.concatenate([names[lost], other[lost]])


def _find_crossing_bombs(plan, state):
  bombs = plan.bomb_movers
  start, end = plan.bomb_cell[bombs], plan.bomb_desired[bombs]
  game = start // state.grid[0].size
  # Small: only rolling bombs against the agents of their games.
  cell = plan.cell.reshape(state.cell.shape)[game]  # [M, A]
  desired = plan.desired.reshape(state.cell.shape)[game]
  start, end = start[:, None], end[:, None]
  met = (cell == end) & (desired == start) | (cell == start) & (desired == end)
  met = np.any(met & state.alive[game], 1)
  left = bombs[~met]
  edge = _find_edge(
    plan.bomb_cell[left], plan.bomb_desired[left], state.bombs.direction[left]
  )
  return np.concatenate(
    [bombs[met], _find_pairs(left, edge, 2 * len(plan.grid))]
  )


def _count(plan):
  """Counts the claims on each cell."""
  one = np.uint8(1)
  desired = plan.desired[plan.living]
  np.add.at(plan.claims, desired, one)
  plan.visitor[desired] = plan.living
  np.add.at(plan.bomb_claims, plan.bomb_desired, one)


def _bounce(plan):
  """Step 5: movers whose desired cell has two claims stay, until none has."""
  while True:
    desired = plan.desired[plan.movers]
    hit = (plan.claims[desired] > 1) | (plan.bomb_claims[desired] > 1)
    bomb_desired = plan.bomb_desired[plan.bomb_movers]
    bomb_hit = (plan.bomb_claims[bomb_desired] > 1) | (
      plan.claims[bomb_desired] > 1
    )
    back, bombs_back = plan.movers[hit], plan.bomb_movers[bomb_hit]
    if not back.size and not bombs_back.size:
      return
    _send_back(plan, back, bombs_back)
    plan.movers = plan.movers[~hit]
    plan.bomb_movers = plan.bomb_movers[~bomb_hit]


def _send_back(plan, agents, bombs):
  """Lets some stay where they are, which adds a claim on their own cells."""
  plan.desired[agents] = plan.cell[agents]
  plan.claims[plan.cell[agents]] += 1
  plan.bomb_desired[bombs] = plan.bomb_cell[bombs]
  plan.bomb_claims[plan.bomb_cell[bombs]] += 1


def _kick(plan, state):
  """Steps 6 and 7: bombs meet agents; returns the bombs that are kicked."""
  none = np.zeros(0, np.int64)
  bomb = np.flatnonzero(plan.claims[plan.bomb_desired])
  if not bomb.size:
    return none
  plan.visitor[plan.desired[plan.living]] = plan.living
  agent = plan.visitor[plan.bomb_desired[bomb]]
  agent_moves = plan.desired[agent] != plan.cell[agent]
  bomb_moves = plan.bomb_desired[bomb] != plan.bomb_cell[bomb]
  meets = plan.desired[agent] == plan.bomb_desired[bomb]
  meets &= agent_moves | bomb_moves
  if not meets.any():
    return none
  agent, bomb = agent[meets].astype(np.int64), bomb[meets]
  agent_moves = agent_moves[meets]
  target = plan.bomb_desired[bomb] + plan.step[plan.action[agent]]
  kicks = agent_moves & state.can_kick.reshape(-1)[agent]
  kicks &= (plan.claims[target] == 0) & (plan.bomb_claims[target] == 0)
  kicks &= ~STOPS_BOMB[plan.grid[target]]
  kicker, kicked = agent[kicks], bomb[kicks]
  plan.bomb_claims[plan.bomb_desired[kicked]] = 0
  state.bombs.direction[kicked] = plan.action[kicker]
  plan.bomb_desired[kicked] = target[kicks]
  np.add.at(plan.bomb_claims, target[kicks], np.uint8(1))
  _send_back(plan, agent[agent_moves & ~kicks], bomb[~kicks])
  return _bounce_again(plan, state, kicker, kicked, bomb)


def _bounce_again(plan, state, kicker, kicked, met):
  """Step 7, in games where a bomb met an agent."""
  area = state.grid[0].size
  games = np.zeros(state.games, bool)
  games[plan.bomb_cell[met] // area] = True
  stays = plan.desired[plan.movers] == plan.cell[plan.movers]
  plan.movers = plan.movers[~stays]
  agents = plan.movers[games[plan.movers // state.variant.agents]]
  moves = plan.bomb_desired != plan.bomb_cell
  moves[kicked] = True
  bombs = np.flatnonzero(moves)
  bombs = bombs[games[plan.bomb_cell[bombs] // area]]
  while True:
    desired, bomb_desired = plan.desired[agents], plan.bomb_desired[bombs]
    hit = (plan.claims[desired] > 1) | (plan.bomb_claims[desired] != 0)
    bomb_hit = (plan.bomb_claims[bomb_desired] > 1) | (
      plan.claims[bomb_desired] != 0
    )
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
  plan.movers = movers[plan.desired[movers] != plan.cell[movers]]
  return kicked


def _apply(plan, state, kicked):
  """Step 8: agents and bombs move, agents pick up items."""
  bombs = state.bombs
  stops = plan.bomb_desired == plan.bomb_cell
  stops[kicked] = False
  bombs.direction[stops] = 0
  bombs.cell = plan.bomb_desired
  movers = plan.movers
  plan.cell[movers] = plan.desired[movers]
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
