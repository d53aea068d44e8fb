"""Progress of long work: a rate and an estimate of the time left."""

import collections
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

_INTERVAL = 10.0  # Seconds between two lines where they cannot be rewritten.
_REFRESH = 0.1  # Seconds between two states of a terminal's line.
_RECENT = 60.0  # Seconds that the time left is estimated from.


class Progress:
  """Shows the progress of a piece of work, on stderr.

      with progress.Progress('vision', 1000, 'steps') as bar:
        for step in range(1000):
          bar.update(step + 1, loss=train())

  A terminal gets one line that is rewritten. Anything else, such as a log
  file, gets a line at the start, one every 10 seconds at most, and the last.

  The time left follows from the pace of the last minute, and not from the first
  step, which compiles. The rate in the last line is that of all the work.
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
    stream = sys.stderr if stream is None else stream
    self._stream = stream
    self._clock = clock
    self._is_terminal = stream.isatty()
    self._figures = ''
    self._shown = self._began = clock()
    self._marks = collections.deque()  # (time, units done), the latest last.

  def __enter__(self) -> 'Progress':
    self._began = self._clock()
    self._show()
    return self

  def __exit__(self, kind, *unused) -> None:
    elapsed = self._clock() - self._began
    verb = 'done in' if kind is None else 'stopped after'
    text = f'{self._count()}, {verb} {duration(elapsed)}'
    if self._done > self._start and elapsed > 0:
      rate = (self._done - self._start) / elapsed
      text += f', {rate:.3g} {self._unit}/s'
    self._write(text + self._figures, end='\n')

  def update(self, done: int, **figures: Any) -> None:
    """Sets the number of units done and the figures that are shown with it."""
    self._done = done
    self._figures = ''.join(
      f', {name} {_figure(value)}' for name, value in figures.items()
    )
    now = self._clock()
    if done > self._start:
      self._mark(now)
    interval = _REFRESH if self._is_terminal else _INTERVAL
    if now - self._shown >= interval:
      self._show()

  def _mark(self, now):
    """Keeps at most one mark a second, and one that is older than a minute."""
    marks = self._marks
    if not marks or now - marks[-1][0] >= 1:
      marks.append((now, self._done))
    while len(marks) > 2 and now - marks[1][0] >= _RECENT:
      marks.popleft()

  def _show(self):
    self._shown = self._clock()
    text = self._count()
    rate = self._recent_rate(self._shown)
    if rate:
      left = duration((self._total - self._done) / rate)
      text += f', {rate:.3g} {self._unit}/s, {left} left'
    self._write(text + self._figures, end='' if self._is_terminal else '\n')

  def _count(self):
    share = 100 * self._done // self._total if self._total else 100
    return f'{self._label}: {self._done}/{self._total} {self._unit} ({share} %)'

  def _recent_rate(self, now):
    """Units per second; 0 while there is nothing to tell it from."""
    if not self._marks:
      return 0.0
    time, done = self._marks[0]
    if self._done == done and done - self._start > 1:  # The first of many.
      time, done = self._began, self._start
    return (self._done - done) / (now - time) if now > time else 0.0

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
