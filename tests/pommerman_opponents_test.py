"""Scripted players: what each rule of SimpleAgent chooses, and how often."""

import collections
import dataclasses

import numpy as np
import pytest

from nca_tf.environments.pommerman import opponents
from nca_tf.environments.pommerman import original
from nca_tf.environments.pommerman.engine import engine
from nca_tf.environments.pommerman.engine import game_state
from nca_tf.environments.pommerman.engine import observation
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.opponents import bit_board

FFA = variants.get_variant('PommeFFACompetition-v0')
TEAM = variants.get_variant('PommeTeam-v0')
COPIES = 400
STOP, UP, DOWN, LEFT, RIGHT, LAY = range(6)
SIGNS = '.#%@!?o^>'


def make_state(text, variant=FFA, strength=2, copies=COPIES):
  """Copies of a board in text: agents A-D, on bombs a-d, bombs @.

  The text is the board's upper left part; rigid cells are around it. Who is
  not in it stands in the lower right corner, walled in.
  """
  state = game_state.make_empty(variant, copies)
  size = variant.board_size
  board = np.full((size, size), variants.RIGID, np.uint8)
  bombs = []
  cells = {
    number: (size - 1 - 2 * (number // 2), size - 1 - 2 * (number % 2))
    for number in range(variant.agents)
  }
  for row, line in enumerate(text.split()):
    for column, sign in enumerate(line):
      if sign.upper() in 'ABCD':
        cells['ABCD'.index(sign.upper())] = (row, column)
      else:
        board[row, column] = SIGNS.index(sign)
      if sign == '@' or sign.islower() and sign != 'o':
        bombs.append((row, column))
  for number, cell in cells.items():
    board[cell] = variants.AGENT + number
    state.cell[:, number] = state.find_cell(np.arange(copies), *cell)
  state.board[:] = board
  games = np.repeat(np.arange(copies), len(bombs))
  if bombs:
    rows, columns = np.tile(np.array(bombs).T, copies)
    cell = state.find_cell(games, rows, columns)
    full = np.full(len(cell), 1)
    state.bombs = game_state.Bombs(
      cell, 9 * full, strength * full, 0 * full, 0 * full
    )
  return state


def shares(state, player=None, seed=0):
  """How often agent 0 chooses each action."""
  player = player or opponents.make('simple', state.variant)
  who = np.zeros(state.alive.shape, bool)
  who[:, 0] = True
  seen = observation.observe(state) if state.variant.view else state
  actions = player.act(seen, np.random.default_rng(seed), who)
  assert np.all(actions[:, 1:] == STOP)
  counts = collections.Counter(actions[:, 0].tolist())
  return {action: count / state.games for action, count in counts.items()}


@pytest.mark.parametrize(
  ('text', 'action'),
  [
    ('.....\n.###.\n.A%..', LAY),  # Around the corner it is safe.
    ('###\n#A%', STOP),  # The blast would fill the dead end.
    ('%A..', STOP),  # Two cells away is still within a blast of two.
  ],
)
def test_wood_beside_it_is_bombed_where_there_is_a_way_out(text, action):
  assert shares(make_state(text)) == {action: 1.0}


def test_a_passage_behind_the_blast_is_a_way_out():
  assert shares(make_state('%A...')) == {LAY: 1.0}
  state = make_state('%A...')
  state.blast_strength[:] = 3
  assert shares(state) == {STOP: 1.0}


def test_without_ammo_it_waits_at_the_wood():
  state = make_state('.....\n.###.\n.A%..')
  state.ammo[:] = 0
  assert shares(state) == {STOP: 1.0}


def test_wood_two_steps_away_is_approached_unless_a_bomb_reaches_there():
  assert shares(make_state('#.#.#\n.A.%#\n#.#.#')) == {RIGHT: 1.0}
  # The way to the bomb is long, so that it threatens nobody now.
  found = shares(make_state('#.#.#\n.A.%#\n#.###\n##@##'))
  assert set(found) == {UP, DOWN, LEFT}


def test_it_leaves_the_line_of_a_bomb():
  # The bomb is to its right, two steps away.
  state = make_state('#.#.#\n.A.@.\n#.#.#')
  found = shares(state)
  assert set(found) == {UP, DOWN, LEFT}
  assert all(abs(share - 1 / 3) < 0.08 for share in found.values())


def test_a_bomb_behind_a_wall_counts_by_the_way_to_it():
  around = '#@#\n.#.\n.A.'  # No way leads there.
  assert UP not in shares(make_state(around))
  assert set(shares(make_state('%@%\n...\n.A.\n%.%', strength=2))) == {
    DOWN,
    LEFT,
    RIGHT,
  }


def test_it_runs_on_when_only_the_way_to_the_bomb_is_open():
  # Nothing is safe: it takes a direction in reach of a bomb.
  assert shares(make_state('A.@.')) == {RIGHT: 1.0}


@pytest.mark.parametrize(
  ('text', 'action'),
  [
    # Right, left, up, down: the first that is no dead end.
    ('%.#..\n#..a..\n%##..', RIGHT),
    ('..###\n#.a.#\n..###', LEFT),
    ('###..\n#.a#.\n####.', STOP),
    ('#..\n#.#\n#a#\n#.#', UP),
    ('#.#\n#a#\n#.#\n#..', DOWN),
    # A bomb above is found before the one underfoot: up comes first.
    ('@....\n.....\na....\n.....', UP),
  ],
)
def test_on_a_bomb_it_takes_the_first_way_that_leads_out(text, action):
  assert shares(make_state(text)) == {action: 1.0}


def test_an_enemy_beside_it_is_bombed():
  assert shares(make_state('....\n.AB.\n....')) == {LAY: 1.0}
  assert LAY not in shares(make_state('....\n.AC.\n....', TEAM))


def test_an_enemy_is_chased_half_as_readily_in_the_same_direction():
  state = make_state('######\n#A..B#\n#....#\n######')
  player = opponents.make('simple', FFA)
  assert shares(state, player) == {RIGHT: 1.0}
  again = shares(state, player, seed=1)
  assert 0.4 < again[RIGHT] < 0.9
  assert len(again) > 1
  player.reset(np.arange(COPIES) < COPIES // 2)
  assert shares(state, player, seed=2)[RIGHT] > again[RIGHT] + 0.05


def test_two_ways_of_one_length_are_taken_equally_often():
  found = shares(make_state('####\n#A.#\n#.o#\n####'))
  assert set(found) == {RIGHT, DOWN}
  assert abs(found[RIGHT] - 0.5) < 0.1


@pytest.mark.parametrize(
  ('text', 'action'),
  [
    ('>.A.o', LEFT),  # The highest code,
    ('^.A.^', RIGHT),  # then the last by rows,
    ('oA.>', LEFT),  # but the nearest before all.
  ],
)
def test_power_ups_within_two_steps_are_fetched(text, action):
  assert shares(make_state(text)) == {action: 1.0}


def test_it_walks_where_it_was_not_lately():
  state = make_state('.....\n.....\n..A..\n.....\n.....')
  player = opponents.make('simple', FFA)
  found = shares(state, player)
  assert set(found) == {UP, DOWN, LEFT, RIGHT}
  state.cell[:, 0] = state.find_cell(np.arange(COPIES), 2, 3)
  assert LEFT not in shares(state, player)
  player.reset()
  assert LEFT in shares(state, player)


def test_it_stands_still_rather_than_enter_the_reach_of_a_bomb():
  # One longer than the blast, and through walls: the original's caution.
  text = '####\n#.#@\n#A##'
  assert shares(make_state(text, strength=2)) == {STOP: 1.0}
  assert shares(make_state(text, strength=1)) == {UP: 1.0}


def test_from_the_first_row_it_never_sees_the_last_of_eleven():
  way = ['.'] * 9
  below, above = ('\n'.join([a, *way, b]) for a, b in ('A@', '@A'))
  # Its caution holds it; a bomb that it saw would make it run.
  assert shares(make_state(below, strength=10)) == {STOP: 1.0}
  assert shares(make_state(above, strength=10)) == {UP: 1.0}


def test_what_fog_hides_is_not_seen():
  hidden = variants.get_variant('PommeTeamCompetition-v0')
  near = dataclasses.replace(hidden, view=1)
  text = '######\n#A.B.#\n######'
  chased = variants.get_variant('PommeTeam-v0')
  assert shares(make_state(text, chased)) == {RIGHT: 1.0}
  player = opponents.make('simple', near)
  shares(make_state(text, near), player)
  assert np.all(player._chased[:, 0] == STOP)
  with pytest.raises(ValueError, match='seen must be observations .* fog'):
    player.act(make_state(text, near), np.random.default_rng(0))


def test_states_and_observations_give_the_same_actions():
  rng = np.random.default_rng(0)
  state = engine.reset(FFA, 64, rng)
  one, other = (opponents.make('simple', FFA) for _ in range(2))
  for step in range(60):
    seen = observation.observe(state)
    actions = one.act(state, np.random.default_rng(step))
    again = other.act(seen, np.random.default_rng(step))
    np.testing.assert_array_equal(actions, again)
    assert np.all(actions[~state.alive] == STOP)
    engine.step(state, actions)
  assert not state.alive.all()


def test_games_do_not_disturb_each_other():
  rng = np.random.default_rng(0)
  state = make_state('.....\n.###.\n.A%..', copies=3)
  state.board[1, 2, 2] = variants.PASSAGE
  actions = opponents.make('simple', FFA).act(state, rng)
  assert actions[[0, 2], 0].tolist() == [LAY, LAY]
  assert actions[1, 0] != LAY


@pytest.mark.parametrize(
  ('name', 'expected'),
  [('random', [1 / 6] * 6), ('mostly_moving', [0, *[0.23] * 4, 0.08])],
)
def test_blind_players_draw_with_their_shares(name, expected):
  state = game_state.make_empty(FFA, 5000)
  player = opponents.make(name, FFA)
  actions = player.act(state, np.random.default_rng(0))
  assert actions.shape == (5000, 4)
  found = np.bincount(actions.ravel(), minlength=6) / actions.size
  np.testing.assert_allclose(found, expected, atol=0.01)


def test_unknown_players_are_named():
  with pytest.raises(ValueError, match="random, .*, simple, got 'clever'"):
    opponents.make('clever', FFA)


def test_boards_too_large_for_a_row_of_bits_are_refused():
  with pytest.raises(ValueError, match='at most 14 rows, got 15'):
    opponents.make('simple', dataclasses.replace(FFA, board_size=15))


def test_floods_find_the_lengths_of_shortest_paths():
  rng = np.random.default_rng(0)
  size = 6
  openings = rng.random((20, size, size)) < 0.7
  passable = bit_board.from_flags(openings)
  start = bit_board.single(size)[rng.integers(size**2, size=20)]
  layers = bit_board.flood(start, passable | start, passable | start)
  cells = layers[:, :, 1:-1, None] >> np.arange(1, size + 1) & 1
  found = np.where(cells[-1], (cells == 0).sum(0), -1)
  for number in range(20):
    inside = openings[number] | (found[number] == 0)
    np.testing.assert_array_equal(
      found[number], walk(inside, np.argwhere(found[number] == 0)[0])
    )


def walk(inside, start):
  """Steps to each cell, -1 where none lead: the slow way."""
  found = np.full(inside.shape, -1)
  found[tuple(start)] = 0
  queue = collections.deque([tuple(start)])
  while queue:
    row, column = queue.popleft()
    for r, c in ((-1, 0), (1, 0), (0, -1), (0, 1)):
      cell = row + r, column + c
      if min(cell) < 0 or max(cell) >= len(inside):
        continue
      if inside[cell] and found[cell] < 0:
        found[cell] = found[row, column] + 1
        queue.append(cell)
  return found


@pytest.mark.parametrize('name', ['PommeFFACompetition-v0', 'OneVsOne-v0'])
def test_the_original_decides_alike(name):
  if not original.is_installed():
    pytest.importorskip('pommerman')
  variant = variants.get_variant(name)
  rng = np.random.default_rng(0)
  original.seed(0)
  state = engine.reset(variant, 3, rng)
  ours = opponents.make('simple', variant)
  for _ in range(25):
    engine.step(state, ours.act(state, rng))
  # Both without a past: the actions of some agents, drawn often.
  seen = observation.observe(state)
  for game in range(3):
    copies = {
      key: np.repeat(values[game : game + 1], 100, 0)
      for key, values in seen.items()
    }
    found = [
      make(variant).act(copies, rng)
      for make in (original.SimpleAgents, lambda v: opponents.make('simple', v))
    ]
    for agent in np.flatnonzero(state.alive[game]):
      counts = [np.bincount(each[:, agent], minlength=6) for each in found]
      assert abs(counts[0] - counts[1]).sum() < 60
      assert np.all(counts[1][counts[0] == 0] < 10)
