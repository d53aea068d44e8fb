"""One flag's value: its text, its type and what is allowed."""

import difflib
import math
import re
from collections.abc import Iterable

from absl import flags

_LARGEST = 2**31 - 1  # Sizes and counts beyond it fail in NumPy and TensorFlow.
_ENTRIES = {int: 'integers', str: 'words'}


class Parser(flags.ArgumentParser):
  """Checks one flag's value and says in words what is allowed.

  Attributes:
    kind: bool, float, int, str or tuple.
    allowed: What is allowed, in words: `an integer of at least 1`.
  """

  def __init__(self, name, kind, metadata, entry=int):
    """Takes the limits from the metadata of `config_flags.option`.

    `entry`, int or str, is what a tuple is made of.
    """
    self.name, self.kind, self._entry = name, kind, entry
    choices = metadata.get('choices')
    self.choices = choices() if callable(choices) else choices
    names = metadata.get('names')
    self.names = names() if names else ()
    auto = metadata.get('auto')
    self.auto = None if auto is None else kind(auto)
    self.minimum = metadata.get('minimum')
    self.maximum = metadata.get('maximum')
    self.allowed = self._describe()

  def parse(self, argument):
    """Returns the value of a text, or a native value once checked."""
    if self._is_auto(argument) or self.auto is not None and argument == 'auto':
      return self.auto
    try:
      value = self._convert(argument)
    except ValueError:
      self._refuse(argument)
    entries = value if isinstance(value, tuple) else (value,)
    if not all(map(self._is_allowed, entries)):
      self._refuse(argument)
    if self.maximum is None and any(map(_is_too_large, entries)):
      self._refuse(argument, f' and at most {_LARGEST}')
    return value

  def show(self, value):
    """Returns a value as it would be typed, or the word for none."""
    if self._is_auto(value):
      return 'auto'
    if isinstance(value, tuple):
      return ','.join(map(str, value)) or 'empty'
    if isinstance(value, bool):
      return str(value).lower()
    return str(value) if value != '' else 'empty'

  def _is_auto(self, value):
    """Whether a native value stands for `auto`."""
    return (
      self.auto is not None
      and isinstance(value, int | float)
      and value == self.auto
    )

  def _convert(self, argument):
    if self.kind is tuple:
      if not isinstance(argument, str):
        return tuple(argument)
      parts = argument.split(',') if argument else []
      if not all(map(str.strip, parts)):
        raise ValueError(argument)
      return tuple(_read(self._entry, part.strip()) for part in parts)
    if not isinstance(argument, str):
      return float(argument) if self.kind is float else argument
    if self.kind is bool:
      words = {'true': True, '1': True, 'false': False, '0': False}
      if argument.lower() not in words:
        raise ValueError(argument)
      return words[argument.lower()]
    return _read(self.kind, argument)

  def _is_allowed(self, value):
    if isinstance(value, float) and not math.isfinite(value):
      return False
    if self.choices is not None and value not in self.choices:
      return False
    if self.minimum is not None and value < self.minimum:
      return False
    return self.maximum is None or value <= self.maximum

  def _refuse(self, argument, limit=''):
    raise flags.IllegalFlagValueError(
      f'--{self.name} must be {self.allowed}{limit}, got {argument!r}'
    )

  def _describe(self):
    text = self._describe_values()
    if self.auto is not None:
      return f'auto or {text}'
    return f'{text} such as {", ".join(self.names)}' if self.names else text

  def _describe_values(self):
    if self.choices is not None:
      words = [str(choice) for choice in self.choices]
      text = 'one of ' + ', '.join(words) if len(words) > 1 else words[0]
      if self.kind is tuple:
        text = f'{text}, or several with commas between'
    else:
      text = {
        bool: 'true or false',
        float: 'a number',
        int: 'an integer',
        str: 'a text',
        tuple: f'{_ENTRIES[self._entry]} separated by commas',
      }[self.kind]
    each = ', each' if self.kind is tuple else ''
    if self.minimum is not None and self.maximum is not None:
      return f'{text}{each} from {self.minimum} to {self.maximum}'
    if self.minimum is not None:
      return f'{text}{each} of at least {self.minimum}'
    if self.maximum is not None:
      return f'{text}{each} of at most {self.maximum}'
    return text


def _is_too_large(value):
  return isinstance(value, int) and value > _LARGEST


def _read(kind, text):
  """Returns a text's value; `ValueError` for digits that only Python reads."""
  if kind is not str and not re.fullmatch(r'[-+.0-9A-Za-z]+', text):
    raise ValueError(text)
  return kind(text)


def suggest(name: str, known: Iterable[str]) -> str:
  """Returns a line about an unknown flag: those that it may have meant."""
  near = difflib.get_close_matches(name, list(known))
  meant = ' or '.join(f'--{each}' for each in near)
  question = f', did you mean {meant}?' if near else ';'
  name = ' '.join(name.split())
  return f'Unknown flag {name!r}{question} --help lists the flags'
