"""Names of the games of memory, without TensorFlow until one is made.

Card games are named with their level, `repeat_first_easy`. The others have
numbers after hyphens: `memory_chain-LENGTH`, and `cue_recall-LENGTH-CUES`, of
which CUES may be left out.
"""

from nca_tf import checks

CARD_GAMES = (
  'repeat_first',
  'repeat_previous',
  'autoencode',
  'count_recall',
  'higher_lower',
)
LEVELS = ('easy', 'medium', 'hard')
CARD_NAMES = tuple(f'{game}_{lev}' for game in CARD_GAMES for lev in LEVELS)
MOST_NUMBERS = {'memory_chain': 1, 'cue_recall': 2}  # In their names.
LONGEST = 10_000
EXAMPLES = (*CARD_NAMES, 'memory_chain-40', 'cue_recall-40-3')

# bsuite's experiment memory_len plays memory_chain at these.
LENGTHS = (*range(1, 11), 12, 14, 17, 20, 25, *range(30, 101, 10))


def owns(name: str) -> bool:
  """Whether a name is that of a game of memory, its numbers apart."""
  return name in CARD_NAMES or name.split('-')[0] in MOST_NUMBERS


def parse(name: str) -> tuple[str, tuple[int, ...]]:
  """Returns what comes before the hyphens of a name, and the numbers after.

  Raises:
    ValueError: There is no such game, or a number is missing or out of range.
  """
  game, *texts = name.split('-')
  most = MOST_NUMBERS.get(game)
  if most is None:
    if name not in CARD_NAMES:
      raise ValueError(
        f'name must be one of {", ".join(EXAMPLES)}, got {name!r}'
      )
    return name, ()
  if not 1 <= len(texts) <= most or not all(map(str.isdecimal, texts)):
    raise ValueError(
      f'name must be {game}-LENGTH{"-CUES" * (most - 1)} with whole numbers, '
      f'got {name!r}'
    )
  pairs = zip(('length', 'cues'), texts, strict=False)
  return game, tuple(
    checks.integer(what, int(text), 1, LONGEST) for what, text in pairs
  )


def count_steps(name: str) -> int:
  """Returns the steps of an episode of a game with numbers in its name."""
  game, (length, *cues) = parse(name)
  return length + (1 if game == 'memory_chain' else 2 * (*cues, 1)[0])


def make(name: str):
  """Makes a game, a `quiz.Quiz`.

  Raises:
    ValueError: As `parse`.
  """
  game, numbers = parse(name)
  from nca_tf.environments.memory_games import cards
  from nca_tf.environments.memory_games import cues

  if numbers:
    return cues.GAMES[game](*numbers)
  game, _, level = name.rpartition('_')
  return cards.make(game, LEVELS.index(level))
