"""The layout of states that are vectors of integers.

The 372 integers of Pommerman (Resnick et al. 2018, `featurize` of their
package), followed by whether each agent is alive.
"""

import typing

import numpy as np

from nca_tf import checks


class Group(typing.NamedTuple):
  """Components of the same meaning."""

  name: str
  start: int
  stop: int
  classes: int  # Values are 0..classes - 1.
  is_map: bool = False  # One value per square of the board, row by row.

  @property
  def size(self) -> int:
    """Number of its components."""
    return self.stop - self.start

  @property
  def places(self) -> slice:
    """Its components' indices in a state."""
    return slice(self.start, self.stop)


class Layout:
  """The groups of a state's N components, of which the first V are scored.

  Attributes:
    size: Rows and columns of the board, S.
    groups: All groups, in order.
    maps: Those with a value per square.
    singles: The others.
    scored: V, the components that the original's vector has.
    components: N.
    limits: [N] largest values.
  """

  def __init__(
    self, size: int = 11, agents: int = 4, enemies: int = 3, codes: int = 14
  ):
    """Makes the layout of a variant.

    Args:
      size: S.
      agents: Agents of a game.
      enemies: Codes that the vector lists as enemies.
      codes: Codes of the squares.

    Raises:
      ValueError: One of them is no integer of at least 1.
    """
    self.size = size = checks.integer('size', size, 1)
    agents = checks.integer('agents', agents, 1)
    enemies = checks.integer('enemies', enemies, 1)
    codes = checks.integer('codes', codes, 1)
    self.groups = []
    area = size**2
    for name, count, classes, is_map in (
      ('board', area, codes, True),
      ('bomb strength', area, 11, True),
      ('bomb life', area, 11, True),
      ('row', 1, size, False),
      ('column', 1, size, False),
      ('ammo', 1, 11, False),
      ('blast strength', 1, 11, False),
      ('can kick', 1, 2, False),
      ('teammate', 1, codes, False),
      ('enemies', enemies, codes, False),
      ('alive', agents, 2, False),
    ):
      start = self.groups[-1].stop if self.groups else 0
      self.groups.append(Group(name, start, start + count, classes, is_map))
    self.components = self.groups[-1].stop
    self.scored = self.groups[-1].start
    self.limits = np.concatenate(
      [np.full(each.size, each.classes - 1) for each in self.groups]
    )
    self.maps = [group for group in self.groups if group.is_map]
    self.singles = [group for group in self.groups if not group.is_map]

  def find(self, name: str) -> Group:
    """Returns a group; KeyError for another name."""
    return {group.name: group for group in self.groups}[name]
