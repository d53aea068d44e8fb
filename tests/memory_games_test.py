"""Games of memory: their rules, step by step, by hand and against POPGym's."""

import sys
import types

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from nca_tf.agents import spaces
from nca_tf.agents import vector_bridge
from nca_tf.command_line import faults
from nca_tf.environments import gym_registry
from nca_tf.environments.memory_games import cards
from nca_tf.environments.memory_games import quiz
from nca_tf.environments.memory_games import registry
from nca_tf.experiments.agents import arenas

KEY, LANES = [3, 4], 3
POPGYM = {
  'repeat_first': 'RepeatFirst',
  'repeat_previous': 'RepeatPrevious',
  'autoencode': 'Autoencode',
  'count_recall': 'CountRecall',
  'higher_lower': 'HigherLower',
}


def play(game, actions, state=None):
  """Plays actions [T, B]; returns observations, rewards and ends, [T, B]."""
  if state is None:
    state, first = game.reset(actions.shape[1], KEY)
  else:
    first = state.sheet.observations[:, 0]
  seen, rewards, ends = [first.numpy()], [], []
  for action in actions:
    state, observation, reward, over, late = game.step(
      state, tf.constant(action), [0, 0]
    )
    assert not np.any(late)
    seen.append(observation.numpy())
    rewards.append(reward.numpy())
    ends.append(over.numpy())
  return np.array(seen), np.array(rewards), np.array(ends)


def draw_actions(game, lanes=LANES):
  generator = np.random.default_rng(0)
  size = game.time_limit, lanes
  return generator.integers(game.action_space.n, size=size, dtype=np.int32)


@pytest.mark.parametrize('name', registry.EXAMPLES)
def test_right_answers_are_rewarded_and_nothing_else(name):
  game = registry.make(name)
  state, first = game.reset(LANES, KEY)
  assert game.observation_space.contains(first.numpy()[0])
  answers = state.sheet.answers.numpy().T
  assert answers.shape == (game.time_limit, LANES)
  asked = answers != quiz.NO_QUESTION
  _, rewards, ends = play(game, np.where(asked, answers, 0), state)
  assert not np.any(ends[:-1]) and np.all(ends[-1])
  returns = rewards.sum(0)
  if name.startswith('higher'):  # Ties ask nothing, and it is over the cards.
    assert np.all((returns > 0.8) & (returns < 1))
  else:
    np.testing.assert_allclose(returns, 1, atol=1e-5)
  wrong = (answers + 1) % game.action_space.n
  _, rewards, _ = play(game, wrong.astype(np.int32), state)
  np.testing.assert_allclose(rewards.sum(0), -returns, atol=1e-5)
  assert not np.any(rewards[~asked])


def test_decks_are_whole_shuffled_and_another_one_in_each_lane():
  deck = cards.shuffle(200, KEY, 2)
  np.testing.assert_array_equal(np.sort(deck.cards, 1), [np.arange(104)] * 200)
  assert len(np.unique(deck.cards, axis=0)) == 200
  # Each suit comes first a quarter of the time; 5 deviations are .15.
  shares = np.bincount(deck.suits[:, 0], minlength=4) / 200
  np.testing.assert_allclose(shares, 0.25, atol=0.15)
  assert (
    deck.ranks[0].numpy().max() == 12 and deck.colours[0].numpy().max() == 1
  )


def expect(name, deck, other, t):
  """Right answer after t steps, by the words of the rules."""
  suits, colours = deck % 4, deck % 2
  if name == 'repeat_first':
    return suits[0]
  if name == 'repeat_previous':
    return suits[t - 3] if t >= 3 else None
  if name == 'autoencode':
    return suits[51 - (t - 51)] if t >= 51 else None
  if name == 'count_recall':
    return sum(colours[: t + 1] == other[t] % 2)
  now, following = deck[t : t + 2] // 4
  return None if now == following else int(following < now)


@pytest.mark.parametrize('name', registry.CARD_GAMES)
def test_answers_are_those_of_the_rules(name):
  game = registry.make(f'{name}_easy')
  state, _ = game.reset(LANES, KEY)
  both = [cards.shuffle(LANES, KEY, 1).cards.numpy()] * 2
  if name == 'count_recall':
    both = np.split(cards.shuffle(2 * LANES, KEY, 1).cards.numpy(), 2)
  for lane, (deck, other) in enumerate(zip(*both, strict=True)):
    for t, answer in enumerate(state.sheet.answers[lane].numpy()):
      right = expect(name, deck, other, t)
      assert answer == (quiz.NO_QUESTION if right is None else right), t


def deal_as(their_deck, order):
  """Puts cards into POPGym's deck, so that they are dealt in this order."""
  dealt = iter(order)

  def deal(player, count=1):
    for _ in range(count):
      their_deck.hands[player].append(next(dealt))
      their_deck.deck_len -= 1

  their_deck.deal = deal


@pytest.mark.parametrize('level', registry.LEVELS)
@pytest.mark.parametrize('name', registry.CARD_GAMES)
def test_play_is_popgyms_step_by_step(name, level):
  popgym = pytest.importorskip('popgym')
  theirs = getattr(popgym.envs, f'{POPGYM[name]}{level.capitalize()}')()
  ours = registry.make(f'{name}_{level}')
  decks = [
    deck
    for deck in (
      getattr(theirs, each, None)
      for each in ('deck', 'value_deck', 'query_deck')
    )
    if deck
  ]
  count = decks[0].num_decks
  dealt = cards.shuffle(len(decks), KEY, count).cards.numpy()
  for deck, order in zip(decks, dealt, strict=True):
    deck.idx[:] = order  # Autoencode shows the deck's first card while it asks.
    deal_as(deck, order)
  actions = draw_actions(ours, 1)
  seen, rewards, ends = play(ours, actions)
  first, _ = theirs.reset(seed=0)

  def show(observation):
    space = theirs.observation_space
    batch = (
      tuple(np.array([part]) for part in observation)
      if isinstance(space, gymnasium.spaces.Tuple)
      else np.array([observation])
    )
    return spaces.join(space, batch) if spaces.is_joined(space) else batch

  np.testing.assert_array_equal(seen[0], show(first))
  for t, action in enumerate(actions[:, 0]):
    observation, reward, over, late, _ = theirs.step(action)
    assert not late and bool(over) == ends[t, 0], t
    assert reward == pytest.approx(rewards[t, 0], abs=1e-7), t
    if not over:
      np.testing.assert_array_equal(seen[t + 1], show(observation))


def test_memory_chain_is_bsuites():
  game = registry.make('memory_chain-4')
  state, _ = game.reset(50, KEY)
  bits = state.sheet.answers[:, -1].numpy()
  seen, rewards, ends = play(game, np.ones([5, 50], np.int32))
  np.testing.assert_allclose(
    seen[:, 0, 0], [1, 1, 0.75, 0.5, 0.25, 0]
  )  # The start is seen twice.
  np.testing.assert_array_equal(seen[:, :, 1], 0)
  np.testing.assert_array_equal(seen[:2, :, 2], [2 * bits - 1] * 2)
  np.testing.assert_array_equal(seen[2:, :, 2], 0)
  np.testing.assert_array_equal(rewards[-1], 2 * bits - 1)
  assert not np.any(rewards[:-1]) and np.all(ends[-1])
  assert 10 < bits.sum() < 40
  assert len(registry.LENGTHS) == 23 and registry.LENGTHS[-1] == 100


def test_cue_recall_asks_for_its_cues_in_order():
  game = registry.make('cue_recall-5-3')
  assert registry.count_steps('cue_recall-5-3') == game.time_limit == 11
  assert registry.count_steps('cue_recall-5') == 7
  assert registry.count_steps('memory_chain-4') == 5
  seen, rewards, _ = play(game, np.zeros([11, 40], np.int32))
  cues, others, asked = np.split(seen, [3, 8])
  assert set(cues.ravel()) == {0, 1, 2, 3}
  assert set(others.ravel()) == {4, 5, 6, 7}
  assert set(asked.ravel()) == {8}
  np.testing.assert_allclose(
    rewards[8:], np.where(cues == 0, 1, -1) / 3, rtol=1e-6
  )


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('memory_chain', 'name must be memory_chain-LENGTH with whole numbers'),
    ('memory_chain-3-2', 'name must be memory_chain-LENGTH with'),
    ('cue_recall-x', 'name must be cue_recall-LENGTH-CUES with'),
    ('cue_recall-0', 'length must be an integer of at least 1'),
    ('memory_chain-20000', 'length must be .* at most 10000, got 20000'),
  ],
)
def test_wrong_numbers_in_names_are_refused(name, message):
  with pytest.raises(ValueError, match=message):
    registry.make(name)
  with pytest.raises(faults.UsageError, match=f'--env={name}: {message}'):
    arenas.get(name)


# Gymnasium's environments whose observations have several parts.


class Parts(gymnasium.Env):
  """Observes the number of its step in each part of its space."""

  action_space = gymnasium.spaces.Discrete(2)

  def __init__(self, space):
    self.observation_space = space
    self._step = 0

  def reset(self, *, seed=None, options=None):
    super().reset(seed=seed)
    self._step = 0
    return self._show(), {}

  def step(self, action):
    self._step += 1
    return self._show(), 0.0, False, False, {}

  def _show(self):
    if isinstance(self.observation_space, gymnasium.spaces.MultiDiscrete):
      return np.array([self._step % 2, self._step % 3])
    return (
      self._step % 2,
      np.array([self._step % 3]),
      np.float32([self._step / 4, 0.5]),
    )


SEVERAL = gymnasium.spaces.MultiDiscrete([2, 3])
TUPLE = gymnasium.spaces.Tuple(
  (
    gymnasium.spaces.Discrete(2),
    gymnasium.spaces.MultiDiscrete([3]),
    gymnasium.spaces.Box(0, 9, (2,), np.float32),
  )
)


@pytest.mark.parametrize('space', [SEVERAL, TUPLE])
def test_parts_are_joined_as_gymnasium_flattens_them(space):
  games = gymnasium.vector.SyncVectorEnv([lambda: Parts(space)] * 2)
  bridge = vector_bridge.VectorBridge(games, 9)
  state, observation = bridge.reset(2, KEY)
  single = Parts(space)
  wanted, _ = single.reset()
  for _ in range(4):
    flat = gymnasium.spaces.flatten(space, wanted)
    np.testing.assert_allclose(observation, [flat, flat])
    assert bridge.spec.shape == flat.shape
    state, observation, *_ = bridge.step(state, tf.zeros([2], tf.int32), KEY)
    wanted, *_ = single.step(0)


@pytest.mark.parametrize(
  'space',
  [
    gymnasium.spaces.Dict({'a': SEVERAL}),
    gymnasium.spaces.Tuple((TUPLE,)),
    gymnasium.spaces.MultiDiscrete([2, 3], start=[1, 0]),
  ],
)
def test_other_observations_are_refused(space):
  with pytest.raises(ValueError, match='^observations must be Discrete from 0'):
    spaces.check_observations(space)


def test_a_missing_popgym_is_one_line(monkeypatch):
  monkeypatch.setitem(sys.modules, 'popgym', None)
  line = r"game 'gym:popgym-X-v0' needs POPGym: pip install 'nca_tf\[popgym\]'$"
  with pytest.raises(faults.UsageError, match=f'^--env: {line}'):
    arenas.get('gym:popgym-X-v0')
  with pytest.raises(ImportError, match=line):
    gym_registry.open_game('gym:popgym-X-v0')


def test_popgyms_ids_are_found_without_the_package_in_their_name(monkeypatch):
  monkeypatch.setitem(sys.modules, 'popgym', types.ModuleType('popgym'))
  entry = gymnasium.envs.registration.EnvSpec(
    'popgym-Stand-In-v0', lambda: Parts(TUPLE)
  )
  monkeypatch.setitem(gymnasium.registry, entry.id, entry)
  assert arenas.get('gym:popgym-Stand-In-v0').solved == float('inf')
