"""Pommerman's engine: invariants of play, games side by side, wrong input."""

import copy

import numpy as np
import pytest

from nca_tf.environments import pommerman
from nca_tf.environments.pommerman.engine import engine
from nca_tf.environments.pommerman.engine import observation
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.recordings import snapshot

FFA = variants.get_variant('PommeFFACompetition-v0')
RADIO = variants.get_variant('PommeRadioCompetition-v2')
ONE_VS_ONE = variants.get_variant('OneVsOne-v0')
NAMES = ('alive', 'ammo', 'blast_strength', 'can_kick', 'cell', 'step_count')


def start(variant):
  return engine.reset(variant, 1, np.random.default_rng(0))


def play(state, rng, steps):
  """Random steps; yields each outcome."""
  for _ in range(steps):
    yield engine.step(state, rng.integers(6, size=state.cell.shape))


@pytest.mark.parametrize('variant', [FFA, RADIO, ONE_VS_ONE])
def test_vector_holds_the_observation(variant):
  state = engine.reset(variant, 3, np.random.default_rng(0))
  list(play(state, np.random.default_rng(1), 7))
  seen = observation.observe(state)
  vector = observation.featurize(seen, variant)
  area = variant.board_size**2
  assert vector.dtype == np.float32
  assert vector.shape[2] == {121: 372, 64: 199}[area]
  agent = vector[1, 1]
  for number, name in enumerate(observation.MAPS[:3]):
    part = agent[number * area : (number + 1) * area]
    assert np.array_equal(part, seen[name][1, 1].ravel())
  assert agent[3 * area :].tolist() == [
    *seen['position'][1, 1],
    seen['ammo'][1, 1],
    seen['blast_strength'][1, 1],
    seen['can_kick'][1, 1],
    variant.teammate(1),
    *variant.enemies(1),
  ]


@pytest.mark.parametrize('name', variants.VARIANTS)
def test_play_keeps_its_invariants(name):
  rng = np.random.default_rng(3)
  variant = variants.get_variant(name)
  state = engine.reset(variant, 40, rng)
  for outcome in play(state, rng, 60):
    taken = snapshot.take(state)
    cells = np.where(state.alive, state.cell, -1 - np.arange(variant.agents))
    assert np.all(np.diff(np.sort(cells), axis=1) != 0)
    assert len(set(state.bombs.cell.tolist())) == len(state.bombs.cell)
    assert np.all((state.flames.life >= 0) & (state.flames.life <= 2))
    assert np.all(np.diff(taken.flames[:, 2]) <= 2)
    shown = [
      np.count_nonzero(state.board == variants.AGENT + agent, (1, 2))
      for agent in range(variant.agents)
    ]
    assert np.array_equal(np.transpose(shown), state.alive)
    assert np.all(state.grid[:, 0] == variants.RIGID)
    assert state.ammo.min() >= 0 and state.ammo.max() <= variants.MAX_AMMO
    engine.restart(state, outcome.done, rng)
  assert state.step_count.max() > 20 and state.step_count.min() < 60


def test_games_do_not_touch_each_other():
  rng = np.random.default_rng(5)
  together = engine.reset(FFA, 6, rng)
  list(play(together, rng, 12))
  taken = snapshot.take(together)
  actions = rng.integers(6, size=(30, 6, 4))
  for each in actions:
    engine.step(together, each)
  for game in range(6):
    ranges = [
      slice(counts[:game].sum(), counts[: game + 1].sum())
      for counts in (taken.bomb_counts, taken.flame_counts)
    ]
    one = slice(game, game + 1)
    alone = snapshot.load(
      FFA,
      snapshot.Snapshot(
        taken.board[one],
        taken.items[one],
        taken.agents[one],
        taken.bomb_counts[one],
        taken.bombs[ranges[0]],
        taken.flame_counts[one],
        taken.flames[ranges[1]],
        taken.step_count[one],
      ),
    )
    for each in actions:
      engine.step(alone, each[one])
    assert np.array_equal(alone.board[0], together.board[game])
    assert np.array_equal(alone.ammo[0], together.ammo[game])


def test_restart_leaves_the_other_games_alone():
  rng = np.random.default_rng(7)
  state = engine.reset(FFA, 8, rng)
  list(play(state, rng, 15))
  before = copy.deepcopy(state)
  again = np.arange(8) % 2 == 0
  engine.restart(state, again, rng)
  for name in NAMES:
    values, old = getattr(state, name), getattr(before, name)
    assert np.array_equal(values[~again], old[~again]), name
  assert np.all(state.step_count[again] == 0) and state.alive[again].all()
  fresh = engine.reset(FFA, 8, rng)
  assert np.array_equal(state.cell[again], fresh.cell[again])
  old, new = snapshot.take(before), snapshot.take(state)
  assert np.all(new.bomb_counts == np.where(again, 0, old.bomb_counts))
  assert np.all(new.flame_counts == np.where(again, 0, old.flame_counts))


def test_seed_determines_the_games():
  boards = []
  for seed in (1, 1, 2):
    rng = np.random.default_rng(seed)
    state = engine.reset(ONE_VS_ONE, 20, rng)
    for outcome in play(state, rng, 30):
      engine.restart(state, outcome.done, rng)
    boards.append(state.board.copy())
  assert np.array_equal(boards[0], boards[1])
  assert not np.array_equal(boards[0], boards[2])


@pytest.mark.parametrize(
  ('actions', 'message'),
  [
    ([[0, 6]], 'actions must be in 0..5, got 6'),
    ([[-1, 0]], 'actions must be in 0..5, got -1'),
    ([0, 0], r'actions must be integers of shape \(1, 2\), got int64 of'),
    ([[0.0, 1.0]], 'actions must be integers .* got float64'),
  ],
)
def test_wrong_actions_are_refused(actions, message):
  state = start(ONE_VS_ONE)
  with pytest.raises(ValueError, match=message):
    engine.step(state, np.array(actions))
  assert state.step_count[0] == 0


def test_wrong_words_are_refused():
  stay = np.zeros((1, 4), int)
  with pytest.raises(ValueError, match='messages must be None in OneVsOne-v0'):
    engine.step(start(ONE_VS_ONE), stay[:, :2], stay[:, :2, None])
  state = start(RADIO)
  with pytest.raises(ValueError, match='messages must be in 0..7, got 8'):
    engine.step(state, stay, np.full((1, 4, 2), 8))
  with pytest.raises(ValueError, match=r'of shape \(1, 4, 2\)'):
    engine.step(state, stay, stay)


def test_wrong_variants_are_refused():
  with pytest.raises(ValueError, match="name must be one of .*, got 'Pomme'"):
    variants.get_variant('Pomme')
  with pytest.raises(ValueError, match='first_collapse must be at most 56'):
    variants.get_variant('PommeFFA-v1', first_collapse=57, max_steps=60)


def test_the_package_gives_its_parts_as_its_example_says():
  rng = np.random.default_rng(0)
  rules = pommerman.variants.get_variant('OneVsOne-v0')
  state = pommerman.engine.reset(rules, games=3, rng=rng)
  seen = pommerman.observation.observe(state)
  outcome = pommerman.engine.step(state, np.zeros((3, 2), int), observe=True)
  assert seen['board'].shape == outcome.observations['board'].shape
  pommerman.engine.restart(state, np.ones(3, bool), rng)
  record = pommerman.json_state.dump(state, 1)
  loaded = pommerman.json_state.load(rules, record)
  np.testing.assert_array_equal(loaded.board[0], state.board[1])
  assert pommerman.seeded_board.make(rules, 3)[0].shape == (8, 8)
  assert pommerman.replay.KINDS
