"""Key masking, deallocation and sharp links against NumPy, in every mixture."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from nca_tf import memory
from nca_tf.memory import access
from nca_tf.memory import addressing
from nca_tf.memory import cells
from nca_tf.memory import extensions

BATCH, SLOTS, WORDS, HEADS = 2, 5, 4, 2
SIZE = access.interface_size(HEADS, WORDS)
ALL = [
  extensions.Options(*flags)
  for flags in itertools.product((False, True), repeat=3)
]
ON = extensions.Options(True, True, True)


def random(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape)


def softmax(scores):
  scores = np.exp(scores - scores.max())
  return scores / scores.sum()


def content(rows, key, strength, mask):
  """Of one head, [N]; the equation as it stands, row by row."""
  cosines = []
  for row in rows:
    a, b = key * mask, row * mask
    lengths = np.sqrt(a @ a + 1e-6) * np.sqrt(b @ b + 1e-6)
    cosines.append(a @ b / (lengths + 1e-6))
  return softmax(strength * np.array(cosines))


def sharp(weights, s):
  powers = (np.maximum(weights, 0) + 1e-6) ** s
  return powers / powers.sum()


def oracle(raw, state, options):
  """One step of one sequence, by the paper's equations."""
  raw = raw.tolist()

  def take(*shape):
    size = int(np.prod(shape))
    part = np.array(raw[:size]).reshape(shape)
    del raw[:size]
    return part

  def sigmoid(x):
    return 1 / (1 + np.exp(-x))

  def oneplus(x):
    return 1 + np.log1p(np.exp(x))

  keys, strengths = take(HEADS, WORDS), oneplus(take(HEADS))
  write_key, write_strength = take(WORDS), oneplus(take(1))[0]
  erase, written = sigmoid(take(WORDS)), take(WORDS)
  free, allocate, write = (sigmoid(take(n)) for n in (HEADS, 1, 1))
  modes = take(HEADS, 3)
  masks = np.ones((HEADS + 1, WORDS))
  if options.key_masking:
    masks = sigmoid(take(HEADS + 1, WORDS))
  s = oneplus(take(2, HEADS)) if options.link_sharpness else None
  assert not raw

  rows, usage, w, r, link, precedence = (np.array(part) for part in state)
  kept = np.ones(SLOTS)
  for head in range(HEADS):
    kept *= 1 - free[head] * r[head]
  usage = (usage + w - usage * w) * kept
  a = addressing.allocation_weights(tf.constant(usage[None])).numpy()[0]
  c = content(rows, write_key, write_strength, masks[HEADS])
  w = write * (allocate * a + (1 - allocate) * c)
  if options.deallocation:
    rows = rows * kept[:, None]
  rows = rows * (1 - np.outer(w, erase)) + np.outer(w, written)
  factor = 1 - w[:, None] - w[None]
  link = (factor * link + np.outer(w, precedence)) * (1 - np.eye(SLOTS))
  precedence = (1 - w.sum()) * precedence + w
  weights = []
  for head in range(HEADS):
    b, f = link.T @ r[head], link @ r[head]
    if s is not None:
      b, f = sharp(b, s[0, head]), sharp(f, s[1, head])
    c = content(rows, keys[head], strengths[head], masks[head])
    weights.append(softmax(modes[head]) @ np.stack([b, c, f]))
  r = np.array(weights)
  return r @ rows, (rows, usage, w, r, link, precedence)


@pytest.mark.parametrize('options', ALL, ids=str)
def test_accesses_equal_the_oracle(options):
  size = SIZE + extensions.interface_size(options, HEADS, WORDS)
  raw = random(6, BATCH, size, seed=1)
  shapes = access.state_shapes(SLOTS, WORDS, HEADS)
  # Distinct usages: at ties the order of the slots is a matter of rounding.
  state = access.AccessState(*(np.zeros((BATCH, *x)) for x in shapes))
  usage = np.random.default_rng(2).uniform(size=(BATCH, SLOTS))
  state = state._replace(usage=usage, memory=random(BATCH, SLOTS, WORDS))
  expected = [[part[b] for part in state] for b in range(BATCH)]
  state = access.AccessState(*map(tf.constant, state))
  for step in raw:
    parts = access.parse_interface(tf.constant(step[:, :SIZE]), HEADS, WORDS)
    extra = extensions.parse(tf.constant(step[:, SIZE:]), options, HEADS, WORDS)
    reads, state = access.step(parts, state, extensions=extra)
    for b in range(BATCH):
      words, expected[b] = oracle(step[b], expected[b], options)
      np.testing.assert_allclose(reads[b], words, atol=1e-9)
      for got, part in zip(state, expected[b], strict=True):
        np.testing.assert_allclose(got[b], part, atol=1e-9)


def test_masks_of_ones_change_nothing_and_a_mask_hides_a_column():
  rows, keys = random(2, SLOTS, WORDS), random(2, HEADS, WORDS, seed=1)
  strengths = np.full((2, HEADS), 3.0)
  plain = addressing.content_weights(rows, keys, strengths)
  ones = np.ones((2, HEADS, WORDS))
  masked = addressing.content_weights(rows, keys, strengths, ones)
  np.testing.assert_allclose(masked, plain, atol=1e-12)
  ones[..., 0] = 0
  hidden = addressing.content_weights(rows, keys, strengths, ones)
  rows[..., 0] = 100 * random(2, SLOTS, seed=2)
  other = addressing.content_weights(rows, keys, strengths, ones)
  np.testing.assert_allclose(other, hidden, atol=1e-12)
  assert np.abs(hidden - plain).max() > 0.01


def test_sharp_links_are_weightings_and_sharper():
  flat = np.array([[[0.5, 0.3, 0.2, 0.0]]])
  for s in (1.0, 2.0, 8.0):
    got = addressing.sharpen(flat, np.array([[s]])).numpy()[0, 0]
    expected = flat[0, 0] ** s / (flat[0, 0] ** s).sum()
    np.testing.assert_allclose(got, expected, atol=2e-5)
  nothing = addressing.sharpen(np.zeros((1, 1, 4)), np.array([[9.0]])).numpy()
  np.testing.assert_allclose(nothing, np.full((1, 1, 4), 0.25))


def test_deallocation_erases_what_is_freed():
  rows = np.ones((1, 3, 2))
  shapes = access.state_shapes(3, 2, 1)
  state = access.AccessState(*(np.zeros((1, *x)) for x in shapes))
  state = state._replace(
    memory=rows, read_weights=np.array([[[0.0, 1.0, 0.0]]])
  )
  raw = np.zeros((1, access.interface_size(1, 2)))
  raw[0, 10] = 50.0  # The free gate, open.
  raw[0, 12] = -50.0  # The write gate, shut.
  parts = access.parse_interface(tf.constant(raw), 1, 2)
  extra = extensions.Extensions(deallocation=True)
  state = access.AccessState(*map(tf.constant, state))
  after = access.step(parts, state, extensions=extra)[1].memory
  np.testing.assert_allclose(after[0], [[1, 1], [0, 0], [1, 1]], atol=1e-12)
  kept = access.step(parts, state)[1].memory
  np.testing.assert_allclose(kept, rows, atol=1e-12)


@pytest.mark.parametrize('options', ALL, ids=str)
def test_a_layer_trains_with_any_options(options):
  keras.utils.set_random_seed(0)
  sizes = {'memory_slots': SLOTS, 'word_size': WORDS, 'read_heads': HEADS}
  cell = cells.make('dnc', 6, **sizes, **options._asdict())
  layer = memory.DNC(cell, return_sequences=True)
  sequences = tf.constant(random(3, 9, 3), 'float32')
  with tf.GradientTape() as tape:
    loss = tf.reduce_mean(layer(sequences) ** 2)
  gradients = tape.gradient(loss, layer.trainable_variables)
  interface = next(g for g in gradients if g.shape[0] == 6 and g.shape[1] > 24)
  size = extensions.interface_size(options, HEADS, WORDS)
  assert interface.shape == (6, SIZE + size)
  for gradient in gradients:
    assert np.isfinite(gradient).all()
  # Every number that an option asks for is trained.
  assert np.any(interface.numpy()[:, SIZE:], axis=0).all()


def test_options_are_kept_in_the_configuration():
  cell = cells.make('dnc', 6, **ON._asdict())
  again = memory.DNCCell.from_config(cell.get_config())
  assert again.options == ON
  assert memory.DNCCell(6).options == extensions.Options()
  # The LSTM has no memory, and leaves them aside.
  assert cells.make('lstm', 6, **ON._asdict()).units == 6


def test_off_is_the_cell_as_it_was():
  sizes = {'memory_slots': SLOTS, 'word_size': WORDS, 'read_heads': HEADS}
  cell = memory.DNCCell(6, **sizes)
  cell.build((None, 3))
  assert cell.get_weights()[3].shape == (6, SIZE)
  raw = tf.constant(random(BATCH, SIZE), 'float32')
  parts, extra = cell._parse(raw)
  assert extra == extensions.NONE
  for got, part in zip(
    parts, access.parse_interface(raw, HEADS, WORDS), strict=True
  ):
    np.testing.assert_array_equal(got, part)


def test_a_wrong_length_is_refused():
  with pytest.raises(ValueError, match=r'raw must be of shape \[B, 16\]'):
    extensions.parse(tf.zeros((1, 3)), ON, HEADS, WORDS)
