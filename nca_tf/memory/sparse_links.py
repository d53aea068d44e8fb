"""Temporal links of a large memory, K of them per slot: approximate.

Graves et al. (2016), Methods, 'Sparse link matrix': of the write weighting and
of the precedence the K largest entries are kept, so that a write touches K rows
of the link matrix, and of a row K entries are kept. The kept entries are scaled
to the sum of all entries. Scaled to a sum of one, as some code does it, a write
with its gate nearly closed would count as a full one.

A link is [B, N, 2, K]: for each row K values and their columns; a value of zero
marks an unused entry. The columns are stored in the dtype of the values, exact
up to 2^24 slots in float32 (only up to 256 where a state is in bfloat16).

With K = N nothing is left out. On the recorded accesses to N = 64 slots (see
the test) the error of the words read is 7 to 16 % of the largest for K = 8
while gates and strengths are diffuse, as in an untrained network, and 1 to 3 %
where they are sharp; half of that for K = 16.
"""

from typing import Any

from keras import ops

Tensor = Any

# Far below any weight that matters; avoids a division by zero.
_TINY = 1e-30


def keep_largest(weights: Tensor, k: int) -> tuple[Tensor, Tensor]:
  """The K largest of the last axis, scaled to the sum of all.

  Args:
    weights: [..., N], not negative.
    k: K.

  Returns:
    Values and their indices, both [..., K]; the indices are int32.
  """
  values, places = ops.top_k(weights, k=k)
  whole = ops.sum(weights, axis=-1, keepdims=True)
  kept = ops.sum(values, axis=-1, keepdims=True)
  return values * (whole / ops.maximum(kept, _TINY)), places


def link_update(link: Tensor, precedence: Tensor, write_weights: Tensor):
  """As `addressing.link_update`, by the weightings' largest entries.

  Args:
    link: L_{t-1}, [B, N, 2, K].
    precedence: p_{t-1}, [B, N].
    write_weights: w_t, [B, N].

  Returns:
    L_t, [B, N, 2, K].
  """
  slots, k = link.shape[1], link.shape[3]
  values, columns = link[:, :, 0], ops.cast(link[:, :, 1], 'int32')
  w, rows = keep_largest(write_weights, k)  # [B, K]
  p, sources = keep_largest(precedence, k)
  spread = ops.one_hot(rows, slots, dtype=w.dtype) * w[:, :, None]
  spread = ops.sum(spread, axis=1)  # w with zeros elsewhere, [B, N]
  values = values * (1.0 - spread[:, :, None] - _at(spread, columns))

  # Each written row: its K old entries, and K candidates from the precedence.
  old = ops.take_along_axis(values, rows[:, :, None], axis=1)  # [B, K, K]
  where = ops.take_along_axis(columns, rows[:, :, None], axis=1)
  new = w[:, :, None] * p[:, None, :]
  new = new * ops.cast(rows[:, :, None] != sources[:, None, :], new.dtype)
  same = (where[:, :, :, None] == sources[:, None, None, :]) & (
    old[:, :, :, None] > 0.0
  )
  same = ops.cast(same, new.dtype)  # [B, row, entry, source]
  old = old + ops.sum(same * new[:, :, None, :], axis=3)
  new = new * (1.0 - ops.max(same, axis=2))
  both, chosen = keep_largest(ops.concatenate([old, new], axis=-1), k)
  sources = ops.broadcast_to(sources[:, None, :], ops.shape(where))
  where = ops.concatenate([where, sources], axis=-1)
  where = ops.cast(ops.take_along_axis(where, chosen, axis=-1), both.dtype)
  written = ops.stack([both, where], axis=2)  # [B, K, 2, K]

  link = ops.stack([values, link[:, :, 1]], axis=2)
  place = ops.one_hot(rows, slots, dtype=w.dtype)  # [B, K, N]
  stay = 1.0 - ops.sum(place, axis=1)
  return link * stay[:, :, None, None] + ops.einsum(
    'bkn,bkce->bnce', place, written
  )


def follow_links(link: Tensor, read_weights: Tensor) -> tuple[Tensor, Tensor]:
  """As `addressing.follow_links`, with a link [B, N, 2, K]."""
  slots = link.shape[1]
  values, columns = link[:, :, 0], ops.cast(link[:, :, 1], 'int32')
  heads = read_weights.shape[1]
  forward, backward = [], []
  batch = ops.shape(link)[0]
  first = ops.arange(batch, dtype='int32')[:, None, None] * slots
  flat = ops.reshape(columns + first, (-1, 1))
  for head in range(heads):
    weights = read_weights[:, head]
    forward.append(ops.sum(values * _at(weights, columns), axis=-1))
    moved = ops.reshape(values * weights[:, :, None], (-1,))
    moved = ops.scatter(flat, moved, (batch * slots,))
    backward.append(ops.reshape(moved, (-1, slots)))
  return ops.stack(backward, axis=1), ops.stack(forward, axis=1)


def _at(weights, columns):
  """weights[columns]: [B, N] and [B, N, K] -> [B, N, K]."""
  slots, k = columns.shape[1:]
  flat = ops.reshape(columns, (-1, slots * k))
  return ops.reshape(ops.take_along_axis(weights, flat, axis=1), (-1, slots, k))
