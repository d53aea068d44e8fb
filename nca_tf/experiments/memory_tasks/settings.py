"""A DNC, an LSTM of as many weights, or another cell, on a memory task.

The tasks are those of Graves et al., Neural Turing Machines (2014), section 4,
and sums of digits; see nca_tf.datasets.memory_tasks.
"""

import dataclasses
import os
from typing import ClassVar

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.datasets.memory_tasks import registry
from nca_tf.experiments.memory_tasks import defaults
from nca_tf.memory import cell_flags
from nca_tf.memory import cells
from nca_tf.runs import commands
from nca_tf.runs import run_folder

NAME = 'train_memory_task'
BOTH = ('dnc', 'lstm')  # What --cell=both compares.
REFERENCE = 'dnc'  # Cells without a memory get as many weights as this one.
_option = config_flags.option


def _own(auto, help, **limits):
  """A flag that is auto by default: `auto` in files, the task's own here."""
  if auto != 'auto':
    limits['auto'] = auto
  return _option(auto, f"{help}; auto takes the task's default.", **limits)


@dataclasses.dataclass(frozen=True)
class Config(config_flags.Common):
  """Settings of one task; the laptop preset takes minutes on one core."""

  task: str = _option('copy', 'Task to learn.', choices=registry.names())
  cell: str = _option(
    'dnc',
    'Recurrent cell; both compares a DNC and an LSTM of as many weights.',
    choices=lambda: (*cells.names(), 'both'),
  )
  seeds: int = _option(
    1,
    'Trainings of each cell, with --seed and the numbers after it. The same '
    'folder goes on with more of them.',
    minimum=1,
    maximum=1000,
    identity=False,
  )
  longest: int = _own(
    0, 'Length of the longest sequences trained on', minimum=1
  )
  test_lengths: tuple[int, ...] = _option(
    (),
    'Lengths to test; empty takes those up to twice --longest, for addition up '
    'to 100.',
    minimum=1,
  )
  test_sequences: int = _option(
    256, 'Held-out sequences per length.', minimum=1
  )
  bits: int = _option(6, 'Bits of a word.', minimum=1, maximum=64)
  item_words: int = _option(
    2, 'Words of an item of associative_recall.', minimum=1, maximum=16
  )
  most_repeats: int = _option(
    4, 'Most repetitions of repeat_copy.', minimum=1, maximum=16
  )
  units: int = _own(0, "Units of the DNC's controller", minimum=1)
  controller: str = _own(
    'auto',
    "The DNC's controller; feedforward has no state of its own and has to use "
    'the memory',
    choices=('auto', 'lstm', 'feedforward'),
  )
  lstm_units: int = _option(
    0,
    'Units of an LSTM, or of another cell without a memory; auto gives it as '
    'many weights as the DNC has.',
    auto=0,
    minimum=1,
  )
  memory_slots: int = _own(0, 'Slots of the DNC', minimum=1)
  word_size: int = _own(0, 'Size of a slot of the DNC', minimum=1)
  read_heads: int = _own(0, 'Read heads of the DNC', minimum=1)
  key_masking: bool = _option(
    False, 'Mask the keys of the DNC (Csordas and Schmidhuber, 2019).'
  )
  deallocation: bool = _option(
    False, 'Erase the slots that the DNC frees (the same).'
  )
  link_sharpness: bool = _option(
    False, 'Sharpen the weightings of the DNC that follow links (the same).'
  )
  updates: int = _own(0, 'Updates of each training', minimum=1)
  batch: int = _option(16, 'Sequences per update.', minimum=1)
  learning_rate: float = _own(
    0.0, "Adam's first rate, which falls to 0", minimum=1e-9
  )
  curriculum: float = _own(
    -1.0,
    'Share of the updates during which the longest length grows',
    minimum=0,
    maximum=1,
  )
  clip: float = _own(0.0, 'Largest norm of the whole gradient', minimum=1e-6)

  PRESETS: ClassVar = {
    'smoke': {
      'longest': 3,
      'test_sequences': 8,
      'bits': 3,
      'item_words': 1,
      'most_repeats': 2,
      'units': 8,
      'memory_slots': 6,
      'word_size': 4,
      'read_heads': 1,
      'updates': 20,
      'batch': 4,
    },
    'laptop': {},
    'paper': {
      'longest': 20,
      'bits': 8,
      'item_words': 3,
      'most_repeats': 10,
      'units': 100,
      'memory_slots': 128,
      'word_size': 20,
      'updates': 100000,
      'learning_rate': 1e-3,
    },
  }

  @property
  def cells(self) -> tuple[str, ...]:
    """Cells to train."""
    return BOTH if self.cell == 'both' else (self.cell,)

  def own(self, name: str):
    """A setting, or the task's own default where no flag sets it."""
    value = getattr(self, name)
    if value == self.__dataclass_fields__[name].default:
      return getattr(defaults.SETTINGS[self.task], name, value)
    return value

  def make_task(self):
    """The task, of the sizes that the flags ask for."""
    return registry.make(
      self.task,
      bits=self.bits,
      item_words=self.item_words,
      most_repeats=self.most_repeats,
    )

  @property
  def lengths(self) -> tuple[int, ...]:
    """Lengths to test at."""
    if self.test_lengths:
      return tuple(sorted(set(self.test_lengths)))
    # Eighths of twice the longest, which are that one and the longest as well.
    shortest, longest = self.make_task().SHORTEST, self.own('longest')
    inside = {max(shortest, longest * i // 4) for i in range(1, 9)}
    return tuple(sorted(inside.union(defaults.LENGTHS.get(self.task, ()))))

  @property
  def run_name(self) -> str:
    """Name of the run below `runs/train_memory_task/`."""
    return f'{self.task}-{self.cell}-{self.seed}'

  def next_command(self, folder: os.PathLike) -> str:
    """The command that goes on from a finished run in a folder."""
    if self.cell == 'both':  # More seeds, in this folder.
      other = dict(seeds=self.seeds + 2, run_dir=str(folder))
    else:
      other = dict(cell='both', seeds=max(self.seeds, 3), run_dir='')
    config = dataclasses.replace(self, **other)
    return commands.line(NAME, *config_flags.arguments(config))

  def check_folder(self):
    """Refuses a run folder of other settings, before TensorFlow."""
    run_folder.check(self, NAME, self.run_name)

  def validate(self):
    """Refuses lengths that the task cannot have, and too many read heads."""
    super().validate()
    task = self.make_task()
    lengths = [('test_lengths', length) for length in self.lengths]
    for flag, length in (('longest', self.own('longest')), *lengths):
      if length < task.SHORTEST:
        raise faults.UsageError(
          f'--{flag} must be at least {task.SHORTEST} for --task={self.task}, '
          f'got {length}'
        )
      try:
        task.steps(length)
      except ValueError as error:
        raise faults.UsageError(f'--{flag}: {error}') from error
    cell_flags.check_heads(self.own('read_heads'), self.own('memory_slots'))
