"""The bombs from which SimpleAgent flees."""

import typing

import numpy as np

from nca_tf.environments.pommerman.opponents import sight as sight_lib

_UP, _DOWN, _LEFT, _RIGHT = range(4)


class Threats(typing.NamedTuple):
  """Directions (up, down, left, right) of the bombs that may hit L agents."""

  strength: np.ndarray  # [L, 4] of the strongest bomb, 0 for none
  rank: np.ndarray  # [L, 4] the original finds those of low rank first

  def take(self, chosen: np.ndarray) -> 'Threats':
    """Returns the threats of some of the agents."""
    return Threats(self.strength[chosen], self.rank[chosen])


def find(sight: sight_lib.Sight, layers: np.ndarray) -> Threats:
  """Finds bombs in an agent's row or column, no farther than their strength.

  A bomb is as far as the path to it, by the layers [D, L, P] of
  `bit_board.flood`; one under the agent threatens in every direction.
  """
  rows = sight.bombs[sight.which, sight.row]
  columns = sight.bombs[sight.which, :, sight.column]
  strength = np.zeros((len(sight.row), 4), np.int64)
  lane, column = np.nonzero(rows)
  _add(
    strength[:, _LEFT:],
    lane,
    _reach(layers, lane, sight.row[lane], column, rows[lane, column]),
    np.sign(column - sight.column[lane]),
  )
  lane, row = np.nonzero(columns)
  _add(
    strength[:, :_LEFT],
    lane,
    _reach(layers, lane, row, sight.column[lane], columns[lane, row]),
    np.sign(row - sight.row[lane]),
  )
  own = sight.bombs[sight.which, sight.row, sight.column].astype(np.int64)
  rank = _rank(strength)
  return Threats(np.maximum(strength, own[:, None]), rank)


def _reach(layers, lane, row, column, strength):
  """Strengths of bombs, 0 where the path to one is longer than that."""
  strength = strength.astype(np.int64)
  within = np.minimum(strength, len(layers) - 1)
  near = layers[within, lane, row] >> column.astype(np.uint16) & 1
  return strength * near


def _add(table, lane, strength, side):
  """Writes maxima into [L, 2]: bombs at side -1, and at side 1 of agents."""
  apart = side != 0
  index = lane[apart], (side[apart] + 1) // 2
  np.maximum.at(table, index, strength[apart])


def _rank(strength):
  """[L, 4]: by rows of the bombs; one underfoot adds right, left, up, down."""
  found = strength > 0
  rank = np.empty(strength.shape, np.int64)
  rank[:, _UP] = np.where(found[:, _UP], 0, 4)
  rank[:, _LEFT] = np.where(found[:, _LEFT], 1, 3)
  rank[:, _RIGHT] = 2
  rank[:, _DOWN] = 5
  return rank
