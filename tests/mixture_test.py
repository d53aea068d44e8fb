"""The mixture head against SciPy, and its temperature."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from nca_tf import random_tensors
from nca_tf.world_model import mixture


def _parameters(joint, shape=(7,), dimensions=3, components=4, seed=0):
  random = np.random.default_rng(seed)
  pair = (*shape, dimensions, components)
  logits = random.normal(size=(*shape, components) if joint else pair)
  loc, scale = random.normal(size=pair), np.exp(random.normal(size=pair))
  return mixture.MixtureParameters(
    *(tf.constant(x, tf.float32) for x in (logits, loc, scale))
  )


def _oracle(parameters, targets, joint):
  logits, loc, scale = (x.numpy().astype(float) for x in parameters)
  log_weights = scipy.special.log_softmax(logits, -1)
  log_density = scipy.stats.norm.logpdf(targets[..., None], loc, scale)
  if joint:
    return scipy.special.logsumexp(log_weights + log_density.sum(-2), -1)
  return scipy.special.logsumexp(log_weights + log_density, -1).sum(-1)


@pytest.mark.parametrize('joint', [False, True])
def test_likelihood_against_scipy(joint):
  parameters = _parameters(joint)
  targets = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)
  nll = mixture.negative_log_likelihood(parameters, targets)
  np.testing.assert_allclose(
    nll, -_oracle(parameters, targets, joint) / 3, rtol=1e-5
  )


@pytest.mark.parametrize('joint', [False, True])
def test_far_targets_stay_finite(joint):
  targets = np.full((7, 3), 1e4, np.float32)
  nll = mixture.negative_log_likelihood(_parameters(joint), targets)
  assert np.all(np.isfinite(nll))


@pytest.mark.parametrize('joint', [False, True])
def test_samples_have_the_moments_of_the_mixture(joint):
  parameters = _parameters(joint, shape=(), seed=3)
  many = mixture.MixtureParameters(
    *(tf.repeat(x[None], 100_000, 0) for x in parameters)
  )
  samples = mixture.sample(many, (1, 2), 1.0).numpy()
  logits, loc, scale = (x.numpy().astype(float) for x in parameters)
  weights = scipy.special.softmax(logits, -1)
  mean = (weights * loc).sum(-1)
  variance = (weights * (scale**2 + loc**2)).sum(-1) - mean**2
  error = np.sqrt(variance / len(samples))
  assert np.all(np.abs(samples.mean(0) - mean) < 5 * error)
  np.testing.assert_allclose(samples.var(0), variance, rtol=0.05)
  np.testing.assert_allclose(mixture.mixture_mean(parameters), mean, atol=1e-5)


def test_temperature_divides_logits_and_scales_by_its_root():
  parameters = _parameters(False)
  hot = mixture.mixture(parameters, 2.0)
  by_hand = mixture.mixture(
    mixture.MixtureParameters(
      parameters.logits / 2, parameters.loc, parameters.scale * 2**0.5
    )
  )
  targets = np.zeros((7, 3), np.float32)
  np.testing.assert_allclose(
    hot.log_prob(targets), by_hand.log_prob(targets), rtol=1e-6
  )


def test_samples_at_a_temperature_follow_the_mixture_at_it():
  parameters = _parameters(False, shape=(), dimensions=1, seed=4)
  many = mixture.MixtureParameters(
    *(tf.repeat(x[None], 20_000, 0) for x in parameters)
  )
  samples = mixture.sample(many, (1, 2), 2.0).numpy()[:, 0]
  logits, loc, scale = (x.numpy()[0].astype(float) for x in parameters)
  weights = scipy.special.softmax(logits / 2)

  def cdf(x):
    return scipy.stats.norm.cdf(x[:, None], loc, scale * 2**0.5) @ weights

  assert scipy.stats.kstest(samples, cdf).pvalue > 1e-3


def test_samples_repeat_with_the_seed_also_under_xla():
  parameters = _parameters(False)

  def draw(seed):
    return mixture.sample(parameters, seed, 1.15)

  compiled = tf.function(draw, jit_compile=True, autograph=False)
  seed = tf.constant([3, 4])
  np.testing.assert_allclose(draw(seed), compiled(seed), atol=1e-5)
  assert np.any(draw(seed) != draw(tf.constant([3, 5])))


@pytest.mark.parametrize(('joint', 'outputs'), [(False, 960), (True, 645)])
def test_head_has_the_published_number_of_outputs(joint, outputs):
  head = mixture.MixtureHead(64, 5, joint)
  parameters = head(np.zeros((2, 6, 10), np.float32))
  assert head.dense.units == outputs
  assert parameters.loc.shape == (2, 6, 64, 5)
  assert parameters.logits.shape == ((2, 6, 5) if joint else (2, 6, 64, 5))
  assert np.all(parameters.scale >= mixture.MINIMUM_SCALE)


def test_scale_floor_holds_for_extreme_outputs():
  head = mixture.MixtureHead(2, 2)
  head.build((None, 1))
  head.dense.bias.assign(np.full(12, -1e4, np.float32))
  scale = head(np.zeros((1, 1), np.float32)).scale
  np.testing.assert_allclose(scale, mixture.MINIMUM_SCALE)


@pytest.mark.parametrize('joint', [False, True])
def test_a_row_s_draw_need_not_depend_on_the_number_of_rows(joint):
  parameters = _parameters(joint)
  seed, rows = tf.constant([3, 4]), random_tensors.normal_rows
  whole = mixture.sample(parameters, seed, 1.15, rows)
  for count in (1, 2, 6):
    part = mixture.MixtureParameters(*(x[:count] for x in parameters))
    some = mixture.sample(part, seed, 1.15, rows)
    np.testing.assert_array_equal(some, whole[:count])
    if count == 1:  # What `sample` gives a batch of one without it.
      np.testing.assert_array_equal(mixture.sample(part, seed, 1.15), some)
  flat = random_tensors.normal_rows(seed, [20_000, 3]).numpy()
  assert scipy.stats.kstest(flat.ravel(), 'norm').pvalue > 1e-3
  assert np.abs(np.corrcoef(flat.T) - np.eye(3)).max() < 0.05


@pytest.mark.parametrize('value', [0, -1.0, np.nan, np.inf, '1', True])
@pytest.mark.parametrize('use', [mixture.mixture, mixture.transform])
def test_a_temperature_that_is_none_is_refused(use, value):
  noise = () if use is mixture.mixture else (0.5, 0.0)
  with pytest.raises(
    ValueError, match='temperature must be a finite number ab'
  ):
    use(_parameters(False), *noise, temperature=value)
