"""Pommerman's rules, one by one, on boards made for them."""

import numpy as np
import pytest

from nca_tf.environments.pommerman.engine import engine
from nca_tf.environments.pommerman.engine import game_state
from nca_tf.environments.pommerman.engine import observation
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.recordings import snapshot

FFA = variants.get_variant('PommeFFACompetition-v0')
RADIO = variants.get_variant('PommeRadioCompetition-v2')
ONE_VS_ONE = variants.get_variant('OneVsOne-v0')


def make_state(variant=ONE_VS_ONE, agents=(), bombs=(), flames=(), cells=()):
  """A game with what is named: agents (row, column[, kick]), `cells` codes."""
  size = variant.board_size
  board = np.zeros((1, size, size), np.uint8)
  rows = []
  corners = game_state.get_corners(variant)
  for number, corner in enumerate(corners):
    row, column, *kick = agents[number] if number < len(agents) else corner
    rows.append([row, column, 1, 2, *(kick or [0]), 1])
    board[0, row, column] = variants.AGENT + number
  for row, column, *_ in bombs:
    if not board[0, row, column]:
      board[0, row, column] = variants.BOMB
  for row, column, *_ in flames:
    board[0, row, column] = variants.FLAMES
  for row, column, code in cells:
    board[0, row, column] = code
  return snapshot.load(
    variant,
    snapshot.Snapshot(
      board=board,
      items=np.zeros_like(board),
      agents=np.array(rows)[None],
      bomb_counts=np.array([len(bombs)]),
      bombs=np.array(bombs, np.int64).reshape(-1, 6),
      flame_counts=np.array([len(flames)]),
      flames=np.array(flames, np.int64).reshape(-1, 3),
      step_count=np.array([0]),
    ),
  )


def step(state, *actions, **options):
  rest = state.variant.agents - len(actions)
  return engine.step(state, np.array([[*actions, *[0] * rest]]), **options)


def place(state, agent=0):
  return int(state.row[0, agent]), int(state.column[0, agent])


def bomb_places(state):
  _, row, column = state.locate(state.bombs.cell)
  return list(zip(row.tolist(), column.tolist(), strict=True))


def test_bomb_explodes_nine_steps_behind_its_own():
  state = make_state()
  step(state, variants.LAY_BOMB)
  assert state.bombs.life.tolist() == [9] and state.ammo[0].tolist() == [0, 1]
  for _ in range(8):
    step(state, variants.DOWN)
  assert state.bombs.life.tolist() == [1]
  step(state)
  assert len(state.bombs.cell) == 0 and state.ammo[0, 0] == 1
  flames = state.flames
  assert flames.life.tolist() == [2] * 5
  assert np.all(np.diff(flames.cell) > 0)  # Row by row.
  assert state.board[0][1, 0:3].tolist() == [4, 4, 4]


def test_flames_are_seen_in_three_boards():
  state = make_state(bombs=[(4, 4, 1, 2, 0, 0)])
  seen = []
  for _ in range(4):
    step(state)
    seen.append((int(state.board[0, 4, 4]), len(state.flames.cell)))
  assert seen == [(4, 5), (4, 5), (4, 5), (0, 0)]


def test_rays_stop_behind_wood_and_before_rigid_cells():
  state = make_state(
    bombs=[(4, 4, 1, 4, 0, 0)], cells=[(4, 5, variants.WOOD), (3, 4, 1)]
  )
  state.items[0, 4, 5] = variants.KICK
  step(state)
  board = state.board[0]
  assert board[4].tolist() == [0, 4, 4, 4, 4, 4, 0, 0]
  assert board[:, 4].tolist() == [0, 0, 0, 1, 4, 4, 4, 4]
  for _ in range(3):
    step(state)
  assert state.board[0, 4, 5] == variants.KICK and not state.items.any()


def test_chains_explode_at_once_in_the_order_of_the_list():
  bombs = [(6, 2, 9, 2, 0, 1), (4, 2, 1, 2, 0, 0), (5, 2, 9, 2, 0, 0)]
  state = make_state(bombs=bombs)
  step(state)
  assert len(state.bombs.cell) == 0 and state.ammo[0].tolist() == [3, 2]


def test_agents_that_want_the_same_cell_both_stay():
  state = make_state(agents=[(3, 3), (3, 5)])
  step(state, variants.RIGHT, variants.LEFT)
  assert (place(state), place(state, 1)) == ((3, 3), (3, 5))
  state = make_state(agents=[(3, 3), (3, 4)])
  step(state, variants.RIGHT, variants.LEFT)  # They would pass each other.
  assert (place(state), place(state, 1)) == ((3, 3), (3, 4))
  step(state, variants.RIGHT, variants.RIGHT)
  assert (place(state), place(state, 1)) == ((3, 4), (3, 5))


@pytest.mark.parametrize('can_kick', [0, 1])
def test_who_can_kick_moves_the_bomb(can_kick):
  state = make_state(agents=[(3, 3, can_kick)], bombs=[(3, 4, 9, 2, 0, 1)])
  step(state, variants.RIGHT)
  assert place(state) == (3, 3 + can_kick)
  assert bomb_places(state) == [(3, 4 + can_kick)]
  assert state.bombs.direction.tolist() == [variants.RIGHT * can_kick]
  step(state)
  assert bomb_places(state) == [(3, 4 + 2 * can_kick)]


def test_bomb_that_comes_is_kicked_back_to_its_cell():
  state = make_state(agents=[(3, 3, 1)], bombs=[(3, 5, 9, 2, variants.LEFT, 1)])
  step(state, variants.RIGHT)
  assert place(state) == (3, 4) and bomb_places(state) == [(3, 5)]
  assert state.bombs.direction.tolist() == [variants.RIGHT]


def test_bomb_stops_for_good_at_an_item():
  state = make_state(
    bombs=[(4, 3, 9, 2, variants.RIGHT, 0)], cells=[(4, 5, variants.KICK)]
  )
  step(state)
  step(state)
  assert bomb_places(state) == [(4, 4)]
  assert state.bombs.direction.tolist() == [0]


def test_rolling_bomb_explodes_in_a_flame():
  state = make_state(
    bombs=[(4, 3, 9, 2, variants.RIGHT, 0)], flames=[(4, 4, 2)]
  )
  step(state)
  assert len(state.bombs.cell) == 0 and state.board[0, 5, 4] == variants.FLAMES


def test_item_under_two_flames_is_lost():
  state = make_state(flames=[(4, 4, 0), (4, 4, 1)])
  state.items[0, 4, 4] = variants.KICK
  step(state)
  assert state.board[0, 4, 4] == variants.FLAMES and not state.items.any()
  step(state)
  assert state.board[0, 4, 4] == variants.PASSAGE
  state = make_state(flames=[(4, 4, 0), (4, 4, 0)])  # Both end at once.
  state.items[0, 4, 4] = variants.KICK
  step(state)
  assert state.board[0, 4, 4] == variants.PASSAGE


@pytest.mark.parametrize(('life', 'alive'), [(0, True), (1, False)])
def test_only_the_last_flame_lets_agents_in(life, alive):
  state = make_state(agents=[(4, 3)], flames=[(4, 4, life)])
  step(state, variants.RIGHT)
  assert state.alive[0, 0] == alive and place(state) == (4, 4)


@pytest.mark.parametrize(
  ('item', 'field', 'value', 'limit'),
  [
    (variants.EXTRA_BOMB, 'ammo', 2, variants.MAX_AMMO),
    (variants.INCREASE_RANGE, 'blast_strength', 3, 10),
    (variants.KICK, 'can_kick', 1, 1),
  ],
)
def test_agents_pick_up_items(item, field, value, limit):
  state = make_state(cells=[(1, 2, item), (1, 3, item)])
  step(state, variants.RIGHT)
  values = getattr(state, field)
  assert values[0].tolist() == [value, value - 1] and place(state) == (1, 2)
  values[0, 0] = limit
  step(state, variants.RIGHT)
  assert values[0, 0] == limit


def test_view_caps_the_blast_strength_of_items():
  state = make_state(RADIO, cells=[(1, 2, variants.INCREASE_RANGE)])
  state.blast_strength[0, 0] = 7  # Of a loaded game.
  step(state, variants.RIGHT)
  assert state.blast_strength[0, 0] == 4


def judge(variant, alive, step_count=10):
  state = make_state(variant)
  state.alive[0] = alive
  state.step_count[:] = step_count - 1
  outcome = step(state)
  result, winners = engine.get_result(state, outcome)
  return (
    outcome.rewards[0].tolist(),
    bool(outcome.done[0]),
    int(result[0]),
    np.flatnonzero(winners[0]).tolist(),
  )


@pytest.mark.parametrize(
  ('variant', 'alive', 'count', 'expected'),
  [
    (FFA, [1, 1, 0, 1], 10, ([0, 0, -1, 0], False, 3, [])),
    (FFA, [0, 0, 1, 0], 10, ([-1, -1, 1, -1], True, 0, [2])),
    (FFA, [0, 0, 0, 0], 10, ([-1] * 4, True, 2, [])),
    (FFA, [1, 1, 1, 0], 800, ([-1] * 4, True, 2, [])),
    (FFA, [0, 1, 0, 0], 800, ([-1, 1, -1, -1], True, 0, [1])),
    (ONE_VS_ONE, [0, 0], 10, ([0, 0], True, 2, [])),
    (ONE_VS_ONE, [1, 1], 800, ([-1, -1], True, 2, [])),
    (ONE_VS_ONE, [0, 1], 10, ([-1, 1], True, 0, [1])),
    (RADIO, [1, 0, 1, 0], 10, ([1, -1, 1, -1], True, 0, [0, 2])),
    (RADIO, [0, 1, 0, 0], 10, ([-1, 1, -1, 1], True, 0, [1, 3])),
    (RADIO, [1, 1, 0, 0], 10, ([0] * 4, False, 3, [])),
    (RADIO, [1, 1, 1, 0], 800, ([-1] * 4, True, 2, [])),
    (RADIO, [0, 0, 0, 0], 10, ([-1] * 4, True, 2, [])),
  ],
)
def test_rewards_ends_and_results(variant, alive, count, expected):
  assert judge(variant, alive, count) == expected


def test_death_of_the_training_agent_ends_a_game():
  variant = variants.get_variant(FFA.name, training_agent=2)
  assert judge(variant, [1, 1, 0, 1])[1:3] == (True, variants.TIE)
  assert not judge(variant, [1, 0, 1, 1])[1]


def test_ring_collapses_and_is_seen_one_step_later():
  variant = variants.get_variant('PommeFFA-v1', first_collapse=20, max_steps=60)
  assert variant.collapses == (20, 30, 40, 50)
  state = make_state(
    variant,
    agents=[(0, 3), (5, 5), (6, 6), (7, 7)],
    bombs=[(4, 0, 9, 2, 0, 1), (5, 4, 9, 2, 0, 1)],
    flames=[(10, 0, 2), (8, 8, 2)],
  )
  state.items[0, 10, 10] = variants.KICK
  state.step_count[:] = 19
  outcome = step(state, observe=True)
  seen = outcome.observations
  assert seen['board'][0, 1, 0, 3] == variants.AGENT and seen['alive'][0, 0]
  assert outcome.rewards[0].tolist() == [0, 0, 0, 0]
  assert np.all(state.board[0, 0] == variants.RIGID)
  assert state.board[0, 1:10, 1:10].max() > variants.RIGID
  assert state.alive[0].tolist() == [False, True, True, True]
  assert bomb_places(state) == [(5, 4)] and state.ammo[0].tolist()[1] == 2
  assert len(state.flames.cell) == 1 and not state.items.any()
  assert step(state).rewards[0].tolist() == [-1, 0, 0, 0]


def test_words_reach_the_teammate_in_the_same_step():
  state = make_state(RADIO)
  state.alive[0, 3] = False
  words = np.array([[[1, 2], [3, 4], [5, 6], [7, 7]]])
  seen = step(state, messages=words, observe=True).observations
  assert seen['message'][0].tolist() == [[5, 6], [0, 0], [1, 2], [3, 4]]
  engine.restart(state, np.array([True]), np.random.default_rng(0))
  told = observation.observe(state)['message']
  assert told[0].tolist() == seen['message'][0].tolist()  # They leak.
  seen = step(state, observe=True).observations
  assert not seen['message'].any()


def test_fog_hides_what_is_more_than_four_cells_away():
  state = make_state(
    RADIO, bombs=[(5, 5, 9, 2, variants.UP, 0), (6, 5, 8, 3, 0, 0)]
  )
  seen = observation.observe(state)
  board = seen['board'][0, 0]
  assert np.all(board[:6, :6] != variants.FOG)
  assert np.all(board[6:] == variants.FOG)
  assert np.all(board[:, 6:] == variants.FOG)
  life = seen['bomb_life'][0]
  assert life[0].sum() == 9 and life[2].sum() == 17
  assert seen['bomb_moving_direction'][0, 0, 5, 5] == variants.UP
  assert seen['bomb_blast_strength'][0, 2, 6, 5] == 3
