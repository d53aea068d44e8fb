"""The gradient of one memory access by hand, against the automatic one."""

import numpy as np
import pytest
import tensorflow as tf

from nca_tf.memory import access
from nca_tf.memory.unrolled import access_gradient
from nca_tf.memory.unrolled import native

SLOTS, WORDS, HEADS, BATCH = 7, 5, 3, 4
SIZE = access.interface_size(HEADS, WORDS)


def random_state(seed=0, scale=1.0):
  """A state that some steps could have left, usages all distinct."""
  rng = np.random.default_rng(seed)

  def weights(*shape):
    values = rng.uniform(size=shape)
    return values / (values.sum(-1, keepdims=True) * 1.3)

  link = weights(BATCH, SLOTS, SLOTS) / 2
  return access.AccessState(
    memory=tf.constant(scale * rng.normal(size=(BATCH, SLOTS, WORDS))),
    usage=tf.constant(rng.uniform(size=(BATCH, SLOTS))),
    write_weights=tf.constant(weights(BATCH, SLOTS)),
    read_weights=tf.constant(weights(BATCH, HEADS, SLOTS)),
    link=tf.constant(link * (1 - np.eye(SLOTS))),
    precedence=tf.constant(weights(BATCH, SLOTS)),
  )


def random_like(tensors, seed=1):
  rng = np.random.default_rng(seed)
  return type(tensors)(
    *(tf.constant(rng.normal(size=tensor.shape)) for tensor in tensors)
  )


def assert_close(got, expected, tolerance=1e-12):
  scale = np.abs(expected).max()
  np.testing.assert_allclose(got, expected, atol=tolerance * max(scale, 1e-9))


@pytest.fixture(scope='module', params=access.CONVENTIONS)
def settings(request):
  return access_gradient.Settings(HEADS, WORDS, request.param)


@pytest.fixture(
  scope='module',
  params=(access_gradient, native) if native.load() else (access_gradient,),
)
def kernel(request):
  return request.param


@pytest.fixture(scope='module')
def raw():
  rng = np.random.default_rng(2)
  return tf.constant(1.5 * rng.normal(size=(BATCH, SIZE)))


@pytest.mark.parametrize('keep', (None, np.array([1.0, 0, 1, 1])))
def test_forward_equals_the_plain_access(kernel, keep, raw, settings):
  state = random_state()
  words, after, order = kernel.forward(raw, keep, state, settings)
  if keep is not None:
    state = access.AccessState(
      *(np.einsum('b,b...->b...', keep, part) for part in state)
    )
  interface = access.parse_interface(raw, *settings)
  expected, expected_after = access.step(interface, state, settings.convention)
  np.testing.assert_allclose(words, expected, atol=1e-14)
  for got, part in zip(after, expected_after, strict=True):
    np.testing.assert_allclose(got, part, atol=1e-14)
  usage = np.take_along_axis(after.usage.numpy(), order.numpy(), axis=-1)
  assert (np.diff(usage) >= 0).all()


@pytest.mark.parametrize('keep', (None, np.array([1.0, 0, 1, 1])))
def test_backward_equals_the_automatic_gradient(kernel, keep, raw, settings):
  state = random_state()
  with tf.GradientTape() as tape:
    tape.watch([raw, *state])
    masked = access_gradient.kept(state, keep)
    interface = access.parse_interface(raw, *settings)
    words, after = access.step(interface, masked, settings.convention)
    d_words = tf.stop_gradient(tf.cos(9.0 * words))
    d_after = random_like(after)
    loss = tf.reduce_sum(words * d_words)
    for part, slope in zip(after, d_after, strict=True):
      loss += tf.reduce_sum(part * slope)
  expected = tape.gradient(
    loss, [raw, *state], unconnected_gradients=tf.UnconnectedGradients.ZERO
  )
  _, after, order = kernel.forward(raw, keep, state, settings)
  d_raw, d_state = kernel.backward(
    raw, keep, state, after, order, d_words, d_after, settings
  )
  for got, slope in zip([d_raw, *d_state], expected, strict=True):
    assert_close(got, slope)


def test_sums_over_many_slots_and_all_numbers_of_heads():
  """The compiled kernel's vectors and their ends, and each unrolled loop."""
  if not native.load():
    return
  for heads in range(1, native.MOST_HEADS + 1):
    slots, words = 16 + heads, 9
    settings = access_gradient.Settings(heads, words)
    rng = np.random.default_rng(heads)
    raw = rng.normal(size=(2, access.interface_size(heads, words)))
    shapes = access.state_shapes(slots, words, heads)
    state = [rng.uniform(size=(2, *shape)) / slots for shape in shapes]
    for dtype, tolerance in (('float64', 1e-12), ('float32', 1e-4)):
      start = access.AccessState(*(tf.constant(x, dtype) for x in state))
      cast = tf.constant(raw, dtype)
      runs = []
      for kernel in (access_gradient, native):
        words_read, after, order = kernel.forward(cast, None, start, settings)
        d_after = access.AccessState(*(tf.cos(9 * part) for part in after))
        gradients = kernel.backward(
          cast, None, start, after, order, words_read, d_after, settings
        )
        runs.append([words_read, *after, gradients[0], *gradients[1]])
      for got, wanted in zip(*runs, strict=True):
        assert_close(got, wanted, tolerance)


def test_more_heads_are_left_to_the_pure_form():
  assert not native.is_usable(native.MOST_HEADS + 1)
