"""What must hold for every access: ranges, independence, no NaN."""

import numpy as np
import pytest
import tensorflow as tf

from nca_tf.memory import access

HEADS, WORDS, SLOTS = 2, 5, 6
SIZE = access.interface_size(HEADS, WORDS)


def zero_state(batch, dtype='float32', slots=SLOTS):
  shapes = access.state_shapes(slots, WORDS, HEADS)
  return access.AccessState(
    *(tf.zeros((batch, *shape), dtype) for shape in shapes)
  )


def run(raw, state, convention='paper'):
  """Accesses for raw interfaces [T, B, SIZE]."""
  reads = []
  for step in raw:
    interface = access.parse_interface(step, HEADS, WORDS, convention)
    words, state = access.step(interface, state, convention)
    reads.append(words)
  return tf.stack(reads), state


def random_raw(steps, batch, seed=0, scale=2.0, dtype='float32'):
  rng = np.random.default_rng(seed)
  return tf.constant(scale * rng.normal(size=(steps, batch, SIZE)), dtype)


def raw_parts(**values):
  """A raw interface [1, SIZE] of constants per part; zero where not named."""
  shapes = access.interface_shapes(HEADS, WORDS)._asdict()
  unknown = set(values) - set(shapes)
  assert not unknown
  parts = [
    np.full(int(np.prod(shape)), values.get(name, 0.0))
    for name, shape in shapes.items()
  ]
  return np.concatenate(parts)[None]


def test_interface_size_is_that_of_its_parts():
  assert raw_parts().shape == (1, SIZE)


def test_parse_interface_cuts_in_the_papers_order():
  raw = np.arange(SIZE, dtype='float64')[None] / 10
  parts = access.parse_interface(tf.constant(raw), HEADS, WORDS)
  softplus = np.log1p(np.exp(raw[0]))
  sigmoid = 1 / (1 + np.exp(-raw[0]))
  np.testing.assert_allclose(parts.read_keys[0, 1], raw[0, 5:10])
  np.testing.assert_allclose(parts.read_strengths[0], 1 + softplus[10:12])
  np.testing.assert_allclose(parts.write_key[0], raw[0, 12:17])
  np.testing.assert_allclose(parts.write_strength[0], 1 + softplus[17:18])
  np.testing.assert_allclose(parts.erase_vector[0], sigmoid[18:23])
  np.testing.assert_allclose(parts.write_vector[0], raw[0, 23:28])
  np.testing.assert_allclose(parts.free_gates[0], sigmoid[28:30])
  np.testing.assert_allclose(parts.allocation_gate[0], sigmoid[30:31])
  np.testing.assert_allclose(parts.write_gate[0], sigmoid[31:32])
  modes = np.exp(raw[0, 32:35]) / np.exp(raw[0, 32:35]).sum()
  np.testing.assert_allclose(parts.read_modes[0, 0], modes)
  other = access.parse_interface(tf.constant(raw), HEADS, WORDS, 'deepmind')
  np.testing.assert_allclose(other.read_strengths[0], softplus[10:12])
  np.testing.assert_allclose(other.read_modes[0, 0], modes[[0, 2, 1]])


def test_weightings_and_usage_stay_in_range():
  state = zero_state(4)
  for step in random_raw(40, 4):
    interface = access.parse_interface(step, HEADS, WORDS)
    _, state = access.step(interface, state)
    for name in ('usage', 'write_weights', 'read_weights', 'precedence'):
      values = getattr(state, name).numpy()
      assert values.min() >= -1e-6, name
      assert values.max() <= 1 + 1e-6, name
    for name in ('write_weights', 'read_weights', 'precedence'):
      assert getattr(state, name).numpy().sum(-1).max() <= 1 + 1e-5, name
    link = state.link.numpy()
    assert not np.diagonal(link, axis1=1, axis2=2).any()
    assert max(link.sum(1).max(), link.sum(2).max()) <= 1 + 1e-5
  assert state.usage.numpy().max() > 0.1


@pytest.mark.parametrize('convention', access.CONVENTIONS)
def test_slots_are_interchangeable(convention):
  rng = np.random.default_rng(3)
  order = rng.permutation(SLOTS)
  state = zero_state(2, 'float64')._replace(
    memory=tf.constant(rng.normal(size=(2, SLOTS, WORDS))),
    usage=tf.constant(rng.uniform(size=(2, SLOTS))),
  )
  moved = state._replace(
    memory=tf.gather(state.memory, order, axis=1),
    usage=tf.gather(state.usage, order, axis=1),
  )
  raw = random_raw(6, 2, dtype='float64')
  reads, after = run(raw, state, convention)
  moved_reads, moved_after = run(raw, moved, convention)
  np.testing.assert_allclose(moved_reads, reads, atol=1e-12)
  np.testing.assert_allclose(
    moved_after.link,
    after.link.numpy()[:, order][:, :, order],
    atol=1e-12,
  )
  np.testing.assert_allclose(
    moved_after.memory, after.memory.numpy()[:, order], atol=1e-12
  )


HARD_CASES = {
  'silence': raw_parts(),
  'write all, free all': raw_parts(
    write_gate=1e4, allocation_gate=1e4, free_gates=1e4, write_vector=3.0
  ),
  'fill the memory': raw_parts(
    write_gate=1e4, allocation_gate=1e4, free_gates=-1e4, write_vector=3.0
  ),
  'gates shut': raw_parts(
    write_gate=-1e4, allocation_gate=-1e4, free_gates=-1e4
  ),
  'erase by content': raw_parts(
    write_gate=1e4, allocation_gate=-1e4, erase_vector=1e4, write_strength=1e3
  ),
  'sharp strengths': raw_parts(
    read_strengths=1e4, write_strength=1e4, read_keys=1e3, write_key=-1e3
  ),
  'modes at a corner': raw_parts(write_gate=1e4, write_vector=1.0)
  + np.concatenate([np.zeros(SIZE - 6), [1e4, 0, -1e4, -1e4, 0, 1e4]]),
}


# Sixteen-bit states are what keras.layers.RNN carries in mixed precision.
@pytest.fixture(scope='module', params=('float32', 'bfloat16'))
def hard_run(request):
  """Many equal steps from zero, each case a row of one batch."""
  dtype = request.param
  raw = tf.constant(np.concatenate(list(HARD_CASES.values())), dtype)
  state = zero_state(len(HARD_CASES), dtype)
  with tf.GradientTape() as tape:
    tape.watch([raw, state.memory])
    reads, after = run([raw] * 20, state)
    loss = tf.add_n(
      tf.reduce_sum(tf.cast(x, 'float32') ** 2) for x in (reads, *after)
    )
  gradients = tape.gradient(loss, [raw, state.memory])
  assert {x.dtype.name for x in after} == {dtype}
  tensors = (*after, reads[-1], *gradients)
  return after, [tf.cast(x, 'float64').numpy() for x in tensors]


@pytest.mark.parametrize('case', HARD_CASES)
def test_no_nan_in_values_or_gradients(case, hard_run):
  _, tensors = hard_run
  for tensor in tensors:
    assert np.isfinite(tensor[list(HARD_CASES).index(case)]).all()


def test_a_full_memory_has_usage_one(hard_run):
  after, _ = hard_run
  usage = after.usage[list(HARD_CASES).index('fill the memory')]
  np.testing.assert_allclose(tf.cast(usage, 'float32'), np.ones(SLOTS), 1e-2)


def test_wrong_arguments_are_named():
  with pytest.raises(ValueError, match=r'raw must be of shape \[B, 38\]'):
    access.parse_interface(tf.zeros((1, SIZE + 1)), HEADS, WORDS)
  interface = access.parse_interface(tf.zeros((1, SIZE)), HEADS, WORDS)
  with pytest.raises(ValueError, match="convention must be one of .*'graves'"):
    access.step(interface, zero_state(1), 'graves')
