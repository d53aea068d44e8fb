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
  places = {group.name: group.places for group in layout.groups}
  places['all'] = scored
  places['position'] = [layout.find(name).start for name in ('row', 'column')]
  sums = {}

  def add(name, values, counts):
    pair = [np.bincount(game, each, games) for each in (values, counts)]
    sums[name] = np.stack(pair, -1)

  one = living.astype(np.float64)
  add('wrong', (~right[:, scored]).sum(1) * one, one)
  add('exact', right[:, scored].all(1) * one, one)
  if nats is not None:
    add('nll', nats[:, scored].sum(1) * one, one)
  for name in GROUPS:
    part = right[:, places[name]]
    share = part.all(1) if name == 'position' else part.mean(1)
    count = np.ones(len(game)) if name == 'alive' else one
    add(f'right/{name}', share * count, count)
  changed = (truth != present) & living[:, None]
  for name in CHANGED:
    part = changed[:, places[name]]
    hits = (part & right[:, places[name]]).sum(1)
    add(f'changed/{name}', hits, part.sum(1))
  return sums


def ratio(seeds: Sequence) -> intervals.Interval:
  """A measure, [G, 2] sums and counts of each seed, with its 95 % interval."""
  return _resample([seeds], lambda x: x)


def difference(seeds: Sequence, others: Sequence) -> intervals.Interval:
  """Difference of a measure of two predictors of the same games, paired."""
  return _resample([seeds, others], lambda x, y: x - y)


def share_of_oracle_gap(seeds, worst, best) -> intervals.Interval:
  """Share of the gap from worst to best that is closed: (w - x) / (w - b)."""
  return _resample([seeds, worst, best], lambda x, w, b: (w - x) / (w - b))


def _resample(measures, statistic):
  """Resamples seeds and their games, the same ones for all measures."""
  rng = np.random.default_rng(0)
  stacked = [
    np.stack(seed, 1).astype(float) for seed in zip(*measures, strict=True)
  ]  # one [G, measures, 2] per seed
  totals = sum(part.sum(0) for part in stacked)
  value = statistic(*(totals[:, 0] / totals[:, 1]))
  drawn = np.zeros((RESAMPLES, *totals.shape))
  chosen = rng.integers(len(stacked), size=(RESAMPLES, len(stacked)))
  for place in range(len(stacked)):
    for number in range(RESAMPLES):
      part = stacked[chosen[number, place]]
      again = rng.integers(len(part), size=len(part))
      weights = np.bincount(again, minlength=len(part))
      drawn[number] += np.tensordot(weights, part, 1)
  with np.errstate(invalid='ignore', divide='ignore'):
    draws = statistic(*(drawn[..., 0] / drawn[..., 1]).T)
  low, high = np.nanquantile(draws, [0.025, 0.975])
  return intervals.Interval(float(value), float(low), float(high))
