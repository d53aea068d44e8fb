"""Discrete codes of V's latents, and the M over them, against NumPy."""

import keras
import memory_models
import numpy as np
import pytest
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf import random_tensors
from nca_tf.memory import cells
from nca_tf.memory.unrolled import episodes
from nca_tf.runs import checkpoints
from nca_tf.world_model import categorical
from nca_tf.world_model import model as model_lib

SIZE, GROUPS, CLASSES, FEATURES = 6, 3, 4, 5
KEY = random_numbers.key(0, 'test')


@pytest.fixture(scope='module')
def head():
  keras.utils.set_random_seed(0)
  made = categorical.CategoricalHead(SIZE, GROUPS, CLASSES)
  made.build((None, FEATURES))
  for weight in made._prior.weights:  # Distributions that are not all alike.
    weight.assign(3 * weight)
  return made


@pytest.fixture(scope='module')
def prior(head):
  features = np.random.default_rng(1).normal(size=(7, 2, FEATURES))
  return head(features.astype(np.float32))


def latents(*shape, seed=2):
  values = np.random.default_rng(seed).normal(size=(*shape, SIZE))
  return 2 * values.astype(np.float32)


def kl(one, other):
  return (np.exp(one) * (one - other)).sum((-2, -1))


def test_every_class_keeps_a_share(prior):
  shares = np.exp(prior.logits)
  assert shares.shape == (7, 2, GROUPS, CLASSES)
  np.testing.assert_allclose(shares.sum(-1), 1, atol=1e-5)
  assert shares.min() >= 0.01 / CLASSES - 1e-6
  assert shares.max() > 0.5


def test_codes_are_the_most_probable_ones(head):
  z = latents(5)
  codes = np.asarray(head.encode(z)).reshape(5, GROUPS, CLASSES)
  assert set(codes.ravel()) == {0, 1} and (codes.sum(-1) == 1).all()
  logits = np.asarray(head.posterior(z).logits)
  np.testing.assert_array_equal(codes.argmax(-1), logits.argmax(-1))


@pytest.mark.parametrize('temperature', (0.5, 1.0, 2.0))
def test_draws_invert_the_distribution_function(head, prior, temperature):
  uniform = np.random.default_rng(3).random((7, 2, GROUPS)).astype(np.float32)
  shares = np.exp(np.asarray(prior.logits, np.float64) / temperature)
  shares /= shares.sum(-1, keepdims=True)
  chosen = (uniform[..., None] >= shares.cumsum(-1)[..., :-1]).sum(-1)
  codes = np.eye(CLASSES, dtype=np.float32)[chosen].reshape(7, 2, -1)
  drawn = head.draw(prior, uniform, None, temperature)
  np.testing.assert_allclose(drawn, head.decode(codes), atol=1e-5)


def test_frequencies_of_draws_are_the_prior(head, prior):
  one = prior.logits[:1, 0]
  many = categorical.CategoricalParameters(tf.repeat(one, 20000, axis=0))
  uniform = tf.random.stateless_uniform([20000, GROUPS], KEY)
  chosen = categorical._choose(tf.exp(many.logits), uniform).numpy()
  for group in range(GROUPS):
    found = np.bincount(chosen[:, group], minlength=CLASSES) / 20000
    np.testing.assert_allclose(found, np.exp(one)[0, group], atol=0.015)


def test_a_seed_determines_a_sample_and_rows_do_not_mix(head, prior):
  drawn = head.sample(prior, KEY)
  np.testing.assert_array_equal(drawn, head.sample(prior, KEY))
  assert np.any(drawn != head.sample(prior, KEY + np.array([0, 1])))
  half = categorical.CategoricalParameters(prior.logits[:3])
  np.testing.assert_array_equal(drawn[:3], head.sample(half, KEY))


def test_temperatures_that_are_none_are_refused(head, prior):
  for wrong in (0.0, -1.0, float('nan')):
    with pytest.raises(ValueError, match='temperature must be'):
      head.sample(prior, KEY, wrong)


def test_likelihood_is_the_cross_entropy_of_the_codes(head, prior):
  z = latents(7, 2)
  codes = np.asarray(head.encode(z)).reshape(7, 2, GROUPS, CLASSES)
  wanted = -(codes * np.asarray(prior.logits)).sum((-2, -1)) / SIZE
  found = head.negative_log_likelihood(prior, z)
  np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_balanced_kl_against_numpy(prior):
  one, other = (np.asarray(prior.logits)[:, i] for i in range(2))
  pair = [
    categorical.CategoricalParameters(tf.constant(x)) for x in (one, other)
  ]
  loss, value = categorical.balanced_kl(*pair)
  wanted = kl(one, other)
  np.testing.assert_allclose(value, wanted, rtol=1e-4)
  np.testing.assert_allclose(loss, np.maximum(wanted, 1), rtol=1e-4)
  # The gradient goes to the prior by .8, to the posterior by .2.
  with tf.GradientTape(persistent=True) as tape:
    for part in pair:
      tape.watch(part.logits)
    loss, _ = categorical.balanced_kl(*pair)
    plain = categorical._kl(pair[0].logits, pair[1].logits)
  large = wanted > 1
  assert large.any()
  for part, share in zip(pair, (0.2, 0.8), strict=True):
    gradient = tape.gradient(loss, part.logits).numpy()[large]
    whole = tape.gradient(plain, part.logits).numpy()[large]
    np.testing.assert_allclose(gradient, share * whole, atol=1e-5)


def test_less_than_a_nat_moves_nothing(prior):
  same = tf.constant(prior.logits)
  with tf.GradientTape() as tape:
    tape.watch(same)
    given = categorical.CategoricalParameters(same)
    loss, _ = categorical.balanced_kl(given, given)
  np.testing.assert_allclose(loss, 1)
  assert not np.any(tape.gradient(loss, same))


def test_gradients_go_straight_through_the_codes(head):
  z = tf.constant(latents(5))
  weights = latents(5, GROUPS * CLASSES // SIZE).reshape(5, -1)
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(z)
    drawn = head.teach(z, random_tensors.uniform(KEY, [5, GROUPS]))
    through = tf.reduce_sum(weights * drawn.codes)
    soft = tf.reduce_sum(weights * head._flat(tf.exp(drawn.posterior.logits)))
  codes = drawn.codes.numpy()
  np.testing.assert_allclose(codes, codes.round(), atol=1e-6)
  np.testing.assert_allclose(
    tape.gradient(through, z), tape.gradient(soft, z), atol=1e-6
  )
  assert np.any(tape.gradient(through, z))


@pytest.mark.parametrize('kind', memory_models.OVER_CODES)
def test_a_checkpoint_has_every_weight(tmp_path, kind):
  one, other = (memory_models.make(kind, SIZE, 2, seed=seed) for seed in (0, 1))
  assert any(
    np.any(a != b) for a, b in zip(one.weights, other.weights, strict=True)
  )
  checkpoints.Checkpoints(tmp_path, model=one).save(1)
  checkpoints.Checkpoints(tmp_path, model=other).load(1)
  for a, b in zip(one.weights, other.weights, strict=True):
    np.testing.assert_array_equal(a, b, err_msg=a.path)


def test_wrong_sizes_are_named():
  for name, sizes in (
    ('dimensions', (0, 3, 4)),
    ('groups', (3, 2.5, 4)),
    ('classes', (3, 2, 1)),
  ):
    with pytest.raises(ValueError, match=f'{name} must be an integer'):
      categorical.CategoricalHead(*sizes)


def transitions(batch=4, steps=9, seed=0):
  """Latents that jump between four points in a cycle, two steps at each."""
  places = latents(4, seed=5)
  start = np.random.default_rng(seed).integers(8, size=(batch, 1))
  where = (start + np.arange(steps)) // 2 % 4
  is_first = np.zeros((batch, steps), bool)
  is_first[:, 0] = True
  z = places[where]
  return model_lib.Transitions(
    *map(
      tf.constant,
      (
        z,
        np.zeros((batch, steps, 2), np.float32),
        np.zeros((batch, steps), np.float32),
        is_first,
        np.zeros((batch, steps), bool),
        np.full_like(z, 0.05),
      ),
    )
  )


def learn(model, given, steps):
  optimizer = keras.optimizers.Adam(1e-2)

  @tf.function(autograph=False)
  def train(index):
    with tf.GradientTape() as tape:
      key = random_numbers.key(1, 'learn', index)
      terms, _ = model.losses(given, model.initial(4), key)
    variables = model.trainable_variables
    gradients = tape.gradient(terms['loss'], variables)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return terms, gradients

  for index in range(steps):
    terms, gradients = train(tf.constant(index))
  return {name: float(value) for name, value in terms.items()}, gradients


@pytest.mark.parametrize('kind', memory_models.OVER_CODES)
@pytest.mark.parametrize('cell', cells.names())
def test_it_learns_a_cycle_and_dreams_it(cell, kind):
  keras.utils.set_random_seed(0)
  made = cells.make(cell, 16, memory_slots=5, word_size=4, read_heads=2)
  model = memory_models.OVER_CODES[kind](made, SIZE, 2, GROUPS, CLASSES)
  model.build()
  given = transitions()
  first, _ = learn(model, given, 1)
  _, gradients = learn(model, given, 50)
  for variable, gradient in zip(
    model.trainable_variables, gradients, strict=True
  ):
    assert gradient is not None and np.any(gradient), variable.path
  last, _ = learn(model, given, 250)
  assert last['reconstruction'] < 0.1 * first['reconstruction']
  # What is decoded is encoded as it was, and V's latents are kept.
  z = given.z.numpy()
  state = model.initial(4)
  for t in range(8):
    seen = model.perceive(z[:, t], state)
    np.testing.assert_allclose(seen, z[:, t], atol=0.4)
    context = cells.output(made, state)
    np.testing.assert_array_equal(
      model.latent_head.encode(seen, context),
      model.latent_head.encode(z[:, t], context),
    )
    step = z[:, t], given.action[:, t], given.is_first[:, t]
    _, state = model.step(*step, state)
  # On its own draws it goes round as the places do.
  state, at = model.initial(4), given.z[:, 0]
  seen_at = [at]
  for t in range(8):
    prediction, state = model.step(
      at, given.action[:, t], given.is_first[:, t], state
    )
    at = model.latent_head.sample(
      prediction.latent, KEY + np.array([0, t]), 0.3
    )
    seen_at.append(at)
  # The first step does not tell whether it is the first of two at its place.
  close = np.abs(np.stack(seen_at, 1)[:, 3:] - z[:, 3:]).max(-1) < 0.5
  assert close.mean() > 0.4


@pytest.mark.parametrize('kind', memory_models.OVER_CODES)
def test_losses_skip_what_has_no_target(kind):
  model = memory_models.make(kind, SIZE, 2)
  given = transitions()
  is_first = given.is_first.numpy()
  is_first[1, 3] = True
  given = given._replace(is_first=tf.constant(is_first))
  terminal = given.is_terminal.numpy()
  terminal[0, 8] = True
  dead = given._replace(is_terminal=tf.constant(terminal))
  other = dead.z.numpy()
  other[0, 8] += 5  # The frame that is repeated after death.
  state = model.initial(4)
  one, _ = model.losses(dead, state, KEY)
  two, _ = model.losses(dead._replace(z=tf.constant(other)), state, KEY)
  for name in ('nll', 'kl', 'reconstruction'):
    assert float(one[name]) == float(two[name])
  assert set(one) == {'loss', 'nll', 'done_loss', 'kl', 'reconstruction'}
  whole = float(one['nll'] + one['done_loss'])
  assert float(one['loss']) == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize('kind', memory_models.OVER_CODES)
def test_mixed_precision_keeps_the_codec_in_float32(kind):
  before = keras.config.dtype_policy()
  keras.config.set_dtype_policy('mixed_bfloat16')
  try:
    model = memory_models.make(kind, SIZE, 2)
    terms, state = model.losses(transitions(), model.initial(4), KEY)
  finally:
    keras.config.set_dtype_policy(before)
  assert all(value.dtype == tf.float32 for value in terms.values())
  assert all(np.isfinite(value) for value in terms.values())
  assert [x.dtype for x in state] == [x.dtype for x in model.initial(4)]


def test_taught_codes_are_of_the_memory_that_they_make():
  """What a loop over single steps finds, an episode's start among them."""
  model = memory_models.make(memory_models.STATE_SPACE, SIZE, 2)
  given = transitions()
  is_first = given.is_first.numpy()
  is_first[1, 3] = is_first[2, 8] = True
  given = given._replace(is_first=tf.constant(is_first))
  head, state = model.latent_head, model.initial(4)
  uniform = random_tensors.uniform(KEY, [4, 9, GROUPS])
  later, prediction, after = model._teach(given, state, uniform)
  context = np.zeros((4, model.cell.output_size), np.float32)
  for t in range(9):
    codes = head.teach(given.z[:, t], uniform[:, t], context)
    if t:
      for found, wanted in (
        (later.codes, codes.codes),
        (later.posterior.logits, codes.posterior.logits),
        (later.posterior.context, context),
      ):
        np.testing.assert_allclose(found[:, t - 1], wanted, atol=1e-5)
    if t == 8:
      break
    inputs = model._join(codes.codes, given.action[:, t], is_first[:, t])
    output, state = episodes.advance(model.cell, inputs, is_first[:, t], state)
    found = prediction.latent.logits[:, t]
    np.testing.assert_allclose(found, head(output).logits, atol=1e-5)
    context = output * (1 - is_first[:, t + 1, None])
  for found, wanted in zip(after, state, strict=True):
    np.testing.assert_allclose(found, wanted, atol=1e-5)
