"""The class CMAES: ask and tell, stopping, bounds, files, restarts."""

import math

import numpy as np
import pytest
import tensorflow as tf

from nca_tf.evolution import CMAES
from nca_tf.evolution import bounds
from nca_tf.evolution import cma_es
from nca_tf.evolution import fmin
from nca_tf.evolution import objectives
from nca_tf.evolution import restarts
from nca_tf.evolution import stopping

FIELDS = cma_es.State._fields


def sphere(x):
  return np.sum(np.square(x), 1)


def same_state(one, other):
  return all(
    np.array_equal(getattr(one.state, name), getattr(other.state, name))
    for name in FIELDS
  )


@pytest.fixture(scope='module')
def minimised():
  """One search by ask and tell, with all that it asked and told."""
  es = CMAES(np.ones(3), 0.5, seed=1)
  told = []
  while not es.stop():
    x = es.ask()
    es.tell(x, sphere(x))
    told.append((x, sphere(x)))
  return es, told


def test_ask_and_tell(minimised):
  es, told = minimised
  result = es.result
  x = np.concatenate([x for x, _ in told])
  fitness = np.concatenate([f for _, f in told])
  best = np.argmin(fitness)
  assert es.countevals == result.evaluations == len(fitness) == 7 * len(told)
  assert es.countiter == result.iterations == len(told)
  assert result.fbest == fitness[best] < 1e-10
  assert result.evals_best == best + 1
  np.testing.assert_array_equal(result.xbest, x[best])
  np.testing.assert_allclose(result.xfavorite, es.mean)
  assert np.all(np.abs(es.mean) < 1e-4)
  assert set(result.stop) & {'tolfun', 'tolfunhist', 'tolx'}
  np.testing.assert_allclose(
    es.stds,
    es.sigma * np.sqrt(np.diag(es.state.root @ tf.transpose(es.state.root))),
  )


def test_disp_prints_one_line(minimised, capsys):
  es, _ = minimised
  es.disp()
  line = capsys.readouterr().out
  assert line.split()[:2] == [str(es.countiter), str(es.countevals)]
  assert line.count('\n') == 1


def test_ask_repeats_until_told():
  es = CMAES(np.zeros(2), 1, seed=3)
  first = es.ask()
  np.testing.assert_array_equal(first, es.ask())
  es.tell(first, list(sphere(first)))
  assert np.all(es.ask() != first)


def test_tell_refuses_another_number_of_values():
  es = CMAES(np.zeros(2), 1)
  with pytest.raises(ValueError, match=r'fitness must be of shape \(6,\)'):
    es.tell(es.ask(), np.zeros(5))


def test_a_resumed_search_is_the_same_search(tmp_path):
  path = tmp_path / 'search'
  box = ([-1, None], [None, 5])
  es = CMAES(np.ones(2), 0.5, bounds=box, seed=7, options={'maxiter': 12})
  for i in range(9):
    x = es.ask()
    if i == 4:
      es.save(path)  # Between ask and tell.
    es.tell(x, sphere(x))
  again = CMAES.load(path)
  assert again.countiter == 4
  for _ in range(5):
    x = again.ask()
    again.tell(x, sphere(x))
  assert same_state(es, again)
  assert again.stop() == es.stop()
  assert again.elapsed > 0
  assert [entry.name for entry in tmp_path.iterdir()] == ['search']


def test_the_compiled_loop_resumes_bit_by_bit(tmp_path):
  path = tmp_path / 'search'
  es = CMAES(np.full(4, 2.0), 1, seed=2)
  es.optimize(objectives.rosenbrock, 30)
  es.save(path)
  assert es.countiter == 30
  es.optimize(objectives.rosenbrock, 25)
  again = CMAES.load(path).optimize(objectives.rosenbrock, 25)
  assert again.countiter == 55
  assert same_state(es, again)


@pytest.mark.parametrize('content', [b'', b'nonsense', b'PK\x03\x04'])
def test_load_refuses_other_files(tmp_path, content):
  path = tmp_path / 'search'
  path.write_bytes(content)
  with pytest.raises(ValueError, match='path must be a saved search'):
    CMAES.load(path)


def test_optimize_stops_at_the_target_and_calls_back():
  seen = []
  es = CMAES(np.ones(3), 0.5, options={'ftarget': 1e-3})
  es.optimize(objectives.sphere, callback=lambda es: seen.append(es.countiter))
  assert seen == list(range(1, es.countiter + 1))
  assert es.result.fbest <= 1e-3
  assert es.stop() == {'ftarget': 1e-3}
  whole = CMAES(np.ones(3), 0.5, options={'ftarget': 1e-3})
  whole.optimize(objectives.sphere)
  assert whole.countiter == es.countiter


def test_optimize_keeps_to_its_budgets():
  es = CMAES(np.ones(3), 0.5, options={'maxfevals': 60})
  es.optimize(objectives.sphere)
  assert es.countevals == 63  # The generation that passes it.
  assert es.stop() == {'maxfevals': 60}


def test_data_are_inputs_of_a_graph_that_searches_share():
  traced, counts, programs = [], [], {}

  def shifted(x, centre):
    traced.append(x)
    return objectives.sphere(x - centre)

  for centre in (1.0, -2.0):
    es = CMAES(np.zeros(2), 0.5, options={'ftarget': 1e-6})
    es.share_programs(programs).optimize(
      shifted, data=[tf.constant(centre, tf.float64)], every=5, jit=False
    )
    np.testing.assert_allclose(es.result.xbest, centre, atol=1e-2)
    counts.append(len(traced))
  assert counts[0] == counts[1] > 0


RECORD = np.array([1.0, 2, 3, 4])


def stops(records=(), generation=None, stds=(0.1, 0.1), options=None, **fields):
  """Names of the conditions that hold after some records."""
  watch = stopping.Stopping(stopping.Options.of(options), 2, 6, 0.5)
  for record in records:
    watch.feed(record)
  state = cma_es.initial(cma_es.Settings.make(2), [1.0, 1.0], 0.1)
  state = cma_es.State(*(np.asarray(field) for field in state))
  count = len(records) if generation is None else generation
  state = state._replace(generation=np.array(count), **fields)
  return set(watch.stop(state, np.array(stds)))


@pytest.mark.parametrize(
  ('name', 'arguments'),
  [
    ('ftarget', dict(records=[RECORD], options={'ftarget': 1})),
    ('maxfevals', dict(evaluations=np.array(9), options={'maxfevals': 9})),
    ('maxiter', dict(generation=5, options={'maxiter': 5})),
    ('timeout', dict(options={'timeout': 0})),
    ('tolflatfitness', dict(records=[[1, 1, 3, 4]] * 2)),
    ('tolfunhist', dict(records=[RECORD] * 10)),
    ('tolx', dict(generation=1, stds=(1e-12, 1e-12))),
    ('tolfacupx', dict(generation=1, stds=(0.1, 501))),
    ('noeffectcoord', dict(generation=1, stds=(0.1, 1e-17))),
    ('noeffectaxis', dict(generation=1, sigma=np.array(1e-17))),
    (
      'tolconditioncov',
      dict(generation=4, root=np.diag([1.0, 1e-8]), stds=(0.1, 0.1)),
    ),
    (
      'tolstagnation',
      dict(records=[RECORD + i % 2 for i in range(200)]),
    ),
  ],
)
def test_each_stop_condition(name, arguments):
  assert stops(**arguments) == {name}


def test_tolfun_needs_a_flat_history_and_generation():
  near = 1 + 1e-12 * np.arange(4.0)
  assert 'tolfun' in stops(records=[near * (1 + i * 2e-13) for i in range(10)])
  assert 'tolfun' not in stops(records=[RECORD] * 10)


@pytest.mark.parametrize('count', [0, 1, 9])
def test_nothing_stops_a_search_that_improves(count):
  assert not stops(records=[RECORD - i for i in range(count)])


def test_failed_evaluations_are_no_flat_history():
  assert not stops(records=[stopping.summary([math.nan] * 5 + [1.0])] * 5)


def test_unknown_options_are_refused():
  with pytest.raises(ValueError, match=r"got \['tolsun'\]"):
    CMAES(np.ones(2), 1, options={'tolsun': 1})


BOXES = [(-1, 2), (None, 3), (0.5, None), (-1e-3, 1e-3), (None, None)]


@pytest.mark.parametrize('box', BOXES)
def test_the_box_is_onto_smooth_and_has_an_inverse(box):
  place = bounds.Box(box, 1)
  low, high = (np.inf if b is None else b for b in box)
  y = np.linspace(-20, 20, 400_001)[:, None]
  x = place.into(tf.constant(y)).numpy()
  assert np.all((place.lower <= x) & (x <= place.upper))
  slope = np.diff(x, axis=0) / 1e-4
  assert np.all(np.abs(slope) <= 1 + 1e-6)  # Continuous, never steeper.
  for bound in (low, high):
    assert not np.isfinite(bound) or np.min(np.abs(x - bound)) < 1e-8
  inside = np.linspace(max(-5, place.lower[0]), min(5, place.upper[0]), 101)[
    :, None
  ]
  np.testing.assert_allclose(
    place.into(tf.constant(place.out_of(inside))), inside, atol=1e-12
  )


def test_the_box_leaves_the_middle_alone():
  x = np.array([[0.3, -0.2]])
  np.testing.assert_array_equal(bounds.Box((-1, 2), 2).into(x), x)


@pytest.mark.parametrize(
  ('box', 'message'),
  [
    ((1, 0), 'lower < upper'),
    ((0,), r'must be \(lower, upper\)'),
    (([0, 0, 0], 1), r'shape \(2,\)'),
  ],
)
def test_wrong_bounds(box, message):
  with pytest.raises(ValueError, match=message):
    CMAES(np.zeros(2) + 0.5, 1, bounds=box)


def test_x0_outside_the_bounds():
  with pytest.raises(ValueError, match='x0 must lie within the bounds'):
    CMAES(np.zeros(2), 1, bounds=(1, 2))


def test_a_minimum_on_the_bound():
  es = CMAES([1.5, 1.0], 0.5, bounds=([0.5, None], 2), seed=4)
  while not es.stop():
    x = es.ask()
    assert np.all(x[:, 0] >= 0.5) and np.all(x <= 2)
    es.tell(x, sphere(x))
  np.testing.assert_allclose(es.result.xbest, [0.5, 0], atol=1e-4)
  np.testing.assert_allclose(es.mean, [0.5, 0], atol=1e-4)


def test_restarts_with_growing_populations():
  options = {'maxfevals': 100, 'maxiter': 5, 'ftarget': -1}
  found = fmin(objectives.sphere, np.ones(2), 1, options=options)
  assert [run.popsize for run in found.runs] == [6, 12, 24]
  costs = [run.result.evaluations for run in found.runs]
  assert costs == [30, 60, 24]  # The budget is that of all runs together.
  assert found.evaluations == sum(costs)
  best = min(found.runs, key=lambda run: run.result.fbest).result
  assert found.fbest == best.fbest
  np.testing.assert_array_equal(found.xbest, best.xbest)


def test_restarts_end_at_the_target_and_have_own_seeds():
  starts = []

  def x0(run):
    starts.append(run)
    return np.full(2, 1.0)

  options = {'ftarget': 1e-2, 'maxiter': 1}
  found = fmin(
    objectives.sphere, x0, 0.1, 4, incpopsize=1, seed=3, options=options
  )
  assert starts == list(range(5)) == list(range(len(found.runs)))
  assert len({run.result.fbest for run in found.runs}) == 5
  options = {'ftarget': 1e9}
  assert len(fmin(objectives.sphere, x0, 0.1, options=options).runs) == 1


def test_bipop_spends_as_much_on_small_populations():
  plan = restarts._Plan(2.0, 9, 2, True, seed=0)
  spent, sizes = {True: 0, False: 0}, []
  for i in range(200):
    size, sigma, cap, is_small = plan.next(10)
    cost = min(100 * size, cap)
    plan.account(cost, is_small)
    if is_small:
      assert 0.02 <= sigma <= 2 and 10 <= size <= max(10, sizes[-1] / 2)
      assert cap == 100 * sizes[-1] / 2
    else:
      assert sigma == 2 and cap == math.inf
      sizes.append(size)
    if i:
      spent[is_small] += cost
    if len(sizes) == 7:
      break
  assert sizes == [10 * 2**i for i in range(7)]
  # A large run starts once the small ones have cost as much.
  assert spent[False] - 100 * sizes[-1] <= spent[True] <= spent[False]


def test_without_bipop_all_runs_are_large():
  plan = restarts._Plan(2.0, 3, 3, False, seed=0)
  sizes = []
  for _ in range(4):
    size, sigma, _, is_small = plan.next(6)
    plan.account(100, is_small)
    sizes.append(size)
    assert sigma == 2 and not is_small
  assert sizes == [6, 18, 54, 162]


def test_wrong_restarts():
  with pytest.raises(ValueError, match='restarts must be .*at least 0, got -1'):
    fmin(objectives.sphere, np.ones(2), 1, restarts=-1)
