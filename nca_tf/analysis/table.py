"""Small table for the terminal and for a run's summary.md."""

import math
import numbers
from collections.abc import Sequence

import numpy as np

from nca_tf import checks
from nca_tf.analysis.intervals import Interval


class Table:
  """Rows and columns of text, numbers and intervals, aligned.

  Text stands left, numbers right. A cell is a str, an int, a float, an
  `Interval`, a bool, or None for a missing number.

  Example:
    table = Table(['policy', 'episodes', 'score'], digits=1)
    table.add('random', 200, bootstrap_mean(scores, rng=rng))
    print(table.text())
    path.write_text(table.markdown())
  """

  def __init__(self, columns: Sequence[str], *, digits: int = 3):
    """Makes an empty table.

    Args:
      columns: headings.
      digits: after the decimal point, of floats and intervals.
    """
    if not columns:
      raise ValueError('columns must name at least one column, got none')
    self._columns = [str(column) for column in columns]
    self._digits = checks.integer('digits', digits, least=0)
    self._rows = []
    self._numeric = [True] * len(columns)

  def add(self, *cells) -> None:
    """Adds a row, one cell per column."""
    if len(cells) != len(self._columns):
      raise ValueError(
        f'cells must be {len(self._columns)}, one per column, got {len(cells)}'
      )
    for i, cell in enumerate(cells):
      if isinstance(cell, (str, bool, np.bool_)):
        self._numeric[i] = False
    self._rows.append([_format(cell, self._digits) for cell in cells])

  def text(self) -> str:
    """Lines for the terminal: headings, a rule, rows; no newline at the end."""
    widths = self._widths(self._columns, self._rows)
    lines = [self._line(self._columns, widths, '  ').rstrip()]
    lines.append('  '.join('-' * width for width in widths))
    lines += [self._line(row, widths, '  ').rstrip() for row in self._rows]
    return '\n'.join(lines)

  def markdown(self) -> str:
    """The same as a Markdown table, with a newline at the end."""
    columns = [_escape(cell) for cell in self._columns]
    rows = [[_escape(cell) for cell in row] for row in self._rows]
    widths = [max(3, width) for width in self._widths(columns, rows)]
    rule = [
      '-' * (width - 1) + (':' if numeric else '-')
      for width, numeric in zip(widths, self._numeric, strict=True)
    ]
    lines = [columns, rule, *rows]
    lines = [self._line(line, widths, ' | ') for line in lines]
    return ''.join(f'| {line} |\n' for line in lines)

  def _widths(self, columns, rows):
    return [
      max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))
    ]

  def _line(self, cells, widths, separator):
    return separator.join(
      cell.rjust(width) if numeric else cell.ljust(width)
      for cell, width, numeric in zip(cells, widths, self._numeric, strict=True)
    )


def _format(cell, digits):
  if cell is None:
    return '-'
  if isinstance(cell, Interval):
    return cell.text(digits)
  if isinstance(cell, (bool, np.bool_)):
    return 'yes' if cell else 'no'
  if isinstance(cell, str):
    return ' '.join(cell.split())
  if isinstance(cell, numbers.Integral):
    return str(int(cell))
  if math.isnan(cell):
    return '-'
  return f'{float(cell):.{digits}f}'


def _escape(cell):
  return cell.replace('|', '\\|')
