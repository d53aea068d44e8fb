"""CMA-ES: one generation against the tutorial, and what its core promises."""

import math

import numpy as np
import pytest
import tensorflow as tf

from nca_tf.evolution import cma_es
from nca_tf.evolution import square_root

Settings = cma_es.Settings


def tutorial_generation(settings, m, sigma, c, p_sigma, p_c, g, x, f):
  """Equations 38 to 47 of arXiv:1604.00772v2 in NumPy, to the letter."""
  n, popsize = settings.n, settings.popsize
  mu = settings.mu
  # Table 1.
  raw = math.log(mu + 0.5 if mu != popsize // 2 else (popsize + 1) / 2)
  raw = raw - np.log(1 + np.arange(popsize))
  mueff = raw[:mu].sum() ** 2 / (raw[:mu] ** 2).sum()
  mueff_minus = raw[mu:].sum() ** 2 / (raw[mu:] ** 2).sum()
  cc = (4 + mueff / n) / (n + 4 + 2 * mueff / n)
  c1 = 2 / ((n + 1.3) ** 2 + mueff)
  cmu = 2 * (0.25 + mueff + 1 / mueff - 2) / ((n + 2) ** 2 + mueff)
  cmu = min(1 - c1, cmu)
  cs = (mueff + 2) / (n + mueff + 5)
  ds = 1 + 2 * max(0, np.sqrt((mueff - 1) / (n + 1)) - 1) + cs
  chi_n = np.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))
  alpha = min(
    1 + c1 / cmu, 1 + 2 * mueff_minus / (mueff + 2), (1 - c1 - cmu) / n / cmu
  )
  w = np.where(raw >= 0, raw / raw[:mu].sum(), 0)
  if settings.weights[-1] < 0:
    w = np.where(raw < 0, alpha * raw / np.abs(raw[raw < 0]).sum(), w)
  # One generation.
  values, vectors = np.linalg.eigh(c)
  inverse_root = vectors @ np.diag(values**-0.5) @ vectors.T
  y = ((x - m) / sigma)[np.argsort(f, kind='stable')]
  y_w = w[:mu] @ y[:mu]
  m = m + sigma * y_w
  p_sigma = (1 - cs) * p_sigma + np.sqrt(cs * (2 - cs) * mueff) * (
    inverse_root @ y_w
  )
  length = np.linalg.norm(p_sigma)
  h = length / np.sqrt(1 - (1 - cs) ** (2 * (g + 1))) < (
    (1.4 + 2 / (n + 1)) * chi_n
  )
  p_c = (1 - cc) * p_c + h * np.sqrt(cc * (2 - cc) * mueff) * y_w
  lengths = np.linalg.norm(y @ inverse_root, axis=1)
  w_circle = w * np.where(w >= 0, 1, n / lengths**2)
  delta = (1 - h) * cc * (2 - cc)
  c = (
    (1 + c1 * delta - c1 - cmu * w.sum()) * c
    + c1 * np.outer(p_c, p_c)
    + cmu
    * sum(
      w_i * np.outer(y_i, y_i) for w_i, y_i in zip(w_circle, y, strict=True)
    )
  )
  sigma = sigma * np.exp(cs / ds * (length / chi_n - 1))
  return m, sigma, c, p_sigma, p_c


def middle_state(settings, path=1.0):
  """A state as of the middle of a search, with a symmetric root."""
  rng = np.random.default_rng(1)
  n = settings.n
  q, _ = np.linalg.qr(rng.normal(size=(n, n)))
  root = q @ np.diag(np.logspace(-1, 1, n)) @ q.T
  state = cma_es.initial(settings, rng.normal(size=n), 0.7, seed=5)
  return state._replace(
    root=tf.constant(np.diag(root) if settings.is_diagonal else root),
    path_sigma=tf.constant(path * rng.normal(size=n)),
    path_c=tf.constant(rng.normal(size=n)),
    generation=tf.constant(4),
  )


def fitness_of(x):
  return tf.reduce_sum((x - 1) ** 2 * np.arange(1, x.shape[1] + 1), 1)


CASES = [
  # Both forms of the root, paths short and long (h_sigma), odd sizes.
  (2, dict(popsize=6), 1.0),
  (5, dict(popsize=9), 1.0),
  (10, dict(popsize=64, mu=0.25), 1.0),
  (10, dict(popsize=64), 9.0),
  (10, dict(popsize=12, active=False), 1.0),
  (40, dict(popsize=15), 1.0),
  (40, dict(popsize=6), 9.0),
  (40, dict(popsize=6), 1.45),  # Long only for an early generation,
  (40, dict(popsize=6), 1.12),  # and just not so for the fifth.
  (100, dict(popsize=64), 1.0),
]


@pytest.mark.parametrize(('n', 'arguments', 'path'), CASES)
def test_a_generation_equals_the_tutorial(n, arguments, path):
  settings = Settings.make(n, **arguments)
  state = middle_state(settings, path)
  x = cma_es.ask(settings, state)
  new = cma_es.tell(settings, state, x, fitness_of(x))
  root = state.root.numpy()
  m, sigma, c, p_sigma, p_c = tutorial_generation(
    settings,
    state.mean.numpy(),
    float(state.sigma),
    root @ root.T,
    state.path_sigma.numpy(),
    root @ state.path_c.numpy(),
    4,
    x.numpy(),
    fitness_of(x).numpy(),
  )
  new_root = new.root.numpy()
  pairs = [
    (new.mean, m),
    (new.sigma, sigma),
    (new_root @ new_root.T, c),
    (new.path_sigma, p_sigma),
    (new_root @ new.path_c.numpy(), p_c),
  ]
  for ours, theirs in pairs:
    error = np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs))
    assert error < 1e-12


def test_both_forms_of_the_root_are_among_the_cases():
  dense = {cma_es._is_dense(Settings.make(n, **a)) for n, a, _ in CASES}
  assert dense == {True, False}


def test_the_diagonal_variant_keeps_the_diagonal_of_the_update():
  settings = Settings.make(6, 10, covariance='diagonal')
  state = middle_state(settings)
  x = cma_es.ask(settings, state)
  z = (x - state.mean) / state.sigma / state.root
  new = cma_es.tell(settings, state, x, fitness_of(x))
  w = np.empty(10)
  w[np.argsort(fitness_of(x))] = settings.weights
  circle = np.where(w < 0, 6 * w / np.sum(z**2, 1), w)
  path = (new.path_c * new.root / state.root).numpy()
  variance = (
    1
    - settings.c1
    - settings.cmu * w.sum()
    + settings.c1 * path**2
    + settings.cmu * circle @ (z.numpy() ** 2)
  )
  np.testing.assert_allclose(
    new.root, state.root * np.sqrt(variance), rtol=1e-12
  )


@pytest.mark.parametrize('condition', [1.0, 1e3, 1e8])
def test_root_and_inverse(condition):
  q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))
  values = np.geomspace(1, condition, 8)
  root, inverse = square_root.root_and_inverse(
    tf.constant(q @ np.diag(values) @ q.T), tf.constant(2 * condition, 'double')
  )
  tolerance = 1e-15 * condition
  expected = q @ np.diag(np.sqrt(values)) @ q.T
  np.testing.assert_allclose(
    root, expected, atol=max(tolerance, 1e-13) * np.sqrt(condition)
  )
  np.testing.assert_allclose(
    inverse, np.linalg.inv(expected), atol=max(tolerance, 1e-13)
  )


@pytest.mark.parametrize('covariance', ['full', 'diagonal'])
def test_rows_may_come_in_any_order(covariance):
  settings = Settings.make(6, 10, covariance=covariance)
  state = middle_state(settings)
  x = cma_es.ask(settings, state)
  new = cma_es.tell(settings, state, x, fitness_of(x))
  order = np.random.default_rng(2).permutation(10)
  x = tf.gather(x, order)
  other = cma_es.tell(settings, state, x, fitness_of(x))
  for name in ('mean', 'sigma', 'root', 'path_sigma', 'path_c', 'best_x'):
    np.testing.assert_allclose(
      getattr(new, name), getattr(other, name), rtol=1e-9, atol=1e-12
    )


def test_a_candidate_from_elsewhere_moves_the_mean():
  settings = Settings.make(3, 6)
  state = cma_es.initial(settings, [0, 0, 0], 1)
  x = cma_es.ask(settings, state).numpy()
  x[2] = [0.5, -0.5, 2]
  new = cma_es.tell(settings, state, x, np.array([9, 8, 1, 7, 6, 5.0]))
  expected = settings.weights[:3] @ x[[2, 5, 4]]
  np.testing.assert_allclose(new.mean, expected, rtol=1e-12)
  np.testing.assert_array_equal(new.best_x, x[2])
  assert int(new.best_evaluation) == 3


@pytest.mark.parametrize('failed', [math.inf, math.nan])
def test_a_failed_row_has_no_weight(failed):
  settings = Settings.make(3, 6)
  state = cma_es.initial(settings, [0, 0, 0], 1)
  x = cma_es.ask(settings, state).numpy()
  fitness = np.array([1, 2, failed, failed, failed, failed])
  new = cma_es.tell(settings, state, x, fitness)
  weights = settings.weights[:2] / settings.weights[:2].sum()
  np.testing.assert_allclose(new.mean, weights @ x[:2], rtol=1e-12)
  x[2:] = math.nan  # Not even through the covariance.
  again = cma_es.tell(settings, state, x, fitness)
  np.testing.assert_allclose(again.root, new.root, rtol=1e-9, atol=1e-12)
  assert np.all(np.isfinite(again.root))


@pytest.mark.parametrize('value', [0, 3.5, math.inf, math.nan])
def test_a_flat_generation_moves_the_counters_alone(value):
  settings = Settings.make(3, 6)
  state = middle_state(settings)
  x = cma_es.ask(settings, state)
  new = cma_es.tell(settings, state, x, np.full(6, float(value)))
  for name in ('mean', 'sigma', 'root', 'path_sigma', 'path_c'):
    np.testing.assert_array_equal(getattr(new, name), getattr(state, name))
  assert (int(new.generation), int(new.evaluations)) == (5, 6)
  assert not np.array_equal(cma_es.ask(settings, new), x)


def test_fitness_is_ranked_in_its_own_type():
  settings = Settings.make(3, 6, dtype='float32')
  state = cma_es.initial(settings, [0, 0, 0], 1)
  x = cma_es.ask(settings, state)
  fitness = 1 + 1e-12 * np.array([3, 1, 2, 5, 4, 6.0])  # Equal in float32.
  new = cma_es.tell(settings, state, x, fitness)
  expected = settings.weights[:3] @ x.numpy()[[1, 2, 0]]
  np.testing.assert_allclose(new.mean, expected, rtol=1e-5)


def test_ranks_of_large_populations_equal_those_of_small_ones(monkeypatch):
  fitness = tf.constant([3.0, 1, 1, math.nan, 2, 0], 'double')
  settings = Settings.make(3, 6)
  small, _ = cma_es._recombination_weights(settings, fitness)
  monkeypatch.setattr(cma_es, '_COMPARED', 0)
  large, _ = cma_es._recombination_weights(settings, fitness)
  np.testing.assert_array_equal(small, large)
  assert np.argmax(small) == 5 and small[1] > small[2] > small[4]


@pytest.fixture(scope='module')
def compiled():
  settings = Settings.make(6, 10)
  run = tf.function(
    lambda state, count: cma_es.run(settings, state, fitness_of, count),
    jit_compile=True,
    autograph=False,
  )
  return settings, run


def test_a_run_equals_its_generations(compiled):
  settings, run = compiled
  state = cma_es.initial(settings, np.zeros(6), 0.5, seed=2)
  whole = run(state, tf.constant(4))
  for _ in range(4):
    x = cma_es.ask(settings, state)
    state = cma_es.tell(settings, state, x, fitness_of(x))
  for ours, theirs in zip(whole, state, strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_run_in_parts_is_the_same_run(compiled):
  settings, run = compiled
  state = cma_es.initial(settings, np.zeros(6), 0.5, seed=2)
  whole = run(state, tf.constant(30))
  parts = run(run(state, tf.constant(13)), tf.constant(17))
  for ours, theirs in zip(whole, parts, strict=True):
    np.testing.assert_array_equal(ours, theirs)


def test_seeds_and_generations_change_the_candidates():
  settings = Settings.make(3, 6)
  asks = [
    cma_es.ask(settings, cma_es.initial(settings, [0, 0, 0], 1, seed))
    for seed in (0, 0, 1)
  ]
  np.testing.assert_array_equal(asks[0], asks[1])
  assert np.all(asks[0] != asks[2])


def test_default_sizes_and_types():
  settings = Settings.make(10)
  assert (settings.popsize, settings.mu, settings.dtype) == (10, 5, 'float64')
  assert Settings.make(101).dtype == 'float32'
  assert Settings.make(5, 64, mu=0.25).mu == 16
  assert Settings.make(5, dtype=tf.float32).dtype == 'float32'


@pytest.mark.parametrize('n', [1, 2, 10, 1089])
@pytest.mark.parametrize('popsize', [4, 5, 64, 1000])
@pytest.mark.parametrize('covariance', ['full', 'diagonal'])
def test_constants_keep_the_covariance_definite(n, popsize, covariance):
  settings = Settings.make(n, popsize, covariance=covariance)
  negative = -np.minimum(settings.weights, 0).sum()
  decay = 1 - settings.c1 - settings.cmu * settings.weights.sum()
  assert np.isclose(settings.weights[: settings.mu].sum(), 1)
  assert decay - settings.cmu * negative * n > -1e-12
  assert 0 < settings.c1 and settings.c1 + settings.cmu <= 1 + 1e-12
  assert np.all(np.diff(settings.weights) <= 0)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (dict(n=0), 'n must be an integer of at least 1, got 0'),
    (dict(n=3, popsize=2), 'popsize must be an integer of at least 3 .*got 2'),
    (dict(n=3, popsize=8, mu=9), 'mu must be .* got 9'),
    (dict(n=3, covariance='limited'), "covariance must be .* got 'limited'"),
    (dict(n=3, dtype='int32'), 'dtype must be .* got int32'),
  ],
)
def test_wrong_settings(arguments, message):
  with pytest.raises(ValueError, match=message):
    Settings.make(**arguments)


def test_wrong_shapes():
  settings = Settings.make(3, 6)
  with pytest.raises(ValueError, match='x0 must be of shape'):
    cma_es.initial(settings, [0, 0], 1)
  with pytest.raises(ValueError, match='sigma0 must be .* above 0, got 0'):
    cma_es.initial(settings, [0, 0, 0], 0)
  state = cma_es.initial(settings, [0, 0, 0], 1)
  for sizes in ((5, 6), (6, 5)):
    x, fitness = np.zeros([sizes[0], 3]), np.zeros(sizes[1])
    with pytest.raises(ValueError, match=r'must be of shape \(6,'):
      cma_es.tell(settings, state, x, fitness)
