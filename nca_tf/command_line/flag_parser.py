"""One flag's value: its text, its type and what is allowed."""

import math

from absl import flags

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
    self.minimum = metadata.get('minimum')
    self.maximum = metadata.get('maximum')
    self.allowed = self._describe()

  def parse(self, argument):
    """Returns the value of a text, or a native value once checked."""
    try:
      value = self._convert(argument)
    except ValueError:
      self._refuse(argument)
    entries = value if isinstance(value, tuple) else (value,)
    if not all(map(self._is_allowed, entries)):
      self._refuse(argument)
    return value

  def show(self, value):
    """Returns a value as it would be typed on the command line."""
    if isinstance(value, tuple):
      return ','.join(map(str, value)) or "''"
    if isinstance(value, bool):
      return str(value).lower()
    return str(value) if value != '' else "''"

  def _convert(self, argument):
    if self.kind is tuple:
      if isinstance(argument, str):
        argument = [part for part in argument.split(',') if argument]
      return tuple(self._entry(part) for part in argument)
    if not isinstance(argument, str):
      return float(argument) if self.kind is float else argument
    if self.kind is bool:
      words = {'true': True, '1': True, 'false': False, '0': False}
      if argument.lower() not in words:
        raise ValueError(argument)
      return words[argument.lower()]
    return self.kind(argument)

  def _is_allowed(self, value):
    if isinstance(value, float) and not math.isfinite(value):
      return False
    if self.choices is not None and value not in self.choices:
      return False
    if self.minimum is not None and value < self.minimum:
      return False
    return self.maximum is None or value <= self.maximum

  def _refuse(self, argument):
    raise flags.IllegalFlagValueError(
      f'--{self.name} must be {self.allowed}, got {argument!r}'
    )

  def _describe(self):
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
    if self.minimum is not None and self.maximum is not None:
      return f'{text} from {self.minimum} to {self.maximum}'
    if self.minimum is not None:
      return f'{text} of at least {self.minimum}'
    if self.maximum is not None:
      return f'{text} of at most {self.maximum}'
    return text
