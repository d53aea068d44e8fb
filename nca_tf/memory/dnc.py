"""The Differentiable Neural Computer as a Keras RNN cell.

Graves et al., 'Hybrid computing using a neural network with dynamic external
memory', Nature 538 (2016), Methods ('the paper'). Everything is keras.ops, so
that it runs on Keras' other backends as well.
"""

import numbers
from typing import Any, NamedTuple

import keras
from keras import ops

from nca_tf import checks
from nca_tf.memory import access
from nca_tf.memory import extensions

Tensor = Any


class DNCState(NamedTuple):
  """A DNC's state. It flattens in the order in which the fields stand here."""

  controller: tuple  # the controller's own state, for an LSTM h, c: [B, H]
  reads: Tensor  # words read at the last step, [B, R, W]
  access: access.AccessState


@keras.saving.register_keras_serializable(package='nca_tf')
class DNCCell(keras.layers.Layer):
  """One step of a DNC: controller, memory access, output.

  The controller sees the input beside the words read at the previous step.
  Its output h gives the interface to the memory; the cell's output is
  W_y h + W_r r with the words r read now (with one bias). Two deviations from
  the paper: the interface's matrix has a bias, as DeepMind's code has it, and
  cosines and allocation have an epsilon (see `addressing`).

  `call(inputs [B, F], states) -> (output [B, O], states)` with `states` a
  `DNCState`, or anything nested that flattens to the same tensors; the next
  states come back in the structure and in the dtypes of the given ones. The
  state starts at zero. In mixed precision the matrices of controller,
  interface and output compute in half precision, the memory in float32.

      cell = DNCCell(256, memory_slots=64, word_size=32, read_heads=4)
      state = cell.get_initial_state(batch_size=16)
      output, state = cell(inputs, state)
      sequence = keras.layers.RNN(cell, return_sequences=True)(sequences)

  `keras.layers.RNN` carries the whole state in the compute dtype, gives wrong
  symbolic shapes for a returned state, as it assumes states of two axes, and
  cannot reset the nested state of a stateful layer; `DNC` has none of these
  flaws.

  Args:
    controller: number of LSTM units, or any Keras RNN cell, or a feed-forward
      layer such as keras.layers.Dense. Its first output axis is the batch.
    memory_slots: N.
    word_size: W.
    read_heads: R.
    output_size: O; None gives h and the words read, concatenated.
    convention: 'paper' or 'deepmind', see `access`.
    key_masking: the controller masks the parts of a word that are compared
      with a key. For this and the next two see `extensions`.
    deallocation: freeing a slot also erases it.
    link_sharpness: the controller sharpens the weightings that follow links.
    sparse_links: K, how many links of each slot are kept: approximate, for a
      large memory, see `sparse_links`. None keeps them all.
    **kwargs: Keras' own: name, dtype, trainable.

  Raises:
    ValueError: an argument is out of its range.
  """

  # More than seven arguments: each option of the literature is one of its own.
  def __init__(
    self,
    controller: int | keras.layers.Layer,
    memory_slots: int = 64,
    word_size: int = 32,
    read_heads: int = 4,
    output_size: int | None = None,
    convention: str = 'paper',
    key_masking: bool = False,
    deallocation: bool = False,
    link_sharpness: bool = False,
    sparse_links: int | None = None,
    **kwargs,
  ):
    # Our own casts: Keras would squeeze the memory into the compute dtype.
    super().__init__(autocast=False, **kwargs)
    self.memory_slots = checks.integer('memory_slots', memory_slots, 1)
    self.word_size = checks.integer('word_size', word_size, 1)
    self.read_heads = checks.integer('read_heads', read_heads, 1)
    if output_size is not None:
      output_size = checks.integer('output_size', output_size, 1)
    self.convention = access.check_convention(convention)
    self.options = extensions.Options(
      checks.boolean('key_masking', key_masking),
      checks.boolean('deallocation', deallocation),
      checks.boolean('link_sharpness', link_sharpness),
    )
    if sparse_links is not None:
      sparse_links = checks.integer('sparse_links', sparse_links, 1)
      if sparse_links > self.memory_slots:
        raise ValueError(
          f'sparse_links must be at most memory_slots = {self.memory_slots}, '
          f'got {sparse_links}'
        )
    self.sparse_links = sparse_links
    if not isinstance(controller, keras.layers.Layer):
      units = checks.integer('controller', controller, 1)
      controller = self._make(keras.layers.LSTMCell, units, 'controller')
    self.controller = controller
    self._requested_output_size = output_size
    self._built_features = None
    sizes = self.read_heads, self.word_size
    size = access.interface_size(*sizes)
    size += extensions.interface_size(self.options, *sizes)
    self._interface = self._make(keras.layers.Dense, size, 'interface')
    self._readout = None
    if output_size is not None:
      self._readout = self._make(keras.layers.Dense, output_size, 'readout')

  def _make(self, layer, units, name):
    return layer(units, dtype=self.dtype_policy, name=name)

  @property
  def _is_recurrent(self) -> bool:
    return hasattr(self.controller, 'state_size')

  @property
  def reads_size(self) -> int:
    """R W, the length of the words read at one step."""
    return self.read_heads * self.word_size

  @property
  def controller_size(self) -> int:
    """Length of the controller's output h."""
    for name in ('output_size', 'units'):
      size = getattr(self.controller, name, None)
      if isinstance(size, numbers.Integral):
        return int(size)
    if self._is_recurrent:
      return keras.tree.flatten(self.controller.state_size)[0]
    if not self.built:
      raise ValueError(
        'output_size must be given, or the cell built, to know the size of '
        f'the output of {self.controller.name}'
      )
    shape = (None, self._built_features + self.reads_size)
    return self.controller.compute_output_shape(shape)[-1]

  @property
  def output_size(self) -> int:
    """O, the length of one output."""
    if self._requested_output_size is not None:
      return self._requested_output_size
    return self.controller_size + self.reads_size

  @property
  def input_size(self) -> int | None:
    """F, the length of one input; None before the cell is built."""
    return self._built_features

  @property
  def state_size(self) -> DNCState:
    """Shapes of the state without the batch axis, nested as the state."""
    controller = ()
    if self._is_recurrent:
      controller = tuple(_as_list(self.controller.state_size))
    reads = self.read_heads, self.word_size
    memory = access.state_shapes(
      self.memory_slots, self.word_size, self.read_heads, self.sparse_links
    )
    return DNCState(controller, reads, memory)

  def get_initial_state(self, batch_size: int | None = None) -> DNCState:
    """The state before the first step: all zeros, in the dtypes carried."""
    controller = ()
    if self._is_recurrent:
      start = self.controller.get_initial_state(batch_size=batch_size)
      controller = tuple(_as_list(start))
    sizes = self.state_size
    reads, *memory = (
      ops.zeros((batch_size, *shape), self._memory_dtype)
      for shape in (sizes.reads, *sizes.access)
    )
    return DNCState(controller, reads, access.AccessState(*memory))

  def state_shapes(self, batch_size: int | None) -> DNCState:
    """Shapes of the state with the batch axis, nested as the state."""
    sizes = self.state_size
    controller = keras.tree.map_structure(
      lambda units: (batch_size, int(units)), sizes.controller
    )
    reads, *memory = (
      (batch_size, *shape) for shape in (sizes.reads, *sizes.access)
    )
    return DNCState(controller, reads, access.AccessState(*memory))

  @property
  def _memory_dtype(self) -> str:
    half = self.compute_dtype in ('bfloat16', 'float16')
    return 'float32' if half else self.compute_dtype

  def build(self, input_shape):
    """Makes the weights; none of them depends on the number of slots."""
    batch, features = input_shape[0], input_shape[-1]
    if features is None:
      raise ValueError(
        f'inputs must have a known last axis, got shape {tuple(input_shape)}'
      )
    self._built_features = features
    if not self.controller.built:
      self.controller.build((batch, features + self.reads_size))
    # Set first, as `controller_size` of a general controller needs F.
    self.built = True
    self._interface.build((batch, self.controller_size))
    if self._readout is not None:
      self._readout.build((batch, self.controller_size + self.reads_size))

  def call(self, inputs, states, training=False):
    """One step, [B, F] -> [B, O]; see the class."""
    state = self.pack_state(states, inputs.shape[0])
    hidden, after, _ = self.advance(inputs, state, training)
    return self.read_out(hidden), _cast_like(after, states)

  def advance(self, inputs, state: DNCState, training=False):
    """A step without the output layer; `read_out` applies it to many at once.

    Args:
      inputs: [B, F].
      state: of the previous step.
      training: for a controller with dropout.

    Returns:
      h beside the words read [B, H + R W], the next state, and the activated
      `access.Interface` of this step.
    """
    joined = self._beside(inputs, state.reads)
    hidden, controller = self._control(joined, state.controller, training)
    raw = ops.cast(self._interface(hidden), self._memory_dtype)
    interface, extra = self._parse(raw)
    reads, memory = access.step(interface, state.access, self.convention, extra)
    hidden = self._beside(hidden, reads)
    reads = ops.cast(reads, state.reads.dtype)
    return hidden, DNCState(controller, reads, memory), interface

  def _beside(self, vectors, reads):
    """[B, ...] and words read [B, R, W] side by side, in the compute dtype."""
    reads = ops.reshape(reads, (-1, self.reads_size))
    parts = [ops.cast(part, self.compute_dtype) for part in (vectors, reads)]
    return ops.concatenate(parts, axis=-1)

  def _parse(self, raw):
    """The activated interface, and that of the extensions, which follows it."""
    heads, words = self.read_heads, self.word_size
    size = access.interface_size(heads, words)
    extra = extensions.NONE
    if any(self.options):
      extra = extensions.parse(raw[:, size:], self.options, heads, words)
      raw = raw[:, :size]
    return access.parse_interface(raw, heads, words, self.convention), extra

  def _control(self, joined, state, training):
    layer = self.controller
    if not self._is_recurrent:
      return layer(joined, training=training), ()
    # Keras' own cells expect a single state as a bare tensor.
    nested = isinstance(layer.state_size, (list, tuple))
    hidden, after = layer(
      joined, list(state) if nested else state[0], training=training
    )
    # Keras caches dropout masks on the cell; they would leak out of a loop.
    for name in ('reset_dropout_mask', 'reset_recurrent_dropout_mask'):
      getattr(layer, name, lambda: None)()
    return hidden, _cast_like(after, state)

  def read_out(self, hidden):
    """W_y h + W_r r from `advance`'s first result, or that result itself."""
    return hidden if self._readout is None else self._readout(hidden)

  def pack_state(self, states, batch_size: int | None = None) -> DNCState:
    """Any nesting of the state's tensors as a DNCState.

    Args:
      states: flattens to the tensors of `state_size`, in that order.
      batch_size: that of the inputs, None if it is unknown.

    Returns:
      The tensors in the dtypes that the cell computes with.

    Raises:
      ValueError: not as many tensors, or one of another shape.
    """
    flat = [ops.convert_to_tensor(x) for x in keras.tree.flatten(states)]
    own = self.state_size
    units = keras.tree.flatten(own.controller)
    sizes = [*((size,) for size in units), own.reads, *own.access]
    got = [tuple(tensor.shape[1:]) for tensor in flat]
    if got != sizes or any(not tensor.shape for tensor in flat):
      raise ValueError(
        f'states must be {len(sizes)} tensors of shapes {sizes} after the '
        f'batch axis, got {got}'
      )
    batches = {tensor.shape[0] for tensor in flat} - {None}
    if len(batches) > 1 or (batch_size is not None and batches - {batch_size}):
      wanted = 'one batch size' if batch_size is None else batch_size
      raise ValueError(
        f'states must be of the batch size of the inputs, {wanted}, got '
        f'{sorted(batches)}'
      )
    count = len(units)
    controller = [
      ops.cast(tensor, self.controller.compute_dtype) for tensor in flat[:count]
    ]
    controller = keras.tree.pack_sequence_as(own.controller, controller)
    reads, *memory = (
      ops.cast(tensor, self._memory_dtype) for tensor in flat[count:]
    )
    return DNCState(controller, reads, access.AccessState(*memory))

  def resize(self, memory_slots: int) -> 'DNCCell':
    """A new cell with copies of the weights and another number of slots."""
    config = {**self.get_config(), 'memory_slots': memory_slots}
    cell = type(self).from_config(config)
    if self.built:
      cell.build((None, self._built_features))
      cell.set_weights(self.get_weights())
    return cell

  def get_config(self):
    """Keras' configuration; the controller as a serialised layer."""
    return {
      **super().get_config(),
      'controller': keras.saving.serialize_keras_object(self.controller),
      'memory_slots': self.memory_slots,
      'word_size': self.word_size,
      'read_heads': self.read_heads,
      'output_size': self._requested_output_size,
      'convention': self.convention,
      **self.options._asdict(),
      'sparse_links': self.sparse_links,
    }

  @classmethod
  def from_config(cls, config):
    """The cell of a configuration."""
    controller = keras.saving.deserialize_keras_object(config['controller'])
    return cls(**{**config, 'controller': controller})


def _as_list(state) -> list:
  return list(state) if isinstance(state, (list, tuple)) else [state]


def _cast_like(after, before):
  """The tensors of `after` in the nesting and the dtypes of `before`."""
  pairs = zip(
    keras.tree.flatten(after), keras.tree.flatten(before), strict=True
  )
  flat = [ops.cast(new, old.dtype) for new, old in pairs]
  return keras.tree.pack_sequence_as(before, flat)


def _let_keras_see_tuples():
  """Lets keras.layers.RNN be stateful with a cell whose state has tuples.

  TensorFlow wraps the tuples of variables that a layer holds, and Keras (3.15)
  sees through such wrappers of lists and dicts alone.
  """
  import optree  # Keras requires it.
  from tensorflow.python.trackable import data_structures

  def unflatten(kind, children):
    return kind(*children) if hasattr(kind, '_fields') else kind(children)

  try:
    optree.register_pytree_node(
      data_structures._TupleWrapper,
      lambda wrapper: (tuple(wrapper), type(wrapper.__wrapped__)),
      unflatten,
      namespace='keras',
    )
  except ValueError:  # It is registered: Keras has come to see them itself.
    pass


if keras.backend.backend() == 'tensorflow':
  _let_keras_see_tuples()
