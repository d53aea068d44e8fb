"""The diagnostic games of POPGym with cards, batched in the graph.

Morad et al., POPGym: Benchmarking Partially Observable Reinforcement Learning
(2023). Decks are shuffled and dealt to the end; the rules and the levels are
those of version 1.0.7, where an episode's return lies between -1 and 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import tensorflow as tf

from nca_tf import random_tensors
from nca_tf.environments.memory_games import quiz

SUITS, RANKS, COLOURS = 4, 13, 2
DECK = SUITS * RANKS


class Deck(NamedTuple):
  """Shuffled cards; their suits run fastest, then their ranks.

  Attributes:
    cards: Which of the deck's cards come in turn, int32 [B, n].
  """

  cards: tf.Tensor

  @property
  def suits(self):
    """Of each card, below 4."""
    return self.cards % SUITS

  @property
  def ranks(self):
    """Of each card, below 13."""
    return self.cards % DECK // SUITS

  @property
  def colours(self):
    """Of each card, below 2."""
    return self.cards % COLOURS


def shuffle(lanes: int, key, decks: int) -> Deck:
  """Shuffles several decks as one, for each lane."""
  order = random_tensors.uniform(key, [lanes, DECK * decks])
  return Deck(tf.argsort(order, -1))


def repeat_previous(deck: Deck, k: int) -> quiz.Sheet:
  """Asks for the suit of the card k - 1 before the last one seen."""
  suits = deck.suits
  answers = tf.pad(
    suits[:, :-k], [[0, 0], [k - 1, 0]], constant_values=quiz.NO_QUESTION
  )
  return quiz.Sheet(suits, answers)


def repeat_first(deck: Deck) -> quiz.Sheet:
  """Asks for the suit of the first card, at each step."""
  suits = deck.suits
  return quiz.Sheet(suits, tf.repeat(suits[:, :1], suits.shape[1] - 1, 1))


def autoencode(deck: Deck) -> quiz.Sheet:
  """Shows all suits, then asks for them, the last one first."""
  suits = deck.suits
  lanes, cards = suits.shape
  shown = tf.pad(suits, [[0, 0], [0, cards]])
  is_shown = tf.range(2 * cards) < cards - 1  # The last card already asks.
  is_shown = tf.tile(tf.cast(is_shown, tf.int32)[None], [lanes, 1])
  answers = tf.pad(
    suits[:, ::-1],
    [[0, 0], [cards - 1, 0]],
    constant_values=quiz.NO_QUESTION,
  )
  return quiz.Sheet(quiz.one_hot((2, SUITS), is_shown, shown), answers)


def count_recall(
  deck: Deck, questions: Deck, values: Callable[[Deck], tf.Tensor], kinds: int
) -> quiz.Sheet:
  """Asks how many cards of a kind were seen so far, another kind each step."""
  seen, asked = values(deck), values(questions)
  counts = tf.cumsum(tf.one_hot(seen, kinds, dtype=tf.int32), 1)
  answers = tf.gather(counts, asked, batch_dims=2)[:, :-1]
  return quiz.Sheet(quiz.one_hot((kinds, kinds), seen, asked), answers)


def higher_lower(deck: Deck) -> quiz.Sheet:
  """Asks whether the next card is higher (0) or lower (1).

  An equal card asks nothing.
  """
  now, following = deck.ranks[:, :-1], deck.ranks[:, 1:]
  answers = tf.where(following > now, 0, 1)
  answers = tf.where(following == now, quiz.NO_QUESTION, answers)
  return quiz.Sheet(deck.ranks, answers)


def _make_repeat_previous(decks, k):
  n = DECK * decks
  return quiz.Quiz(
    lambda lanes, key: repeat_previous(shuffle(lanes, key, decks), k),
    gymnasium.spaces.Discrete(SUITS),
    SUITS,
    steps=n - 1,
    questions=n - k,
    reward=1 / (n - k),
  )


def _make_repeat_first(decks):
  n = DECK * decks
  return quiz.Quiz(
    lambda lanes, key: repeat_first(shuffle(lanes, key, decks)),
    gymnasium.spaces.Discrete(SUITS),
    SUITS,
    steps=n - 1,
    questions=n - 1,
    reward=1 / (n - 1),
  )


def _make_autoencode(decks):
  n = DECK * decks
  return quiz.Quiz(
    lambda lanes, key: autoencode(shuffle(lanes, key, decks)),
    quiz.one_hot_space((2, SUITS)),
    SUITS,
    steps=2 * n - 1,
    questions=n,
    reward=1 / n,
  )


def _make_count_recall(decks, kind):
  n = DECK * decks
  kinds = {'colours': COLOURS, 'suits': SUITS, 'ranks': RANKS}[kind]

  def draw(lanes, key):
    both = shuffle(2 * lanes, key, decks).cards
    both = Deck(both[:lanes]), Deck(both[lanes:])
    return count_recall(*both, lambda deck: getattr(deck, kind), kinds)

  return quiz.Quiz(
    draw,
    quiz.one_hot_space((kinds, kinds)),
    n // kinds + 1,
    steps=n - 1,
    questions=n - 1,
    reward=1 / (n - 1),
  )


def _make_higher_lower(decks):
  n = DECK * decks
  return quiz.Quiz(
    lambda lanes, key: higher_lower(shuffle(lanes, key, decks)),
    gymnasium.spaces.Discrete(RANKS),
    2,
    steps=n - 1,
    questions=n - 1,
    reward=1 / n,
  )


# POPGym's names, and what its levels differ in.
GAMES = {
  'repeat_previous': (
    _make_repeat_previous,
    ((1, 4), (2, 32), (3, 64)),
  ),
  'repeat_first': (_make_repeat_first, ((1,), (8,), (16,))),
  'autoencode': (_make_autoencode, ((1,), (2,), (3,))),
  'count_recall': (
    _make_count_recall,
    ((1, 'colours'), (2, 'suits'), (4, 'ranks')),
  ),
  'higher_lower': (_make_higher_lower, ((1,), (2,), (3,))),
}


def make(game: str, level: int) -> quiz.Quiz:
  """Makes a game of GAMES at a level, from 0."""
  make_game, levels = GAMES[game]
  return make_game(*levels[level])
