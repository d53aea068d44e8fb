"""What the subjects of bin/benchmark share: turns on the clock, and targets."""

import math
from collections.abc import Iterator, Mapping

from nca_tf.analysis import intervals
from nca_tf.analysis import table
from nca_tf.runs import progress


def alternate(
  label: str, players: Mapping[str, Iterator], rounds: int
) -> dict[str, list]:
  """Takes one result of each player per round.

  So whatever else the machine does slows all of them alike.

  Args:
    label: What is measured, for the screen.
    players: Iterators by name. Each makes a measurement when it is asked for.
    rounds: Results of each.
  """
  found = {name: [] for name in players}
  total = rounds * len(players)
  with progress.Progress(label, total, 'measurements') as bar:
    for done in range(total):
      name = list(players)[done % len(players)]
      found[name].append(next(players[name]))
      bar.update(done + 1)
  return found


class Targets:
  """What was wanted, what was measured, and whether that is enough."""

  def __init__(self, column, verdicts=(False, True)):
    """Takes the verdict's column and its words for a miss and a pass."""
    self._column, self._verdicts = column, verdicts
    self._rows = []

  def add(self, what, measured, low=-math.inf, high=math.inf, style='g'):
    """Adds a number, or an `Interval`, that should be between two limits."""
    if low == -math.inf:
      wanted = f'at most {high:{style}}'
    elif high == math.inf:
      wanted = f'at least {low:{style}}'
    else:
      wanted = f'{low:{style}} to {high:{style}}'
    is_interval = isinstance(measured, intervals.Interval)
    value = measured.mean if is_interval else measured
    verdict = self._verdicts[bool(low <= value <= high)]
    self._rows.append((what, wanted, measured, verdict))

  def tables(self) -> dict[str, table.Table]:
    """Returns the table by its title, or nothing without a target."""
    view = table.Table(['what', 'target', 'measured', self._column], digits=2)
    for row in self._rows:
      view.add(*row)
    return {'Targets': view} if self._rows else {}
