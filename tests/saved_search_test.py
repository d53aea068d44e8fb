"""The file of a search, intact, damaged, forged and of an earlier version."""

import json

import numpy as np
import pytest

from nca_tf import files
from nca_tf.evolution import CMAES
from nca_tf.evolution import saved_search

OPTIONS = {'maxfevals': 900}


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  """A search after three generations, and its file."""
  es = CMAES(
    np.full(2, 0.5), 0.3, bounds=([0, None], [2, 3]), seed=5, options=OPTIONS
  )
  for _ in range(3):
    x = es.ask()
    es.tell(x, np.sum(x**2, 1))
  path = tmp_path_factory.mktemp('saved') / 'search'
  es.save(path)
  return es, path


def are_same(one, other):
  return one.stop() == other.stop() and all(
    np.array_equal(ours, theirs)
    for ours, theirs in zip(one.state, other.state, strict=True)
  )


def test_any_flipped_byte_is_an_error_or_changes_nothing(saved, tmp_path):
  es, path = saved
  intact, damaged = path.read_bytes(), tmp_path / 'damaged'
  refused = 0
  rng = np.random.default_rng(0)
  places = rng.choice(len(intact), 600, replace=False)
  for place, flip in zip(places, rng.integers(1, 256, 600), strict=True):
    content = bytearray(intact)
    content[place] ^= flip
    damaged.write_bytes(content)
    try:
      assert are_same(CMAES.load(damaged), es), place
    except ValueError as error:
      message = str(error)
      assert message.startswith('path must be a saved search, got '), place
      assert str(damaged) in message and '\n' not in message
      refused += 1
  assert refused > 300


@pytest.mark.parametrize('length', [0, 1, 100, -1, -30])
def test_a_file_that_is_cut_off(saved, tmp_path, length):
  _, path = saved
  cut = tmp_path / 'cut'
  cut.write_bytes(path.read_bytes()[:length])
  with pytest.raises(ValueError, match='path must be a saved search'):
    CMAES.load(cut)


def test_a_missing_file_is_missing(tmp_path):
  with pytest.raises(FileNotFoundError):
    CMAES.load(tmp_path / 'nothing')


def forge(path, forged, **changes):
  """Writes a file with some entries changed; None leaves one out."""
  arrays = files.read_arrays(path)
  arguments = json.loads(str(arrays['arguments']))
  for name, value in changes.items():
    if name in arrays or value is None:
      arrays[name] = value
    else:
      arguments[name] = value
  if 'arguments' not in changes:
    arrays['arguments'] = np.array(json.dumps(arguments))
  arrays = {k: np.asarray(v) for k, v in arrays.items() if v is not None}
  files.write_arrays(forged, arrays)
  return forged


FORGERIES = [
  *[(name, None) for name in (*saved_search._STATE, 'records', 'elapsed')],
  ('arguments', None),
  ('arguments', np.array('{')),
  ('arguments', np.array('[]')),
  ('arguments', np.array('[' * 100_000)),
  ('arguments', np.array('{"x0": 3}')),
  ('arguments', np.zeros(3)),
  ('mean', np.zeros(3)),
  ('mean', np.zeros(2, np.float32)),
  ('mean', np.array([np.nan, 0])),
  ('root', np.eye(3)),
  ('root', np.ones(2)),
  ('root', np.full((2, 2), np.inf)),
  ('path_sigma', np.array([0, np.nan])),
  ('path_c', np.array([0, np.inf])),
  ('best_x', np.array([0, np.nan])),
  ('best_fitness', np.array(np.nan)),
  ('sigma', np.array(0.0)),
  ('sigma', np.array(-1.0)),
  ('sigma', np.array(np.nan)),
  ('generation', np.array(-1, np.int32)),
  ('generation', np.array(3, np.int64)),
  ('generation', np.array([3], np.int32)),
  ('evaluations', np.array(-6)),
  ('best_evaluation', np.array(19)),
  ('best_evaluation', np.array(-1)),
  ('seed', np.array(0.5)),
  ('records', np.zeros((3, 3))),
  ('records', np.zeros(4)),
  ('records', np.array('text')),
  ('records', np.full((3, 4), np.nan)),
  ('elapsed', np.array(-1.0)),
  ('elapsed', np.array(np.inf)),
  ('condition', np.array([1.0])),
  ('condition', np.array([0.5, 1])),
  ('condition', np.array([1, np.nan])),
  ('condition', np.array([1, 0.5])),
  ('x0', [0.5, 'a']),
  ('x0', [0.5, 9]),
  ('x0', [0.5, float('nan')]),
  ('x0', [0.5, 0.5, 0.5]),
  ('sigma0', 0),
  ('popsize', '6'),
  ('popsize', 10**12),
  ('mu', -1),
  ('bounds', [1]),
  ('seed', 'five'),
  ('dtype', 'float32'),
  ('dtype', 'int8'),
  ('covariance', 'limited'),
  ('covariance', 'diagonal'),
  ('options', {'tolsun': 1}),
  ('options', 3),
  ('new', 1),
]


@pytest.mark.parametrize(('name', 'value'), FORGERIES)
def test_every_field_is_checked(saved, tmp_path, name, value):
  _, path = saved
  forged = forge(path, tmp_path / 'forged', **{name: value})
  with pytest.raises(ValueError, match='path must be a saved search') as caught:
    CMAES.load(forged)
  assert len(str(caught.value)) < 300 + len(str(forged))


def test_what_else_a_file_holds_is_ignored(saved, tmp_path):
  es, path = saved
  arrays = files.read_arrays(path) | {'remark': np.array('by hand')}
  files.write_arrays(tmp_path / 'more', arrays)
  assert are_same(CMAES.load(tmp_path / 'more'), es)


def test_files_of_earlier_versions(saved, tmp_path):
  # They kept the arguments as given: floats for integers, None in the bounds,
  # no size of the population.
  es, path = saved
  old = forge(
    path,
    tmp_path / 'old',
    popsize=6.0,
    mu=3.0,
    active=1,
    bounds=[[0, None], [2, 3]],
    options={'maxfevals': 900, 'maxiter': None},
  )
  again = CMAES.load(old)
  assert are_same(again, es)
  np.testing.assert_array_equal(again.ask(), es.ask())
