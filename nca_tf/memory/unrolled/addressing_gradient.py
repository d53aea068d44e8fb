"""Gradients of `addressing`, written out by hand.

Tests compare them with the automatic ones. Like those, they leave out the
gradient of the order of the sorted usages. Below, d_x is the gradient of the
loss with respect to x.
"""

from typing import Any

from keras import ops

from nca_tf.memory import addressing

Tensor = Any


def content(memory, keys, strengths):
  """Content weights, and the function that gives their gradients.

  cos = d / (q + eps) with d = k M and q = |k| |M|, the weights are
  softmax(strength cos).
  """
  cosines, (key_norms, row_norms, norms) = addressing.cosine_similarity(
    memory, keys
  )
  row_norms = row_norms[:, 0]  # [B, N]
  weights = ops.softmax(cosines * strengths[:, :, None], axis=-1)

  def gradient(d_weights):
    d_logits = weights * d_weights
    total = ops.sum(d_logits, axis=-1, keepdims=True)
    d_logits = d_logits - weights * total
    d_strengths = ops.sum(d_logits * cosines, axis=-1)
    d_dots = d_logits * strengths[:, :, None] / norms
    d_norms = -d_dots * cosines
    by_key = ops.einsum('brn,bn->br', d_norms, row_norms) / key_norms
    by_row = ops.einsum('brn,br->bn', d_norms, key_norms) / row_norms
    d_keys = ops.einsum('brn,bnw->brw', d_dots, memory)
    d_keys = d_keys + by_key[:, :, None] * keys
    d_memory = ops.einsum('brn,brw->bnw', d_dots, keys)
    d_memory = d_memory + by_row[:, :, None] * memory
    return d_memory, d_keys, d_strengths

  return weights, gradient


def usage(usage, w, read, free_gates, d_usage):
  """Through u' = (u + w - u w) prod_r (1 - f_r wr_r): d u, d w, d wr, d f."""
  heads = read.shape[1]
  stay = addressing.kept_by_head(read, free_gates)
  # Products over the other heads, without dividing by what may be zero.
  below = [ops.ones_like(usage)]
  for factor in stay[:-1]:
    below.append(below[-1] * factor)
  above = usage + (1.0 - usage) * w
  others = [None] * heads
  for head in reversed(range(heads)):
    others[head] = below[head] * above
    above = above * stay[head]
  d_stay = [-d_usage * other for other in others]  # d of f_r wr_r
  d_free = ops.stack(
    [ops.sum(d_stay[r] * read[:, r], axis=-1) for r in range(heads)], axis=1
  )
  d_read = ops.stack(
    [d_stay[r] * free_gates[:, r, None] for r in range(heads)], axis=1
  )
  retained = d_usage * below[-1] * stay[-1]
  return retained * (1.0 - w), retained * (1.0 - usage), d_read, d_free


def allocation(usage: Tensor, order: Tensor, d_weights: Tensor) -> Tensor:
  """Through `allocation_weights` with its order.

  With f_j the j-th largest nonusage and a_j = f_j prod_{i<j} (1 - f_i),
    d_f_j = prod_{i<j} (1 - f_i) d_a_j - sum_{i>j} a_i d_a_i / (1 - f_j),
  where 1 - f_j is EPSILON at least. All arguments are [B, N], as is the
  gradient with respect to the usage, which is returned.
  """
  free = ops.take_along_axis(addressing.nonusage(usage), order, axis=-1)
  below = addressing.product_below(free)
  slope = below * ops.take_along_axis(d_weights, order, axis=-1)
  later = ops.flip(ops.cumsum(ops.flip(slope * free, -1), axis=-1), -1)
  later = ops.concatenate([later[:, 1:], ops.zeros_like(later[:, :1])], axis=-1)
  slope = (addressing.EPSILON - 1.0) * (slope - later / (1.0 - free))
  return ops.take_along_axis(slope, ops.argsort(order), axis=-1)


def links(link, p, w, last, modes, d_read, d_link):
  """Through b = L'^T wr, f = L' wr and L'_ij = (1 - w_i - w_j) L_ij + w_i p_j.

  L' is computed again from L. With X = L' d and Y = L'^T d for d = d_read the
  modes' gradients are d b = wr X and d f = wr Y, so neither b nor f is needed.
  """
  new = addressing.link_update(link, p, w)
  x = ops.einsum('bij,brj->bri', new, d_read)
  y = ops.einsum('bri,bij->brj', d_read, new)
  along = ops.sum(last * x, axis=-1), ops.sum(last * y, axis=-1)
  # Expanded before it is sliced: TensorFlow's optimiser of graphs (2.21) loses
  # the new axis of `stack(...)[:, :, 0, None]`.
  modes = modes[..., None]  # [B, R, 3, 1]
  d_backward, d_forward = modes[:, :, 0] * d_read, modes[:, :, 2] * d_read
  d_last = modes[:, :, 0] * x + modes[:, :, 2] * y

  # Sums over heads rather than one product, as they fuse under XLA.
  for head in range(last.shape[1]):
    d_link = d_link + (
      last[:, head, :, None] * d_backward[:, head, None, :]
      + d_forward[:, head, :, None] * last[:, head, None, :]
    )
  d_link = d_link * (1.0 - ops.eye(link.shape[-1], dtype=link.dtype))
  by_link = d_link * link
  d_write = (
    ops.einsum('bij,bj->bi', d_link, p)
    - ops.sum(by_link, axis=2)
    - ops.sum(by_link, axis=1)
  )
  d_precedence = ops.einsum('bi,bij->bj', w, d_link)
  d_link = (1.0 - w[:, :, None] - w[:, None, :]) * d_link
  return d_link, d_precedence, d_write, d_last, along
