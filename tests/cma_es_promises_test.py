"""A search keeps each promise on every path: numbers, failures, copies, files.

The paths are tell, optimize, fmin and ManySearches, each with and without
bounds.
"""

import copy
import math
import pickle

import numpy as np
import pytest
import tensorflow as tf

from nca_tf.evolution import CMAES
from nca_tf.evolution import Settings
from nca_tf.evolution import bounds
from nca_tf.evolution import cma_es
from nca_tf.evolution import evaluators
from nca_tf.evolution import fmin
from nca_tf.evolution import many_searches
from nca_tf.evolution import objectives
from nca_tf.evolution import stopping

BOXES = {'free': None, 'box': (-2, 3)}
START = np.full(3, 0.5)
PROGRAMS = {box: {} for box in BOXES.values()}  # The same for all tests.


def sphere(x):
  return np.sum(np.square(x), 1)


@pytest.fixture(autouse=True)
def no_xla(monkeypatch):
  """Compiling would take most of the time; `fmin` always does."""
  monkeypatch.setitem(CMAES.optimize.__kwdefaults__, 'jit', False)


def by_tell(fitness, box, **options):
  es = CMAES(START, 0.5, bounds=box, options={'maxiter': 3} | options)
  es.share_programs(PROGRAMS[box])
  while not es.stop():
    x = es.ask()
    es.tell(x, fitness(tf.constant(x)))
  return es.result.xbest, es.result.fbest


def by_optimize(fitness, box, **options):
  es = CMAES(START, 0.5, bounds=box, options={'maxiter': 3} | options)
  es.optimize(fitness)
  return es.result.xbest, es.result.fbest


def by_fmin(fitness, box, **options):
  options = {'maxiter': 3} | options
  found = fmin(fitness, START, 0.5, 0, options=options, bounds=box)
  return found.xbest, found.fbest


def by_many(fitness, box, **options):
  searches = many_searches.ManySearches(fitness, 0.5, bounds=box, jit=False)
  found = searches.minimise([START], 0, {'maxiter': 3} | options)
  return found.x, found.best


PATHS = [by_tell, by_optimize, by_fmin, by_many]
everywhere = [
  pytest.mark.parametrize('box', BOXES.values(), ids=BOXES.keys()),
  pytest.mark.parametrize('path', PATHS),
]


def on_every_path(test):
  for mark in everywhere:
    test = mark(test)
  return test


@on_every_path
def test_integers_are_as_good_as_floats(path, box):
  def count(x):
    return tf.round(100 * objectives.sphere(x))

  x, best = path(lambda x: tf.cast(count(x), tf.int32), box)
  wanted, value = path(count, box)
  np.testing.assert_array_equal(x, wanted)
  assert best == value < 75


@pytest.mark.parametrize('path', PATHS)
@pytest.mark.parametrize(
  'fitness',
  [
    lambda x: objectives.sphere(x)[:, None],
    lambda x: tf.reduce_sum(x),
    lambda x: objectives.sphere(x)[1:],
    lambda x: tf.as_string(objectives.sphere(x)),
    lambda x: tf.complex(x, x)[:, 0],
  ],
  ids=['column', 'scalar', 'short', 'text', 'complex'],
)
def test_what_is_no_fitness_is_refused(path, fitness):
  with pytest.raises(ValueError, match='fitness must be .*'):
    path(fitness, None)


@on_every_path
def test_a_failed_candidate_is_never_the_best(path, box):
  def fitness(x):
    value = objectives.sphere(x)
    value = tf.where(x[:, 0] < 0.5, tf.constant(math.nan, x.dtype), value)
    return tf.where(x[:, 1] < 0.4, tf.constant(math.inf, x.dtype), value)

  x, best = path(fitness, box)
  assert x[0] >= 0.5 and x[1] >= 0.4
  assert best == pytest.approx(float(sphere(x[None])[0]))


@pytest.mark.parametrize('path', PATHS)
def test_nothing_but_failures_leaves_no_best(path):
  x, best = path(lambda x: math.nan * x[:, 0], (-2, 3))
  assert best == math.inf
  # `many_searches.Found` has a place even so, the start.
  if path is by_many:
    np.testing.assert_array_equal(x, START)
  else:
    assert x is None


@on_every_path
def test_minus_infinity_is_the_lowest_fitness(path, box):
  def fitness(x):
    value = objectives.sphere(x)
    lowest = tf.constant(-math.inf, x.dtype)
    return tf.where(value == tf.reduce_min(value), lowest, value)

  x, best = path(fitness, box)
  assert best == -math.inf
  assert np.all(np.isfinite(x))


@pytest.mark.parametrize('box', BOXES.values(), ids=BOXES.keys())
def test_a_candidate_that_is_not_finite_failed(box):
  def tell(change):
    es = CMAES(START, 0.5, bounds=box).share_programs(PROGRAMS[box])
    x = es.ask()
    fitness = sphere(x)
    change(x, fitness)
    es.tell(x, fitness)
    return es

  def fail(x, fitness):
    fitness[2] = math.nan

  marked = tell(fail)
  for wrong in (math.nan, math.inf, -math.inf):
    for value in (-5.0, -math.inf, math.nan):

      def spoil(x, fitness, wrong=wrong, value=value):
        x[2, 1], fitness[2] = wrong, value

      es = tell(spoil)
      assert np.all(np.isfinite(es.result.xbest))
      for ours, theirs in zip(es.state, marked.state, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
      assert es.stop() == marked.stop()


@pytest.mark.parametrize('box', BOXES.values(), ids=BOXES.keys())
@pytest.mark.parametrize('x0', [[1, math.nan], [math.inf, 1], ['1', '2'], 3])
def test_x0_must_be_finite_numbers(box, x0):
  settings = Settings.make(2)
  with pytest.raises(ValueError, match='x0 must be'):
    CMAES(x0, 0.5, bounds=box)
  with pytest.raises(ValueError, match='x0 must be'):
    cma_es.initial(settings, x0, 0.5)
  with pytest.raises(ValueError, match='x0 must be finite in float32'):
    CMAES([1e300, 1], 0.5, dtype='float32')


@pytest.mark.parametrize(
  ('box', 'dtype'),
  [
    ((0.7, None), 'float32'),
    ((None, 0.1), 'float32'),
    (([0.1, None, -0.7], [0.3, 0.3, 0]), 'float32'),
    ((0.7, 0.7001), 'float32'),
    ((0.7, 0.7001), 'float64'),
  ],
)
def test_candidates_lie_in_the_box_and_are_told_in_any_order(box, dtype):
  place = bounds.Box(box, 3)
  low = np.where(np.isfinite(place.lower), place.lower, place.upper - 1)
  x0 = low + 0.1 * np.minimum(place.upper - low, 1)
  kept, mixed = (
    CMAES(x0, 0.3, bounds=box, dtype=dtype, seed=2) for _ in range(2)
  )
  mixed.share_programs(kept.share_programs({})._graphs)
  order = np.random.default_rng(0).permutation(kept.popsize)
  for _ in range(8):
    x = kept.ask().astype(float)
    assert np.all((place.lower <= x) & (x <= place.upper))
    kept.tell(x, sphere(x))
    # Without a look at them first: as after a load.
    mixed.tell(x[order], sphere(x[order]))
    np.testing.assert_array_equal(kept.result.xbest, mixed.result.xbest)
    mixed.state = kept.state
  assert kept.countiter == mixed.countiter == 8


def test_a_box_needs_two_numbers_of_its_type():
  with pytest.raises(ValueError, match='lower < upper in float32'):
    CMAES([1.0], 0.1, bounds=(1 - 1e-10, 1 + 1e-10), dtype='float32')
  for wrong in (5, 'ab', (1, 2, 3), ('0', '1')):
    with pytest.raises(ValueError, match='bounds must be'):
      CMAES([0.5], 0.1, bounds=wrong)


def test_x_outside_the_box_is_named_in_one_line():
  es = CMAES(np.full(50, 0.5), 0.1, bounds=(0, 1))
  x = es.ask()
  x[3, 7] = 2.0
  with pytest.raises(ValueError, match=r'got 2.0 at \(3, 7\), .* 0.0 and 1.0$'):
    es.tell(x, sphere(x))
  for box in BOXES.values():
    es = CMAES(START, 0.5, bounds=box)
    with pytest.raises(ValueError, match=r'x must be of shape \(7, 3\)'):
      es.tell(es.ask()[:, :2], np.zeros(7))


SEARCH = dict(x0=START, sigma0=0.5)
PARTS = {  # Constructor, and what is right for the arguments not tried.
  'CMAES': (CMAES, SEARCH),
  'Settings': (Settings.make, {'n': 3}),
  'Options': (stopping.Options, {}),
  'fmin': (
    lambda **given: fmin(objectives.sphere, **(SEARCH | given)),
    {},
  ),
  'optimize': (
    lambda **given: CMAES(**SEARCH).optimize(objectives.sphere, **given),
    {},
  ),
  'ManySearches': (
    many_searches.ManySearches,
    {'objective': objectives.sphere, 'sigma': 0.5},
  ),
  'EpisodeEvaluator': (
    evaluators.EpisodeEvaluator,
    {'play': list, 'episodes': 1, 'seed': 0},
  ),
  'GraphEvaluator': (evaluators.GraphEvaluator, {'function': sphere}),
  'seeds': (evaluators.EpisodeEvaluator(list, 1, 0).seeds, {}),
  'rotation': (objectives.rotation, {'n': 2, 'seed': 0}),
  'BbobInstance': (
    objectives.BbobInstance.make,
    {'function': 1, 'n': 2, 'instance': 1},
  ),
  'run': (
    lambda generations: cma_es.run(
      Settings.make(3),
      cma_es.initial(Settings.make(3), START, 1),
      objectives.sphere,
      generations,
    ),
    {},
  ),
}
INTEGERS = [
  ('CMAES', 'popsize'),
  ('CMAES', 'seed'),
  ('Settings', 'n'),
  ('Settings', 'popsize'),
  ('fmin', 'restarts'),
  ('fmin', 'popsize'),
  ('fmin', 'seed'),
  ('optimize', 'iterations'),
  ('optimize', 'every'),
  ('EpisodeEvaluator', 'episodes'),
  ('EpisodeEvaluator', 'seed'),
  ('EpisodeEvaluator', 'retries'),
  ('seeds', 'generation'),
  ('rotation', 'n'),
  ('rotation', 'seed'),
  ('BbobInstance', 'function'),
  ('BbobInstance', 'n'),
  ('BbobInstance', 'instance'),
  ('run', 'generations'),
]
REALS = [
  ('CMAES', 'sigma0'),
  ('CMAES', 'mu'),
  ('Settings', 'mu'),
  ('fmin', 'sigma0'),
  ('fmin', 'incpopsize'),
  ('ManySearches', 'sigma'),
  ('Options', 'ftarget'),
  ('Options', 'maxfevals'),
  ('Options', 'tolflatfitness'),
  ('Options', 'tolstagnation'),
]
BOOLEANS = [
  ('CMAES', 'active'),
  ('Settings', 'active'),
  ('fmin', 'bipop'),
  ('optimize', 'jit'),
  ('ManySearches', 'jit'),
  ('GraphEvaluator', 'jit'),
]


@pytest.mark.parametrize(
  ('part', 'name', 'wrong'),
  [(*pair, wrong) for pair in INTEGERS for wrong in (2.5, True, '3', math.nan)]
  + [(*pair, wrong) for pair in REALS for wrong in (True, '3', math.nan)]
  + [(*pair, wrong) for pair in BOOLEANS for wrong in (2, 'on')],
)
def test_what_is_no_such_number_is_named(part, name, wrong):
  make, right = PARTS[part]
  with pytest.raises(ValueError, match=f'^{name} must be .*{wrong!r}'):
    make(**{**right, name: wrong})


def test_numbers_of_numpy_are_plain_in_the_file(tmp_path):
  es = CMAES(
    list(np.float32([1, 2])),
    np.float32(0.3),
    popsize=np.int64(8),
    mu=np.float32(0.5),
    active=np.bool_(True),
    bounds=(np.float32(-3), [None, np.int8(9)]),
    seed=np.uint8(3),
    dtype=np.float32,
    options={'maxfevals': np.int32(500), 'tolx': np.array(1e-9)},
  )
  plain = CMAES(
    [1, 2],
    float(np.float32(0.3)),
    popsize=8,
    mu=4,
    bounds=(-3, [None, 9]),
    seed=3,
    dtype='float32',
    options={'maxfevals': 500, 'tolx': 1e-9},
  )
  es.save(tmp_path / 'search')
  np.testing.assert_array_equal(es.ask(), plain.ask())
  np.testing.assert_array_equal(
    CMAES.load(tmp_path / 'search').ask(), plain.ask()
  )
  assert type(es.stop()) is dict and es.settings.mu == 4


@pytest.mark.parametrize('sigma0', [0.1, 1e-50, 1e39, np.float32(0.1)])
def test_the_first_step_is_the_one_given(sigma0):
  assert CMAES(START, sigma0).sigma == float(sigma0)


@pytest.mark.parametrize('sigma0', [1e-50, 1e-40, 1e39])
def test_a_first_step_that_the_type_cannot_hold(sigma0):
  with pytest.raises(ValueError, match='sigma0 must be from .* in float32'):
    CMAES(START, sigma0, dtype='float32')


def test_a_number_of_python_keeps_its_digits():
  settings = Settings.make(2)
  state = cma_es.initial(settings, [0.1, 0.2], 0.1)
  np.testing.assert_array_equal(state.mean, [0.1, 0.2])
  # In float32 these are equal, and the generation would be flat.
  x = cma_es.ask(settings, state)
  fitness = [1 + 1e-12 * i for i in (3, 1, 2, 5, 4, 6)]
  new = cma_es.tell(settings, state, x, fitness)
  assert float(new.best_fitness) == fitness[1]
  assert not np.array_equal(new.mean, state.mean)


COPIES = {
  'pickle': lambda thing: pickle.loads(pickle.dumps(thing)),
  'deepcopy': copy.deepcopy,
}


@pytest.mark.parametrize('clone', COPIES.values(), ids=COPIES.keys())
def test_a_copy_of_a_search_goes_on(clone):
  es = CMAES(START, 0.5, bounds=(-2, 3))
  before = clone(es)
  for _ in range(3):
    x = es.ask()
    es.tell(x, sphere(x))
  es.ask()
  after = clone(es)
  assert before.countiter == 0 and after.countiter == 3
  for _ in range(2):
    for search in (es, after):
      x = search.ask()
      search.tell(x, sphere(x))
  np.testing.assert_array_equal(es.ask(), after.ask())
  assert es.stop() == after.stop()
  assert 0 < after.elapsed < 60


@pytest.mark.parametrize('clone', COPIES.values(), ids=COPIES.keys())
def test_copies_of_what_holds_searches(clone):
  searches = many_searches.ManySearches(objectives.sphere, 0.5, jit=False)
  first = searches.minimise([START], 0, {'maxiter': 4})
  again = clone(searches).minimise([START], 0, {'maxiter': 4})
  assert first.best == again.best
  evaluator = evaluators.GraphEvaluator(evaluate, jit=False)
  first = evaluator.evaluate(START[None], 2)
  again = clone(evaluator).evaluate(START[None], 2)
  assert first.fitness == again.fitness == [2.75]
  player = clone(evaluators.EpisodeEvaluator(list, 2, 0))
  assert len(player.seeds(np.int64(3))) == 2


def evaluate(x, generation):
  return objectives.sphere(x) + tf.cast(generation, x.dtype)
