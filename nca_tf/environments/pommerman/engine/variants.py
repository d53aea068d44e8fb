"""Codes, constants and variants of Pommerman.

Resnick et al. 2018 (arXiv:1809.07124), as played by the authors' package.
"""

import dataclasses

from nca_tf import checks

# Codes of board cells. An agent's code is AGENT plus its number.
PASSAGE, RIGID, WOOD, BOMB, FLAMES, FOG = range(6)
EXTRA_BOMB, INCREASE_RANGE, KICK, DUMMY = range(6, 10)
AGENT = 10
ITEMS = (EXTRA_BOMB, INCREASE_RANGE, KICK)
# Actions; row 0 is at the top.
STOP, UP, DOWN, LEFT, RIGHT, LAY_BOMB = range(6)
ACTION_NAMES = ('stop', 'up', 'down', 'left', 'right', 'lay a bomb')
ACTIONS = len(ACTION_NAMES)
# Kinds of game.
FFA, TEAM, TEAM_RADIO, ONE_VS_ONE = range(1, 5)
# Results of a game.
WIN, LOSS, TIE, INCOMPLETE = range(4)

BOMB_LIFE = 10  # When it is laid; the same step takes the first one off.
FLAME_LIFE = 2  # Seen in three boards: its own and the two after it.
DEFAULT_AMMO = 1
DEFAULT_BLAST_STRENGTH = 2
MAX_AMMO = 10
MAX_BLAST_STRENGTH = 10  # Of the variants in which agents see everything.
WORDS = 2  # Of a radio message,
VOCABULARY = 8  # each 0..7.
RINGS = 4  # That collapse.


_RANGES = {
  'game_type': (FFA, ONE_VS_ONE),
  'board_size': (8, 64),
  'agents': (2, 4),
  'rigid': (0, None),
  'wood': (0, None),
  'items': (0, None),
  'max_blast_strength': (1, 255),
  'view': (1, None),
  'max_steps': (1, 2**31 - 1),
  'first_collapse': (1, None),
  'training_agent': (0, None),
}
_OPTIONAL = ('view', 'first_collapse', 'training_agent')  # None is allowed.


@dataclasses.dataclass(frozen=True)
class Variant:
  """The rules of one configuration of the original."""

  name: str  # The original's name of the configuration
  game_type: int  # FFA, TEAM, TEAM_RADIO or ONE_VS_ONE
  board_size: int = 11  # Rows, and columns, S
  agents: int = 4  # Number of agents, A
  rigid: int = 36  # Cells of rigid wall
  wood: int = 36  # Cells of wooden wall
  items: int = 20  # Power-ups hidden under wood
  max_blast_strength: int = MAX_BLAST_STRENGTH  # Largest that a power-up gives
  # Cells that an agent sees in each direction; None is the whole board
  view: int | None = None
  max_steps: int = 800  # Steps after which a game ends
  # Step count at which the outermost ring becomes rigid, and the next ones at
  # equal distances up to `max_steps`; None is never
  first_collapse: int | None = None
  # A game without teams also ends with this agent's death
  training_agent: int | None = None

  def __post_init__(self):
    """Checks the numbers, and makes Python's of them."""
    for name, limits in _RANGES.items():
      value = getattr(self, name)
      if value is not None or name not in _OPTIONAL:
        object.__setattr__(self, name, checks.integer(name, value, *limits))
    checks.integer('items', self.items, 0, self.wood)
    checks.integer(
      'training_agent', self.training_agent or 0, 0, self.agents - 1
    )
    if self.agents == 3 or (self.agents == 2 and self.teams):
      raise ValueError(
        f'agents must be 4, or 2 without teams, got {self.agents}'
      )
    if self.rigid % 2 or self.wood % 2:
      raise ValueError(
        f'rigid and wood must be even, got {self.rigid} and {self.wood}'
      )
    first, last = self.first_collapse, self.max_steps - RINGS
    if first is not None and first > last:
      raise ValueError(
        f'first_collapse must be at most {last}, {RINGS} steps before '
        f'max_steps, got {first}'
      )

  @property
  def teams(self) -> bool:
    """Whether agents 0 and 2 play against 1 and 3."""
    return self.game_type in (TEAM, TEAM_RADIO)

  @property
  def radio(self) -> bool:
    """Whether agents send words to their teammates."""
    return self.game_type == TEAM_RADIO

  @property
  def collapses(self) -> tuple[int, ...]:
    """Step counts at which rings 0, 1, ... of the board become rigid."""
    if self.first_collapse is None:
      return ()
    step = (self.max_steps - self.first_collapse) // RINGS
    return tuple(range(self.first_collapse, self.max_steps, step))

  def teammate(self, agent: int) -> int:
    """Returns the code of an agent's teammate, DUMMY for none."""
    return AGENT + (agent + 2) % 4 if self.teams else DUMMY

  def enemies(self, agent: int) -> tuple[int, ...]:
    """Returns the codes that the original lists as an agent's enemies."""
    others = [other for other in range(self.agents) if other != agent]
    if not self.teams:
      return tuple(AGENT + other for other in others)
    enemies = [other for other in others if (other - agent) % 2]
    return (*(AGENT + other for other in enemies), DUMMY)


_SEEN = {'view': 4, 'max_blast_strength': 4}
_SMALL = {'board_size': 8, 'agents': 2, 'rigid': 16, 'wood': 16, 'items': 10}

# The original's view size also caps the blast strength.
VARIANTS = {
  variant.name: variant
  for variant in (
    Variant('PommeFFACompetition-v0', FFA),
    Variant('PommeFFACompetitionFast-v0', FFA),
    Variant('PommeFFAFast-v0', FFA),
    Variant('PommeFFA-v1', FFA, first_collapse=500),
    Variant('PommeTeam-v0', TEAM),
    Variant('PommeTeamFast-v0', TEAM),
    Variant('PommeTeamCompetition-v0', TEAM, **_SEEN),
    Variant('PommeTeamCompetitionFast-v0', TEAM, **_SEEN),
    Variant('PommeTeamCompetition-v1', TEAM, first_collapse=500, **_SEEN),
    Variant('PommeRadioCompetition-v2', TEAM_RADIO, **_SEEN),
    Variant('PommeRadio-v2', TEAM_RADIO, **_SEEN),
    Variant('OneVsOne-v0', ONE_VS_ONE, **_SMALL),
  )
}


def get_variant(name: str, **changes) -> Variant:
  """Returns one of `VARIANTS`, with some attributes changed.

  Raises:
    ValueError: There is no such variant, or an attribute is wrong.
  """
  if not isinstance(name, str) or name not in VARIANTS:
    raise ValueError(f'name must be one of {", ".join(VARIANTS)}, got {name!r}')
  return dataclasses.replace(VARIANTS[name], **changes)
