"""A terminal as screen and keyboard, by its control sequences alone.

Two pixels share a character: the upper half block has the upper pixel's
colour, its background the lower one's (24-bit colours, ECMA-48 and ISO 8613-6).
"""

import contextlib
import os
import re
import select
import signal
import sys
import termios
import time
import tty

import numpy as np
from PIL import Image

_ENTER = b'\x1b[?1049h\x1b[?25l\x1b[2J'  # Second screen, no cursor, cleared.
_LEAVE = b'\x1b[0m\x1b[?25h\x1b[?1049l'
_HOME, _PLAIN, _TO_LINE_END = '\x1b[H', '\x1b[0m', '\x1b[K'
_SMALLEST = 8  # Pixels, however small the terminal.
# A key is a control sequence or one byte; half a sequence waits for the rest.
_KEY = re.compile(rb'\x1b[\[O][^@-~]*[@-~]|\x1b(?=[^\[O])|[^\x1b]', re.DOTALL)
_ARROWS = {b'A': 'up', b'B': 'down', b'C': 'right', b'D': 'left'}


def is_there() -> bool:
  """Whether both the standard input and output are a terminal."""
  return sys.stdin.isatty() and sys.stdout.isatty()


class Terminal:
  """The standard input and output while someone plays.

  with terminal.open_terminal() as screen:
    screen.draw(frame, ['left and right steer, q ends'])
    keys = screen.read_keys(seconds=0.1)
  """

  def __init__(self, keyboard: int, screen: int):
    """Takes the file descriptors of a terminal that is set up."""
    self._keyboard = keyboard
    self._screen = screen
    self._size = None
    self._rest = b''

  def draw(self, frame, lines):
    """Shows a square frame, uint8 [H, H, 3], as large as fits, and a text."""
    size = _size(self._screen)
    columns, rows = size
    side = max(_SMALLEST, min(len(frame), columns, 2 * (rows - len(lines))))
    picture = Image.fromarray(frame)
    side -= side % 2
    if side != len(frame):
      picture = picture.resize((side, side), Image.Resampling.BOX)
    text = half_blocks(np.asarray(picture))
    text += [line[: columns - 1] for line in lines]
    clear = '' if size == self._size else '\x1b[2J'
    self._size = size
    body = (_TO_LINE_END + '\r\n').join(text) + _TO_LINE_END
    _write(self._screen, (clear + _HOME + body).encode())

  def read_keys(self, seconds: float) -> list[str]:
    """Waits, and returns the keys pressed until then.

    Each is 'left', 'right', 'up', 'down', a character, or 'other'; 'closed'
    when the terminal is gone, which ends the waiting.
    """
    end = time.monotonic() + seconds
    while True:
      left = max(0.0, end - time.monotonic())
      if not select.select([self._keyboard], [], [], left)[0]:
        break  # Only now: without time to wait, what is there is read.
      try:
        found = os.read(self._keyboard, 1024)
      except OSError:  # Linux raises this when the other side is gone.
        found = b''
      if not found:
        return ['closed']
      self._rest += found
    keys = []
    while match := _KEY.match(self._rest):
      keys.append(_name(match[0]))
      self._rest = self._rest[match.end() :]
    return keys


@contextlib.contextmanager
def open_terminal(keyboard: int = 0, screen: int = 1):
  """Sets a terminal up and back, whichever way the block is left.

  Ctrl-C interrupts; SIGTERM and SIGHUP end the process in order; the keys that
  suspend it or dump its core do nothing. Only in the main thread. Takes the
  file descriptors of the terminal's input and output.
  """
  before = termios.tcgetattr(keyboard)
  handlers = {
    number: signal.signal(number, _leave)
    for number in (signal.SIGTERM, signal.SIGHUP)
  }
  try:
    tty.setcbreak(keyboard)
    attributes = termios.tcgetattr(keyboard)
    for name in (termios.VSUSP, termios.VQUIT):
      attributes[6][name] = b'\0'
    termios.tcsetattr(keyboard, termios.TCSANOW, attributes)
    _write(screen, _ENTER)
    yield Terminal(keyboard, screen)
  finally:
    with contextlib.suppress(OSError):  # The terminal may be gone.
      _write(screen, _LEAVE)
    with contextlib.suppress(OSError, termios.error):
      termios.tcsetattr(keyboard, termios.TCSAFLUSH, before)
    for number, handler in handlers.items():
      signal.signal(number, handler)


def half_blocks(frame) -> list[str]:
  """Lines of text for pixels uint8 [H, W, 3], H even; H / 2 lines."""
  lines = []
  for upper, lower in zip(
    frame[::2].tolist(), frame[1::2].tolist(), strict=True
  ):
    parts, last = [], (None, None)
    for pair in zip(upper, lower, strict=True):
      if pair[0] != last[0]:
        parts.append('\x1b[38;2;{};{};{}m'.format(*pair[0]))
      if pair[1] != last[1]:
        parts.append('\x1b[48;2;{};{};{}m'.format(*pair[1]))
      parts.append('▀')
      last = pair
    lines.append(''.join(parts) + _PLAIN)
  return lines


def _leave(number, frame):
  del frame
  sys.exit(128 + number)


def _name(key: bytes) -> str:
  if key.startswith(b'\x1b'):
    return _ARROWS.get(key[-1:], 'other') if len(key) > 1 else 'other'
  return key.decode() if b' ' <= key <= b'~' else 'other'


def _size(screen):
  """Columns and rows; a terminal that does not know counts as 80 x 24."""
  try:
    columns, rows = os.get_terminal_size(screen)
  except OSError:
    columns, rows = 0, 0
  return columns or 80, rows or 24


def _write(screen, data: bytes):
  while data:
    data = data[os.write(screen, data) :]
