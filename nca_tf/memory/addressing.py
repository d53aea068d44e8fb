"""Where to read and write: content, allocation and temporal linkage.

Graves et al., 'Hybrid computing using a neural network with dynamic external
memory', Nature 538 (2016), Methods; below 'the paper'. Pure functions of
tensors, in the precision of their arguments; `access.step` passes float32 or
better.
"""

import contextlib
import contextvars
import functools
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import ops

Tensor = Any

# As in DeepMind's published code. Without it, as in the paper, a zero key, an
# empty memory or a full one would divide by zero.
EPSILON = 1e-6

_without_scan = contextvars.ContextVar('_without_scan', default=False)


@contextlib.contextmanager
def products_without_scan() -> Iterator[None]:
  """Lets graphs that are traced within it do without a cumulative product.

  TensorFlow Lite has none. Products of [B, N, N] take its place, which are
  equal but for rounding.
  """
  token = _without_scan.set(True)
  try:
    yield
  finally:
    _without_scan.reset(token)


def content_weights(
  memory: Tensor, keys: Tensor, strengths: Tensor, masks: Tensor | None = None
) -> Tensor:
  """Softmax of strength times cosine similarity, C(M, k, beta) in the paper.

  Args:
    memory: [B, N, W].
    keys: [B, R, W], one per head.
    strengths: [B, R], not negative.
    masks: [B, R, W] or None. Both the key and the rows are multiplied by it
      before they are compared: C(M, k, beta, m) of `extensions`.

  Returns:
    Weightings over the slots, [B, R, N]; each sums to 1.
  """
  cosines, _ = cosine_similarity(memory, keys, masks)
  return ops.softmax(cosines * strengths[:, :, None], axis=-1)


def cosine_similarity(memory, keys, masks=None):
  """Cosines [B, R, N]; norms of keys [B, R], of rows [B, 1, N], of both."""
  if masks is None:
    squares = ops.sum(ops.square(memory), axis=-1)[:, None, :]
    dots = ops.einsum('brw,bnw->brn', keys, memory)
  else:
    # As the sums over a row are linear in the squared mask, the masked rows
    # [B, R, N, W] never have to be made. Their norms are [B, R, N].
    keys = keys * masks
    squares = ops.einsum('brw,bnw->brn', ops.square(masks), ops.square(memory))
    dots = ops.einsum('brw,bnw->brn', keys * masks, memory)
  key_norms = ops.sqrt(ops.sum(ops.square(keys), axis=-1) + EPSILON)
  row_norms = ops.sqrt(squares + EPSILON)
  norms = key_norms[:, :, None] * row_norms + EPSILON  # [B, R, N]
  return dots / norms, (key_norms, row_norms, norms)


def usage_update(
  usage: Tensor, write_weights: Tensor, read_weights: Tensor, free_gates: Tensor
) -> Tensor:
  """Usage after the last step's write and after what was read is freed.

  Args:
    usage: u_{t-1}, [B, N].
    write_weights: of the previous step, [B, N].
    read_weights: of the previous step, [B, R, N].
    free_gates: f_t, [B, R].

  Returns:
    u_t = (u + w - u w) psi, with the retention psi = prod_r (1 - f_r w_r),
    [B, N], in [0, 1].
  """
  usage = usage + (1.0 - usage) * write_weights
  # One factor per head: the gradient of reduce_prod is far slower than that.
  return functools.reduce(
    operator.mul, kept_by_head(read_weights, free_gates), usage
  )


def kept_by_head(read_weights: Tensor, free_gates: Tensor) -> list[Tensor]:
  """What each head keeps of each slot, 1 - f_r w_r: R tensors [B, N]."""
  return [
    1.0 - free_gates[:, head, None] * read_weights[:, head]
    for head in range(read_weights.shape[1])
  ]


def retention(read_weights: Tensor, free_gates: Tensor) -> Tensor:
  """Share of each slot that is kept, psi_t as in `usage_update`: [B, N]."""
  return functools.reduce(operator.mul, kept_by_head(read_weights, free_gates))


def allocation_order(usage: Tensor) -> Tensor:
  """The slots by rising usage [B, N], at exact ties the lowest index first.

  phi in the paper, [B, N] int32.
  """
  return ops.top_k(nonusage(usage), k=usage.shape[-1])[1]


def allocation_weights(usage: Tensor, order: Tensor | None = None) -> Tensor:
  """Weighting that prefers the least used slots, a_t in the paper.

  With phi the slots in order of rising usage,
    a[phi_j] = (1 - u[phi_j]) prod_{i<j} u[phi_i].
  The order is a discontinuous function of the usage: the gradient flows
  through the values alone.

  Args:
    usage: [B, N], in [0, 1].
    order: from `allocation_order`; None computes it.

  Returns:
    [B, N], not negative, with sum 1 - prod(usage).
  """
  if order is None:
    free, order = ops.top_k(nonusage(usage), k=usage.shape[-1])
  else:
    free = ops.take_along_axis(nonusage(usage), order, axis=-1)
  return ops.take_along_axis(
    free * product_below(free), ops.argsort(order), axis=-1
  )


def nonusage(usage):
  """1 - u' with u' = EPSILON + (1 - EPSILON) u.

  A product of exact zeros would have a gradient of 0/0 in some backends; u' is
  never zero.
  """
  return (1.0 - EPSILON) * (1.0 - usage)


def product_below(free):
  """prod_{i<j} (1 - free_i) for each j."""
  if _without_scan.get():
    before = np.tri(free.shape[-1], k=-1, dtype=bool)  # [j, i]: i < j.
    others = 1.0 - free[:, None, :]
    return ops.prod(ops.where(before, others, ops.ones_like(others)), axis=-1)
  below = ops.cumprod(1.0 - free, axis=-1)
  return ops.concatenate([ops.ones_like(below[:, :1]), below[:, :-1]], axis=-1)


def link_update(link: Tensor, precedence: Tensor, write_weights: Tensor):
  """Which slot was written after which: the temporal link matrix.

  Args:
    link: L_{t-1}, [B, N, N]; entry [i, j] says that i was written after j.
    precedence: p_{t-1}, of the previous step, [B, N].
    write_weights: w_t, [B, N].

  Returns:
    L_t[i, j] = (1 - w_i - w_j) L_{t-1}[i, j] + w_i p_j, zero on the diagonal.
  """
  rows = write_weights[:, :, None]
  columns = write_weights[:, None, :]
  link = (1.0 - rows - columns) * link + rows * precedence[:, None, :]
  return link * (1.0 - ops.eye(link.shape[-1], dtype=link.dtype))


def precedence_update(precedence: Tensor, write_weights: Tensor) -> Tensor:
  """Degree to which each slot was the last one written, [B, N].

  p_t = (1 - sum_i w_i) p_{t-1} + w_t, of p_{t-1} [B, N] and w_t [B, N].
  """
  total = ops.sum(write_weights, axis=-1, keepdims=True)
  return (1.0 - total) * precedence + write_weights


def follow_links(link: Tensor, read_weights: Tensor) -> tuple[Tensor, Tensor]:
  """Moves each read weighting one write back and one write ahead in time.

  Args:
    link: L_t, [B, N, N].
    read_weights: of the previous step, [B, R, N].

  Returns:
    backward = L^T w and forward = L w, each [B, R, N].
  """
  # Operands in this order: a row-major link times a thin matrix is a third
  # faster than the thin matrix times the transposed link.
  forward = ops.einsum('bij,brj->bri', link, read_weights)
  backward = ops.einsum('bri,bij->brj', read_weights, link)
  return backward, forward


def sharpen(weights: Tensor, sharpness: Tensor) -> Tensor:
  """S(d, s)_i = d_i^s / sum_j d_j^s of `extensions`, with an epsilon.

  Args:
    weights: [B, R, N]; slightly negative values, from rounding, count as zero.
    sharpness: [B, R], at least 1.

  Returns:
    Weightings [B, R, N]; each sums to 1, also where there was no link.
  """
  logs = ops.log(ops.maximum(weights, 0.0) + EPSILON)
  return ops.softmax(logs * sharpness[:, :, None], axis=-1)
