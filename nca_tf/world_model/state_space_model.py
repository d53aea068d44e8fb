"""M over discrete codes of what it did not know, as in Dreamer.

Letters as in `model` and `categorical`.
"""

import typing

import keras
import tensorflow as tf

from nca_tf.memory import cells
from nca_tf.memory.unrolled import episodes
from nca_tf.world_model import categorical
from nca_tf.world_model import discrete_model


class RecurrentStateSpaceModel(discrete_model.DiscreteModel):
  """A DiscreteModel whose posterior and decoder see the cell's output.

  Hafner et al., Learning Latent Dynamics for Planning from Pixels (2019,
  PlaNet), section 3: q(s_t | h_t, x_t). Codes hold what M did not know of a
  frame, so that few of them do. But what the cell sees of a step is not known
  before the step that precedes it has run: there is no fast unroll.
  """

  remembers = True

  def advance(self, z, action, is_first, state):
    """As of a MemoryModel."""
    _, output, state = self._see(z, action, is_first, state, self._encode)
    return output, state

  def unroll(self, z, action, is_first, state, kernel='auto', checkpoint=None):
    """As of a MemoryModel, but always by the loop over the cell."""
    del kernel, checkpoint
    run = self._run(z, action, is_first, state, self._encode)
    return self.read_out(run.outputs), run.state

  def inputs(self, z, action, is_first):
    """As of a MemoryModel."""
    state = self.initial(z.shape[0])
    run = self._run(z, action, is_first, state, self._encode)
    return self._join(run.codes, action, is_first)

  def perceive(self, z, state):
    """As of a MemoryModel."""
    return self.latent_head.perceive(z, self._context(state))

  def _context(self, state):
    output = cells.output(self.cell, episodes.pack(self.cell, state))
    return tf.cast(output, self.latent_head.dtype)

  def _encode(self, z, context, t=None):
    del t
    posterior = self.latent_head.posterior(z, context)
    return categorical.Codes(posterior, self.latent_head.likeliest(posterior))

  def _see(self, z, action, is_first, state, choose):
    """One step; `choose` makes Codes of z [B, Z] and a context [B, O].

    Returns the Codes, the cell's output and the state after it.
    """
    keep = 1 - tf.cast(is_first, self.latent_head.dtype)[:, None]
    chosen = choose(z, self._context(state) * keep)
    inputs = self._join(chosen.codes, action, is_first)
    return chosen, *episodes.advance(self.cell, inputs, is_first, state)

  def _teach(self, transitions, state, uniform):
    head = self.latent_head
    steps = _time_major(uniform)
    run = self._run(
      transitions.z[:, :-1],
      transitions.action[:, :-1],
      transitions.is_first[:, :-1],
      state,
      lambda z, context, t: head.teach(z, steps.read(t), context),
    )
    keep = 1 - tf.cast(transitions.is_first[:, 1:], head.dtype)
    context = tf.cast(run.outputs, head.dtype) * keep[..., None]
    last = head.teach(transitions.z[:, -1], uniform[:, -1], context[:, -1])
    codes = tf.concat([run.codes[:, 1:], last.codes[:, None]], 1)
    logits = tf.concat([run.logits[:, 1:], last.posterior.logits[:, None]], 1)
    later = categorical.CategoricalParameters(logits, context)
    prediction = self.read_out(run.outputs)
    return categorical.Codes(later, codes), prediction, run.state

  def _run(self, z, action, is_first, state, choose):
    """T steps; `choose` is that of `_see`, and is given the step as well.

    Other arguments as of `unroll`.
    """
    head = self.latent_head
    steps = action.shape[1] or tf.shape(action)[1]
    seen = tuple(map(_time_major, (z, action, is_first)))
    shapes = (None, head.input_size), (None, head.groups, head.classes)
    arrays = [
      tf.TensorArray(head.dtype, steps, element_shape=shape)
      for shape in (*shapes, (None, self.cell.output_size))
    ]

    def body(t, state, arrays):
      chosen, output, state = self._see(
        *(part.read(t) for part in seen),
        state,
        lambda z, context: choose(z, context, t),
      )
      found = chosen.codes, chosen.posterior.logits, output
      arrays = [
        array.write(t, tf.cast(part, head.dtype))
        for array, part in zip(arrays, found, strict=True)
      ]
      return t + 1, state, arrays

    start = tf.constant(0), self.as_state(state), arrays
    _, state, arrays = tf.while_loop(
      lambda t, *_: t < steps, body, start, maximum_iterations=steps
    )
    return _Run(*(_batch_major(array.stack()) for array in arrays), state)


class _Run(typing.NamedTuple):
  """What T steps made."""

  codes: object  # [B, T, G C]
  logits: object  # [B, T, G, C], of the posterior
  outputs: object  # [B, T, O], of the cell
  state: list


def _time_major(values):
  """TensorArray of the T steps of values [B, T, ...]."""
  steps = values.shape[1] or tf.shape(values)[1]
  return tf.TensorArray(
    values.dtype, steps, element_shape=(values.shape[0], *values.shape[2:])
  ).unstack(_batch_major(values))


def _batch_major(values):
  """[T, B, ...] -> [B, T, ...]."""
  return keras.ops.swapaxes(values, 0, 1)
