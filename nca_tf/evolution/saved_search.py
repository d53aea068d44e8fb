"""The file of a search: what it was made with, its state and its records.

What is read was perhaps damaged or made by something else: every number that
the search relies on is checked before it is used.
"""

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nca_tf import checks
from nca_tf import files

_ARGUMENTS = 'arguments'
_RECORDS = ('records', 'elapsed', 'condition')
# By field of `cma_es.State`: its axes and type; None is the search's own type.
_STATE = {
  'mean': ('n', None),
  'sigma': ('', None),
  'root': ('nn', None),
  'path_sigma': ('n', None),
  'path_c': ('n', None),
  'generation': ('', np.int32),
  'evaluations': ('', np.int64),
  'best_x': ('n', None),
  'best_fitness': ('', np.float64),
  'best_evaluation': ('', np.int64),
  'seed': ('', np.int32),
}


class SavedSearch(NamedTuple):
  """What a search goes on from."""

  arguments: dict[str, Any]  # of `CMAES`
  state: dict[str, np.ndarray]  # by field of `cma_es.State`
  records: dict[str, np.ndarray]  # of `stopping.Stopping.export`


def write(path: str | os.PathLike, search: SavedSearch) -> None:
  """Writes the file, complete or not at all; `OSError` if that fails."""
  arguments = json.dumps(search.arguments, default=lambda array: array.tolist())
  arrays = {**search.state, **search.records, _ARGUMENTS: np.array(arguments)}
  files.write_arrays(path, arrays)


def read(path: str | os.PathLike) -> SavedSearch:
  """Reads a file, with what else it holds ignored.

  Raises:
    OSError: It cannot be opened.
    ValueError: It is no saved search, or damaged.
  """
  # A reader of damaged JSON may raise anything, RecursionError among it.
  try:
    arguments = _arguments(files.read_arrays(path, [_ARGUMENTS])[_ARGUMENTS])
    n = len(arguments['x0'])
    limit = 64 * n * n + (1 << 28)
    arrays = files.read_arrays(path, [*_STATE, *_RECORDS], limit)
    state = {name: arrays[name] for name in _STATE}
    _check_state(state, n, arguments)
    records = {name: arrays[name] for name in _RECORDS}
    _check_records(**records)
  except OSError:
    raise
  except Exception as error:
    raise damaged(path, error) from error
  return SavedSearch(arguments, state, records)


def damaged(path: str | os.PathLike, error: Exception) -> ValueError:
  """Returns the one error of a file that is no saved search."""
  reason = ' '.join(str(error).split()) or type(error).__name__
  reason = reason.removeprefix(f'{path} is damaged ')
  return ValueError(f'path must be a saved search, got {path}: {reason[:200]}')


def _arguments(found):
  """Returns the arguments of `CMAES`; they check themselves there."""
  if found.shape or found.dtype.kind != 'U':
    raise ValueError('arguments must be text')
  arguments = json.loads(str(found))
  if not isinstance(arguments, Mapping):
    raise ValueError('arguments must be a dictionary')
  # Earlier versions took 8.0 for 8, and anything for a boolean.
  for name in ('popsize', 'mu', 'seed'):
    value = arguments.get(name)
    if isinstance(value, float) and value.is_integer():
      arguments[name] = int(value)
  arguments['active'] = bool(arguments['active'])
  return arguments


def _check_state(state, n, arguments):
  """Compares shapes, types and ranges with those of any search."""
  is_diagonal = arguments['covariance'] == 'diagonal'
  for name, (axes, dtype) in _STATE.items():
    array = state[name]
    shape = (n,) * (1 if is_diagonal and axes == 'nn' else len(axes))
    dtype = np.dtype(dtype or arguments['dtype'])
    if array.shape != shape or array.dtype != dtype:
      raise ValueError(
        f'{name} must be of {dtype} {shape}, got {array.dtype} {array.shape}'
      )
    if name != 'best_fitness' and not np.all(np.isfinite(array)):
      raise ValueError(f'{name} must be finite')
  if not state['sigma'] > 0:
    raise ValueError(f'sigma must be positive, got {state["sigma"]}')
  if np.isnan(state['best_fitness']):
    raise ValueError('best_fitness must not be NaN')
  evaluations = checks.integer('evaluations', state['evaluations'], 0)
  checks.integer('best_evaluation', state['best_evaluation'], 0, evaluations)
  checks.integer('generation', state['generation'], 0)


def _check_records(records, elapsed, condition):
  """Compares what the stop conditions have seen with what they can have."""
  for name, array, shape in (
    ('records', records, (len(records), 4) if records.ndim else (0, 4)),
    ('elapsed', elapsed, ()),
    ('condition', condition, (2,)),
  ):
    if array.shape != shape or array.dtype != np.float64:
      raise ValueError(
        f'{name} must be of float64 {shape}, got {array.dtype} {array.shape}'
      )
    if np.any(np.isnan(array)):
      raise ValueError(f'{name} must not be NaN')
  checks.real('elapsed', elapsed, 0)
  generation, value = condition.tolist()
  checks.real('condition', generation, 0)
  if not generation.is_integer() or value < 1:
    raise ValueError(f'condition must be of a covariance, got {condition}')
