"""The addressing functions against plain loops and their stated properties."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from nca_tf.memory import addressing

EPSILON = addressing.EPSILON


def random(*shape, seed=0):
  return np.random.default_rng(seed).uniform(size=shape)


def simplex(*shape, seed=0):
  """Weightings over the last axis that sum to less than 1."""
  weights = random(*shape, seed=seed)
  return weights / (weights.sum(-1, keepdims=True) + 0.3)


def allocation_by_loops(usage):
  usage = EPSILON + (1 - EPSILON) * usage
  result = np.zeros_like(usage)
  for row, out in zip(usage, result, strict=True):
    below = 1.0
    for slot in sorted(range(row.size), key=lambda n: (row[n], n)):
      out[slot] = (1 - row[slot]) * below
      below *= row[slot]
  return result


def test_content_weights_are_a_softmax_of_scaled_cosines():
  memory = random(2, 6, 4, seed=1) - 0.5
  keys = random(2, 3, 4, seed=2) - 0.5
  strengths = 5 * random(2, 3, seed=3)
  got = addressing.content_weights(memory, keys, strengths).numpy()
  for b in range(2):
    for r in range(3):
      lengths = np.linalg.norm(memory[b], axis=-1)
      lengths = lengths * np.linalg.norm(keys[b, r])
      scores = np.exp(strengths[b, r] * memory[b] @ keys[b, r] / lengths)
      np.testing.assert_allclose(got[b, r], scores / scores.sum(), atol=3e-5)


def test_content_weights_of_nothing_are_uniform_with_finite_gradients():
  memory, keys = tf.zeros((1, 5, 4)), tf.zeros((1, 1, 4))
  with tf.GradientTape() as tape:
    tape.watch([memory, keys])
    weights = addressing.content_weights(memory, keys, tf.ones((1, 1)))
    loss = tf.reduce_sum(weights[..., 0])
  np.testing.assert_allclose(weights, np.full((1, 1, 5), 0.2), rtol=1e-6)
  for gradient in tape.gradient(loss, [memory, keys]):
    assert np.isfinite(gradient).all()


def test_usage_grows_by_writing_and_falls_by_freeing():
  usage, written = random(2, 5, seed=1), simplex(2, 5, seed=2)
  read, free = simplex(2, 3, 5, seed=3), random(2, 3, seed=4)
  got = addressing.usage_update(usage, written, read, free)
  expected = usage + written - usage * written
  expected *= (1 - free[:, :, None] * read).prod(1)
  np.testing.assert_allclose(got, expected, rtol=1e-12)
  kept = addressing.usage_update(usage, written, read, 0 * free)
  assert (kept >= usage).all()
  assert (got < kept).all()


def test_allocation_equals_the_loop():
  usage = random(3, 9)
  got = addressing.allocation_weights(tf.constant(usage)).numpy()
  np.testing.assert_allclose(got, allocation_by_loops(usage), rtol=1e-9)


def test_allocation_at_ties_takes_the_lowest_slot_first():
  usage = tf.constant([[0.5, 0.0, 0.3, 0.0, 0.0], [0.2, 0.2, 0.2, 0.2, 0.2]])
  got = addressing.allocation_weights(usage).numpy()
  np.testing.assert_allclose(got[0], [0, 1, 0, 0, 0], atol=2e-6)
  expected = 0.8 * 0.2 ** np.arange(5)
  np.testing.assert_allclose(got[1], expected, atol=2e-6)


def test_allocation_in_a_full_memory_is_zero():
  assert not addressing.allocation_weights(tf.ones((2, 4))).numpy().any()


@pytest.mark.parametrize('dtype', ('float32', 'float64'))
def test_allocation_gradient_is_finite_at_exact_zeros_and_ones(dtype):
  usage = tf.constant([[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0.5]], dtype)
  with tf.GradientTape() as tape:
    tape.watch(usage)
    loss = tf.reduce_sum(
      addressing.allocation_weights(usage) * tf.constant([1, -2, 3, 4], dtype)
    )
  assert np.isfinite(tape.gradient(loss, usage)).all()


def test_allocation_gradient_equals_differences():
  usage = np.array([[0.0, 0.9, 0.35, 1.0, 0.6]])
  weights = np.array([0.3, -1.0, 2.0, 0.7, 1.1])
  tensor = tf.constant(usage)
  with tf.GradientTape() as tape:
    tape.watch(tensor)
    loss = tf.reduce_sum(addressing.allocation_weights(tensor) * weights)
  got = tape.gradient(loss, tensor).numpy()[0]
  for slot in range(5):
    shift = np.eye(5)[slot] * 1e-6
    high, low = (
      (allocation_by_loops(usage + sign * shift) * weights).sum()
      for sign in (1, -1)
    )
    assert got[slot] == pytest.approx((high - low) / 2e-6, abs=1e-7)


@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
@hypothesis.given(
  strategies.lists(strategies.floats(0, 1, width=32), min_size=6, max_size=6),
)
def test_allocation_is_a_weighting_for_any_usage(usage):
  usage = np.array([usage], 'float32')
  got = addressing.allocation_weights(tf.constant(usage)).numpy()
  assert (got >= 0).all()
  assert got.sum() == pytest.approx(1 - usage.prod(dtype='float64'), abs=1e-5)


def test_allocation_follows_a_permutation_of_the_slots():
  usage = random(2, 7)
  order = np.random.default_rng(1).permutation(7)
  straight = addressing.allocation_weights(tf.constant(usage)).numpy()
  moved = addressing.allocation_weights(tf.constant(usage[:, order])).numpy()
  np.testing.assert_array_equal(moved, straight[:, order])


def test_link_and_precedence_equal_the_loops():
  link = random(2, 5, 5) * (1 - np.eye(5))
  precedence, written = simplex(2, 5, seed=1), simplex(2, 5, seed=2)
  got = addressing.link_update(
    tf.constant(link), tf.constant(precedence), tf.constant(written)
  ).numpy()
  for b in range(2):
    w, p = written[b], precedence[b]
    for i in range(5):
      for j in range(5):
        expected = (1 - w[i] - w[j]) * link[b, i, j] + w[i] * p[j]
        expected = 0.0 if i == j else expected
        assert got[b, i, j] == pytest.approx(expected, abs=1e-12)
  total = written.sum(-1, keepdims=True)
  np.testing.assert_allclose(
    addressing.precedence_update(precedence, written),
    (1 - total) * precedence + written,
  )


def test_links_stay_substochastic_over_many_writes():
  link, precedence = tf.zeros((3, 6, 6)), tf.zeros((3, 6))
  for t in range(60):
    sharp = simplex(3, 6, seed=t) ** 3
    written = tf.constant(sharp / sharp.sum(-1, keepdims=True), 'float32')
    link = addressing.link_update(link, precedence, written)
    precedence = addressing.precedence_update(precedence, written)
  assert not np.diagonal(link, axis1=1, axis2=2).any()
  assert link.numpy().min() >= -1e-6
  for axis in (1, 2):
    sums = link.numpy().sum(axis)
    assert sums.max() <= 1 + 1e-5
    assert sums.max() > 0.3  # The bound is not kept by an empty matrix.


def test_links_lead_from_write_to_write_and_back():
  written_order = (2, 0, 3, 1)
  link, precedence = tf.zeros((1, 4, 4)), tf.zeros((1, 4))
  for slot in written_order:
    written = tf.one_hot([slot], 4)
    link = addressing.link_update(link, precedence, written)
    precedence = addressing.precedence_update(precedence, written)
  read = tf.one_hot([[0, 3]], 4)  # Two heads.
  backward, forward = addressing.follow_links(link, read)
  np.testing.assert_array_equal(np.argmax(backward, -1), [[2, 0]])
  np.testing.assert_array_equal(np.argmax(forward, -1), [[3, 1]])
  np.testing.assert_allclose(np.sum(forward, -1), [[1, 1]])
