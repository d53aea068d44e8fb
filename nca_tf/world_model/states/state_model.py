"""M for integer states with a board: predicts the next state.

The recurrent cell and its unrolling are `MemoryModel`'s. In place of V and of
one dense head, two small networks are applied to every square of the board,
since the rules of such games are local. Only the recurrent cell can know what
a state does not show: how old a flame is, or in which direction a bomb rolls.
Letters: B batch, T time, N components, S board size.
"""

import keras
import tensorflow as tf
from keras import ops

from nca_tf.world_model import model as model_lib
from nca_tf.world_model.states import codings
from nca_tf.world_model.states import layout as layout_lib

_CODE = 128  # Size of a state's code, the input of the recurrent cell.
_CHANNELS = 32  # Features of a square and its neighbours.
_SUMMARY = 4  # Features of a square that go into the code.
_MEMORY = 8  # Features of a square that the recurrent cell gives.
_HIDDEN = 48


class StateModel(model_lib.MemoryModel):
  """Predicts all components of the next state from states and actions.

  model = StateModel(cells.make('dnc', 128), layout, coding, action_size=6)
  parameters, state = model.unroll(x, action, is_first, model.initial(B))
  model.coding.decode(parameters)  # [B, T, N] int32
  """

  def __init__(self, cell, layout: layout_lib.Layout, coding, action_size):
    """Makes the layers.

    Args:
      cell: from `nca_tf.memory.cells.make`.
      layout: of the states.
      coding: from `registry.make`.
      action_size: number of actions, A.
    """
    super().__init__(cell, _CODE, action_size)
    self.layout = layout
    self.coding = coding
    size, dense = layout.size, keras.layers.Dense
    self._around = keras.layers.Conv2D(
      _CHANNELS, 3, padding='same', activation='relu'
    )
    self._summary = dense(_SUMMARY)
    self._code = dense(_CODE, activation='relu')
    self._memory = dense(size**2 * _MEMORY)
    self._local = dense(_HIDDEN, activation='relu')
    self._single = dense(_HIDDEN, activation='relu')
    # As attributes: TensorFlow's checkpoints leave out what a dict holds.
    for group in layout.groups:
      outputs = len(coding.bias(group)) * (1 if group.is_map else group.size)
      head = dense(outputs, use_bias=False)
      setattr(self, _attribute('head', group), head)
    for group in layout.groups:
      skip = codings.Skip(coding.skip(group), coding.bias(group))
      setattr(self, _attribute('skip', group), skip)

  def build(self, input_shape=None):
    """Builds every variable by one step of a batch of one."""
    if self.built:
      return
    self.cell.build((None, _CODE + self.action_size + 1))
    self.built = True
    self.step(
      ops.zeros((1, self.layout.components), 'int32'),
      ops.zeros((1, self.action_size)),
      ops.zeros((1,), 'bool'),
      self.initial(1),
    )

  def step(self, x, action, is_first, state):
    """One step: x [B, N] integers, action [B, A], is_first [B]."""
    seen = self._read(x)
    hidden, state = super().step(seen['code'], action, is_first, state)
    return self._predict(x, action, seen, hidden), state

  def unroll(self, x, action, is_first, state, **options):
    """T steps: x [B, T, N], action [B, T, A], is_first [B, T].

    Returns:
      Parameters of the coding with leading axes [B, T], and the last state.
    """
    seen = self._read(x)
    hidden, state = super().unroll(
      seen['code'], action, is_first, state, **options
    )
    return self._predict(x, action, seen, hidden), state

  def read_out(self, output):
    """The outputs themselves: the heads also need the present state."""
    return output

  def _read(self, x):
    """Inputs by group, features of the squares, and the code of a state."""
    inputs = {
      group.name: self.coding.read(group, x[..., group.places])
      for group in self.layout.groups
    }
    size, lead = self.layout.size, tf.shape(x)[:-1]
    planes = ops.concatenate(
      [inputs[group.name] for group in self.layout.maps], axis=-1
    )  # [..., S * S, F]
    own = ops.cast(self._own_square(x), planes.dtype)
    planes = ops.concatenate([planes, own[..., None]], axis=-1)
    boards = tf.reshape(planes, [-1, size, size, planes.shape[-1]])
    local = _reshape(self._around(boards), lead, size**2, _CHANNELS)
    here = ops.sum(local * own[..., None], axis=-2)
    singles, width = [], _CHANNELS
    for group in self.layout.singles:
      values = inputs[group.name]
      singles.append(_reshape(values, lead, -1))
      width += group.size * values.shape[-1]
    singles = ops.concatenate([*singles, here], axis=-1)
    singles = tf.ensure_shape(singles, [*x.shape[:-1], width])
    summary = _reshape(self._summary(local), lead, size**2 * _SUMMARY)
    code = self._code(ops.concatenate([summary, singles], axis=-1))
    return {'inputs': inputs, 'local': local, 'singles': singles, 'code': code}

  def _own_square(self, x):
    """[..., S * S] one where agent 0 stands, from its row and column."""
    size = self.layout.size
    row, column = (
      ops.cast(x[..., self.layout.find(name).start], 'int32')
      for name in ('row', 'column')
    )
    return ops.one_hot(row * size + column, size**2)

  def _predict(self, x, action, seen, hidden):
    lead = tf.shape(x)[:-1]
    area = self.layout.size**2
    memory = _reshape(self._memory(hidden), lead, area, _MEMORY)
    action = ops.cast(action, hidden.dtype)
    everywhere = ops.repeat(action[..., None, :], area, axis=-2)
    local = self._local(
      ops.concatenate([seen['local'], memory, everywhere], axis=-1)
    )
    single = self._single(
      ops.concatenate([seen['singles'], action, hidden], axis=-1)
    )
    outputs = []
    for group in self.layout.groups:
      head = getattr(self, _attribute('head', group))
      skip = getattr(self, _attribute('skip', group))
      if group.is_map:
        output = head(local)
      else:
        output = _reshape(
          head(single), lead, group.size, head.units // group.size
        )
      outputs.append(output + skip(seen['inputs'][group.name]))
    return self.coding.parameters(x, outputs)


def _reshape(tensor, lead, *shape):
  return tf.reshape(tensor, tf.concat([lead, shape], 0))


def _attribute(kind, group):
  return f'_{kind}_{group.name.replace(" ", "_")}'
