"""Sparse temporal links: exact with all entries, and how far off with few."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from access_test import initial_state
from access_test import load
from access_test import raw_interface

from nca_tf import memory
from nca_tf.memory import access
from nca_tf.memory import addressing
from nca_tf.memory import sparse_links
from nca_tf.memory.unrolled import unroll


def dense(link):
  """[B, N, 2, K] -> [B, N, N]."""
  values, columns = link[:, :, 0].numpy(), link[:, :, 1].numpy().astype(int)
  batch, slots, k = values.shape
  result = np.zeros((batch, slots, slots))
  for b, i, e in np.ndindex(batch, slots, k):
    result[b, i, columns[b, i, e]] += values[b, i, e]
  return result


def random_weights(rng, *shape, power=1):
  values = rng.uniform(size=shape) ** power
  return tf.constant(0.9 * values / values.sum(-1, keepdims=True))


@pytest.mark.parametrize('slots', (1, 6))
def test_all_entries_are_the_whole_matrix(slots):
  """Updates, both directions, and gradients through many steps."""
  rng = np.random.default_rng(0)
  writes = [random_weights(rng, 2, slots, power=3) for _ in range(9)]
  writes[4] = 1e-6 * writes[4]  # A gate that is closed.
  reads = random_weights(rng, 2, 3, slots)
  starts = tf.zeros((2, slots, slots), 'float64')
  runs = []
  for module, link in (
    (addressing, starts),
    (sparse_links, tf.zeros((2, slots, 2, slots), 'float64')),
  ):
    with tf.GradientTape() as tape:
      tape.watch([*writes, reads])
      precedence = tf.zeros((2, slots), 'float64')
      for w in writes:
        link = module.link_update(link, precedence, w)
        precedence = addressing.precedence_update(precedence, w)
      followed = module.follow_links(link, reads)
      loss = sum(tf.reduce_sum(tf.sin(7 * part)) for part in followed)
    runs.append((link, followed, tape.gradient(loss, [*writes, reads])))
  (whole, followed, slopes), (sparse, others, sparse_slopes) = runs
  np.testing.assert_allclose(dense(sparse), whole, atol=1e-14)
  np.testing.assert_allclose(others, followed, atol=1e-14)
  for one, other in zip(sparse_slopes, slopes, strict=True):
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_sums_are_kept():
  rng = np.random.default_rng(1)
  w = random_weights(rng, 4, 20)
  values, places = sparse_links.keep_largest(w, 5)
  np.testing.assert_allclose(np.sum(values, -1), np.sum(w, -1), rtol=1e-12)
  largest = np.sort(np.argsort(w.numpy(), axis=-1)[:, -5:])
  np.testing.assert_array_equal(np.sort(places), largest)
  nothing, _ = sparse_links.keep_largest(tf.zeros((1, 20)), 5)
  assert not np.any(nothing)


def test_a_nearly_closed_gate_leaves_the_links():
  """Weightings scaled to a sum of one would wipe them out."""
  rng = np.random.default_rng(2)
  link = tf.zeros((1, 8, 2, 3), 'float64')
  p = tf.zeros((1, 8), 'float64')
  for _ in range(4):
    w = random_weights(rng, 1, 8, power=4)
    link = sparse_links.link_update(link, p, w)
    p = addressing.precedence_update(p, w)
  after = sparse_links.link_update(link, p, 1e-9 * w)
  np.testing.assert_allclose(dense(after), dense(link), atol=1e-8)
  assert dense(link).sum() > 0.1


def replayed(name, k, sharpness):
  """Words read, [T, B, R, W], with gates and strengths made sharper."""
  vectors = load(name)
  raw = raw_interface(vectors, 'float64')
  raw = raw._replace(
    **{
      part: sharpness * getattr(raw, part)
      for part in ('write_gate', 'allocation_gate', 'free_gates', 'read_modes')
    },
    write_strength=sharpness**2 * tf.abs(raw.write_strength),
    read_strengths=sharpness**2 * tf.abs(raw.read_strengths),
  )
  interfaces = access.activate(raw, 'paper')
  state = initial_state(vectors, 'float64')
  if k:
    batch, slots = state.usage.shape
    state = state._replace(link=tf.zeros((batch, slots, 2, k), 'float64'))
  words = []
  for t in range(interfaces.write_gate.shape[0]):
    interface = access.Interface(*(part[t] for part in interfaces))
    read, state = access.step(interface, state)
    words.append(read)
  return np.stack(words)


@pytest.mark.parametrize(
  ('sharpness', 'least', 'most'), ((2, 0.05, 0.2), (8, 1e-4, 0.03))
)
def test_stated_error_on_recorded_accesses(sharpness, least, most):
  whole = replayed('n64_w32_r4_gen', None, sharpness)
  scale = np.abs(whole).max()
  errors = {
    k: np.abs(replayed('n64_w32_r4_gen', k, sharpness) - whole).max() / scale
    for k in (8, 64)
  }
  assert errors[64] < 1e-12
  assert least <= errors[8] <= most


def test_layer_learns_with_sparse_links():
  keras.utils.set_random_seed(0)
  cell = memory.DNCCell(8, 12, 4, 2, output_size=3, sparse_links=4)
  layer = memory.DNC(cell, return_sequences=True, return_state=True)
  x = np.random.default_rng(0).normal(size=(3, 6, 5)).astype('float32')
  with tf.GradientTape() as tape:
    outputs, state = layer(x, training=True)
    loss = tf.reduce_sum(outputs**2)
  assert state.access.link.shape == (3, 12, 2, 4)
  assert dense(state.access.link).sum() > 0
  for slope in tape.gradient(loss, layer.trainable_variables):
    assert np.isfinite(slope).all() and np.any(slope)
  again = memory.DNCCell.from_config(cell.get_config())
  assert again.state_size == cell.state_size
  assert not unroll.supports(cell)


def test_wrong_arguments_are_named():
  with pytest.raises(ValueError, match='sparse_links must be at most memory'):
    memory.DNCCell(8, 12, 4, 2, sparse_links=13)
  with pytest.raises(ValueError, match='sparse_links must be an integer'):
    memory.DNCCell(8, 12, 4, 2, sparse_links=0)
