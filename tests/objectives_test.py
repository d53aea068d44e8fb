"""Objectives against NumPy forms written from the definitions, term by term."""

import math

import numpy as np
import pytest
import tensorflow as tf

from nca_tf.evolution import objectives


def tosz(t):
  if t == 0:
    return 0.0
  log = math.log(abs(t))
  fast, slow = (10, 7.9) if t > 0 else (5.5, 3.1)
  wave = math.sin(fast * log) + math.sin(slow * log)
  return math.copysign(math.exp(log + 0.049 * wave), t)


def tasy(x, beta):
  n = len(x)
  return [
    t ** (1 + beta * i / (n - 1) * math.sqrt(t)) if t > 0 else t
    for i, t in enumerate(x)
  ]


def ellipsoid(x):
  n = len(x)
  return sum(10 ** (6 * i / (n - 1)) * t * t for i, t in enumerate(x))


def rosenbrock(x):
  return sum(
    100 * (x[i] ** 2 - x[i + 1]) ** 2 + (x[i] - 1) ** 2
    for i in range(len(x) - 1)
  )


def rastrigin(x):
  waves = sum(math.cos(2 * math.pi * t) for t in x)
  return 10 * (len(x) - waves) + sum(t * t for t in x)


def schaffer(x):
  a, b = x[0] - 10, x[1] - 10
  top = math.sin(a * a - b * b) ** 2 - 0.5
  return (0.5 + top / (1 + 0.001 * (a * a + b * b)) ** 2) ** 2


def bbob(instance, x):
  n = len(x)
  d = x - instance.x_opt
  r, q = instance.first, instance.second
  if instance.function == 1:
    value = sum(t * t for t in d)
  elif instance.function == 2:
    value = ellipsoid([tosz(t) for t in d])
  elif instance.function == 8:
    value = rosenbrock([max(1, math.sqrt(n) / 8) * t + 1 for t in d])
  elif instance.function == 10:
    value = ellipsoid([tosz(t) for t in r @ d])
  else:
    scale = np.diag([10 ** (0.5 * i / (n - 1)) for i in range(n)])
    z = r @ scale @ q @ np.array(tasy([tosz(t) for t in r @ d], 0.2))
    value = rastrigin(z)
  return value + instance.f_opt


@pytest.fixture(params=[2, 10])
def points(request):
  draws = np.random.default_rng(0).normal(0, 3, (64, request.param))
  draws[0] = 0
  draws[1, 0] = 0
  return draws


@pytest.mark.parametrize(
  'ours, oracle',
  [
    (objectives.sphere, lambda x: sum(t * t for t in x)),
    (objectives.ellipsoid, ellipsoid),
    (objectives.rosenbrock, rosenbrock),
    (objectives.rastrigin, rastrigin),
  ],
)
def test_equals_its_definition(ours, oracle, points):
  found = ours(tf.constant(points))
  assert found.shape == (64,)
  expected = [oracle(x) for x in points]
  np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-10)


def test_schaffer_equals_its_definition():
  points = np.random.default_rng(1).uniform(-1, 20, (200, 2))
  found = objectives.schaffer(tf.constant(points))
  expected = [schaffer(x) for x in points]
  np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_rotated_turns_each_row():
  turn = objectives.rotation(10, seed=3)
  points = np.random.default_rng(2).normal(size=(5, 10))
  found = objectives.rotated(objectives.ellipsoid, turn)(tf.constant(points))
  expected = [ellipsoid(turn @ x) for x in points]
  np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_rotation_is_orthogonal_and_of_its_seed():
  turn = objectives.rotation(40, seed=3)
  np.testing.assert_allclose(turn @ turn.T, np.eye(40), atol=1e-13)
  np.testing.assert_array_equal(turn, objectives.rotation(40, seed=3))
  assert np.abs(turn - objectives.rotation(40, seed=4)).max() > 0.1


@pytest.mark.parametrize('function', objectives.BBOB_FUNCTIONS)
def test_bbob_equals_its_definition(function, points):
  n = points.shape[1]
  instance = objectives.BbobInstance.make(function, n, 3)
  found = objectives.bbob(instance)(tf.constant(points))
  expected = [bbob(instance, x) for x in points]
  np.testing.assert_allclose(found, expected, rtol=1e-9)
  at = objectives.bbob(instance)(tf.constant(instance.x_opt[None]))
  assert float(at[0]) == pytest.approx(instance.f_opt, abs=1e-12)
  assert float(tf.reduce_min(found)) > instance.f_opt


def test_bbob_instances_differ_and_repeat():
  one, again, two = (
    objectives.BbobInstance.make(15, 4, index) for index in (1, 1, 2)
  )
  for part, same, other in zip(one[1:], again[1:], two[1:], strict=True):
    np.testing.assert_array_equal(part, same)
    assert np.any(part != other)
  assert np.abs(one.x_opt).max() <= 4
  assert np.any(one.first != one.second)


@pytest.mark.parametrize(
  'ours, minimum',
  [
    (objectives.sphere, 0),
    (objectives.ellipsoid, 0),
    (objectives.rosenbrock, 1),
    (objectives.rastrigin, 0),
    (objectives.schaffer, 10),
  ],
)
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_minimum_is_zero_and_nothing_near_it(ours, minimum, dtype):
  at = np.full((1, 2), minimum, dtype)
  assert float(ours(tf.constant(at))[0]) == 0
  near = at + np.array(2e-5, dtype)
  value = ours(tf.constant(near))
  assert value.dtype == dtype
  wide = ours(tf.constant(near.astype('float64')))
  assert float(value[0]) > 0
  # Rosenbrock squares a difference of two numbers near 1 in float32.
  rough = 0.05 if dtype == 'float32' else 1e-12
  assert float(value[0]) == pytest.approx(float(wide[0]), rel=rough)


@pytest.mark.parametrize(
  'arguments, message',
  [
    ((3, 4, 1), r'function must be one of \(1, 2, 8, 10, 15\), got 3'),
    ((1, 1, 1), 'n must be an integer of at least 2, got 1'),
    ((1, 2, 0), 'instance must be an integer of at least 1, got 0'),
  ],
)
def test_wrong_instance(arguments, message):
  with pytest.raises(ValueError, match=message):
    objectives.BbobInstance.make(*arguments)
