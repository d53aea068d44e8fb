"""Scores of predicted states: sums by game, and intervals of their ratios.

A measure is a share or a mean over steps or components, kept as a sum and a
count per game; the bootstrap resamples whole seeds and whole games.
Letters: M predictions, N components, G games.
"""

from collections.abc import Sequence

import numpy as np

from nca_tf.analysis import intervals
from nca_tf.world_model.states import layout as layout_lib

RESAMPLES = 2000
_MAPS = ('board', 'bomb strength', 'bomb life')
_SINGLES = ('row', 'column', 'ammo', 'blast strength', 'can kick')
GROUPS = ('position', *_SINGLES, 'alive', *_MAPS)
CHANGED = ('all', 'position', 'ammo', *_MAPS)


def score(
  predicted: np.ndarray,
  truth: np.ndarray,
  present: np.ndarray,
  living: np.ndarray,
  game: np.ndarray,
  layout: layout_lib.Layout,
  nats: np.ndarray | None = None,
) -> dict:
  """Sums the measures of predictions by game.

  Args:
    predicted: [M, N] integers.
    truth: [M, N] the true states.
    present: [M, N] the last state that was given to the predictor.
    living: [M] bool; where the agent has died, only `alive` counts.
    game: [M] numbers of games, 0 to G - 1.
    layout: of the states.
    nats: [M, N] of the truth, where there is a likelihood.

  Returns:
    Measure: [G, 2] sums and counts. 'wrong' (components of a state), 'exact',
    'nll' (of a state), 'right/GROUP' and 'changed/GROUP'.
  """
  games = int(game.max()) + 1
  right = predicted == truth
  scored = slice(0, layout.scored)
  sums = {}

  def add(name, values, weights):
    sums[name] = np.stack(
      [
        np.bincount(game, values * weights, games),
        np.bincount(game, weights, games),
      ],
      -1,
    )

  one = living.astype(np.float64)
  add('wrong', (~right[:, scored]).sum(1), one)
  add('exact', right[:, scored].all(1), one)
  if nats is not None:
    add('nll', nats[:, scored].sum(1), one)
  position = [layout.find(name).start for name in ('row', 'column')]
  add('right/position', right[:, position].all(1), one)
  alive = layout.find('alive').places
  add('right/alive', right[:, alive].mean(1), np.ones(len(game)))
  for name in (*_SINGLES, *_MAPS):
    add(f'right/{name}', right[:, layout.find(name).places].mean(1), one)
  changed = (truth != present) & living[:, None]
  places = {'all': scored, 'position': position}
  for name in CHANGED:
    where = places.get(name)
    where = layout.find(name).places if where is None else where
    count = changed[:, where].sum(1).astype(np.float64)
    hits = (changed & right)[:, where].sum(1)
    sums[f'changed/{name}'] = np.stack(
      [np.bincount(game, hits, games), np.bincount(game, count, games)], -1
    )
  return sums


def ratio(seeds: Sequence, seed: int = 0) -> intervals.Interval:
  """A measure with its 95 % interval over seeds and games.

  Args:
    seeds: [G, 2] sums and counts of each seed.
    seed: of the resampling.
  """
  return _resample([seeds], lambda each: each[0][0] / each[0][1], seed)


def difference(seeds: Sequence, others: Sequence, seed: int = 0):
  """Difference of a measure of two predictors of the same games, paired."""
  return _resample(
    [seeds, others],
    lambda each: each[0][0] / each[0][1] - each[1][0] / each[1][1],
    seed,
  )


def share_of_oracle_gap(
  seeds, worst, best, seed: int = 0
) -> intervals.Interval:
  """Share of the gap from worst to best that is closed: (w - x) / (w - b)."""

  def statistic(each):
    x, w, b = (sums / counts for sums, counts in each)
    return (w - x) / (w - b)

  return _resample([seeds, worst, best], statistic, seed)


def _resample(measures, statistic, seed):
  """Resamples seeds and their games, the same ones for all measures."""
  rng = np.random.default_rng(seed)
  stacked = [
    np.stack([np.asarray(measure[k], float) for measure in measures], 1)
    for k in range(len(measures[0]))
  ]  # one [G, measures, 2] per seed
  totals = sum(part.sum(0) for part in stacked)
  value = float(statistic(list(totals)))
  drawn = np.zeros((RESAMPLES, *totals.shape))
  chosen = rng.integers(len(stacked), size=(RESAMPLES, len(stacked)))
  for place in range(len(stacked)):
    for number in range(RESAMPLES):
      part = stacked[chosen[number, place]]
      again = rng.integers(len(part), size=len(part))
      weights = np.bincount(again, minlength=len(part))
      drawn[number] += np.tensordot(weights, part, 1)
  with np.errstate(invalid='ignore', divide='ignore'):
    draws = statistic([(d[:, 0], d[:, 1]) for d in np.moveaxis(drawn, 1, 0)])
  low, high = np.nanquantile(draws, [0.025, 0.975])
  return intervals.Interval(value, float(low), float(high))
