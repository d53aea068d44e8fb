"""Flags of a recurrent cell, for every experiment that makes one.

class Config(cell_flags.CellFlags):
  cell: str = config_flags.option('dnc', 'Cell.', choices=cells.names)
  units: int = config_flags.changed(cell_flags.CellFlags, 'units', 128)
  ...

  @property
  def cell_names(self):
    return (self.cell,)
"""

import dataclasses
from typing import TYPE_CHECKING

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.memory import cells

if TYPE_CHECKING:
  import keras

_option = config_flags.option

# The flags that count only where the cell has a memory.
OF_A_MEMORY = ('memory_slots', 'word_size', 'read_heads')


@dataclasses.dataclass(frozen=True)
class CellFlags(config_flags.Common):
  """Sizes of a cell; those of a memory are ignored by a cell without one."""

  units: int = _option(
    256, 'Units of the cell; of a DNC, those of its LSTM controller.', minimum=1
  )
  memory_slots: int = _option(32, 'Slots of the DNC.', minimum=1)
  word_size: int = _option(32, 'Size of a slot of the DNC.', minimum=1)
  read_heads: int = _option(4, 'Read heads of the DNC.', minimum=1)

  @property
  def cell_names(self) -> tuple[str, ...]:
    """Names of the cells that these flags make."""
    raise NotImplementedError

  def make_cell(self, name: str) -> 'keras.layers.Layer':
    """A cell of these sizes, not built."""
    sizes = {size: getattr(self, size) for size in OF_A_MEMORY}
    return cells.make(name, self.units, **sizes)

  def validate(self) -> None:
    """Refuses more read heads than slots, where a cell has a memory."""
    super().validate()
    if any(cells.get(name).has_memory for name in self.cell_names):
      check_heads(self.read_heads, self.memory_slots)


def check_heads(read_heads: int, memory_slots: int) -> None:
  """Raises `faults.UsageError` when there are more read heads than slots."""
  if read_heads > memory_slots:
    raise faults.UsageError(
      f'--read_heads must be at most --memory_slots, got {read_heads} heads '
      f'for {memory_slots} slots'
    )
