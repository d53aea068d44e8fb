"""What a run has found, for people and for programs."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from nca_tf.analysis import table


@dataclasses.dataclass(frozen=True)
class Report:
  """Tables between lines of text, their numbers, and figures.

  report = Report({'Score': view}, notes, numbers={'mean': 5.0})
  run.publish(report)  # the screen, summary.md, TensorBoard, figures/
  """

  # By their titles; an empty title is left out.
  tables: Mapping[str, table.Table] = dataclasses.field(default_factory=dict)
  notes: str = ''  # what stands below the tables
  head: str = ''  # what stands above them
  numbers: Any = None  # for JSON; None where there are none
  # Pairs of a name and a matplotlib Figure, made as they are taken.
  figures: Iterable[tuple[str, Any]] = ()

  def text(self) -> str:
    """For a terminal."""
    parts = [
      f'{title}\n\n{view.text()}\n' if title else f'{view.text()}\n'
      for title, view in self.tables.items()
    ]
    return self._join(parts)

  def markdown(self) -> str:
    """For `summary.md` and TensorBoard."""
    parts = [
      f'## {title}\n\n{view.markdown()}' if title else view.markdown()
      for title, view in self.tables.items()
    ]
    return self._join(parts)

  def _join(self, parts):
    whole = filter(None, [self.head, *parts, self.notes])
    return '\n'.join(part.rstrip('\n') + '\n' for part in whole)
