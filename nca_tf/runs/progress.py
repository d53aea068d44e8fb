"""Progress of long work: a rate and an estimate of the time left."""

import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

_INTERVAL = 10.0  # Seconds between two lines where they cannot be rewritten.
_REFRESH = 0.1  # Seconds between two states of a terminal's line.


class Progress:
  """Shows the progress of a piece of work, on stderr.

      with progress.Progress('vision', 1000, 'steps') as bar:
        for step in range(1000):
          bar.update(step + 1, loss=train())

  A terminal gets one line that is rewritten. Anything else, such as a log
  file, gets a line at the start, one every 10 seconds at most, and the last.
  """

  def __init__(
    self,
    label: str,
    total: int,
    unit: str,
    start: int = 0,
    *,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
  ):
    """Initialises the display; entering the `with` statement shows it.

    Args:
      label: What is being done.
      total: How many units there are.
      unit: Name of one unit, in the plural.
      start: Units that an earlier process has done; the rate leaves them out.
      stream: Where to write; stderr by default.
      clock: Seconds that only go forward.
    """
    self._label = label
    self._total = total
    self._unit = unit
    self._start = start
    self._done = start
    self._stream = sys.stderr if stream is None else stream
    self._clock = clock
    self._is_terminal = self._stream.isatty()
    self._figures = ''
    self._shown = self._began = clock()

  def __enter__(self) -> 'Progress':
    self._began = self._clock()
    self._show()
    return self

  def __exit__(self, kind, *unused) -> None:
    elapsed = self._clock() - self._began
    verb = 'done in' if kind is None else 'stopped after'
    text = f'{self._count()}, {verb} {duration(elapsed)}'
    rate = self._rate(elapsed)
    if rate:
      text += f', {rate:.3g} {self._unit}/s'
    self._write(text + self._figures, end='\n')

  def update(self, done: int, **figures: Any) -> None:
    """Sets the number of units done and the figures that are shown with it."""
    self._done = done
    self._figures = ''.join(
      f', {name} {_figure(value)}' for name, value in figures.items()
    )
    interval = _REFRESH if self._is_terminal else _INTERVAL
    if self._clock() - self._shown >= interval:
      self._show()

  def _show(self):
    self._shown = self._clock()
    text = self._count()
    rate = self._rate(self._shown - self._began)
    if rate:
      left = duration((self._total - self._done) / rate)
      text += f', {rate:.3g} {self._unit}/s, {left} left'
    self._write(text + self._figures, end='' if self._is_terminal else '\n')

  def _count(self):
    share = 100 * self._done // self._total if self._total else 100
    return f'{self._label}: {self._done}/{self._total} {self._unit} ({share} %)'

  def _rate(self, elapsed):
    return (self._done - self._start) / elapsed if elapsed > 0 else 0.0

  def _write(self, text, end):
    if self._is_terminal:
      width = max(shutil.get_terminal_size().columns - 1, 20)
      text = '\r' + text[:width] + '\x1b[K'  # K: clears the line's old rest.
    self._stream.write(text + end)
    self._stream.flush()


def duration(seconds: float) -> str:
  """Returns a time in seconds as `12.3 s`, `4 min 05 s` or `3 h 20 min`."""
  if round(seconds, 1) < 60:
    return f'{seconds:.1f} s'
  seconds = round(seconds)
  if seconds < 3600:
    return f'{seconds // 60} min {seconds % 60:02d} s'
  return f'{seconds // 3600} h {seconds % 3600 // 60:02d} min'


def _figure(value):
  try:
    return f'{float(value):.4g}'
  except (TypeError, ValueError):
    return str(value)
