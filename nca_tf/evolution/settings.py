"""Constants of CMA-ES: Hansen, The CMA evolution strategy: a tutorial (2023).

arXiv:1604.00772v2, table 1. Everything is computed in Python floats, once.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from nca_tf import checks

LARGEST_POPSIZE = 1 << 24  # Beyond all use, and its weights fit the memory.


@dataclasses.dataclass(frozen=True, eq=False)
class Settings:
  """Static constants of one search; made by `Settings.make`."""

  n: int  # dimension of the search space
  popsize: int  # candidates per generation
  mu: int  # parents: how many of the best candidates the mean moves to
  # float64 [popsize], best rank first; the first mu sum to one, the others are
  # negative, or zero without the active update.
  weights: np.ndarray
  mueff: float  # variance-effective selection mass of the positive weights
  cs: float  # learning rate of the step size's path
  ds: float  # damping of the step size
  cc: float  # learning rate of the covariance's path
  c1: float  # learning rate of the rank-one update
  cmu: float  # learning rate of the rank-mu update
  chi_n: float  # expected length of a standard normal vector
  covariance: str  # 'full' or 'diagonal'
  dtype: str  # 'float32' or 'float64'

  @property
  def is_diagonal(self) -> bool:
    """Whether only the variances of the coordinates are learnt."""
    return self.covariance == 'diagonal'

  @classmethod
  def make(
    cls,
    n: int,
    popsize: int | None = None,
    mu: int | float | None = None,
    active: bool = True,
    covariance: str = 'full',
    dtype: str | None = None,
  ) -> Settings:
    """Fills in the tutorial's defaults.

    Args:
      n: dimension, at least 1.
      popsize: candidates per generation, at least 3; default 4 + floor(3 ln n).
      mu: parents, an int, or a share of popsize below 1; default half.
      active: whether bad candidates get negative weights.
      covariance: 'full' or 'diagonal' (Ros and Hansen, A simple modification
        in CMA-ES achieving linear time and space complexity, 2008).
      dtype: of the state; default float64 up to 100 dimensions, else float32.

    Raises:
      ValueError: an argument is out of range.
    """
    n, popsize, mu = _sizes(n, popsize, mu)
    if covariance not in ('full', 'diagonal'):
      raise ValueError(
        f"covariance must be 'full' or 'diagonal', got {covariance!r}"
      )
    dtype = _dtype(dtype or ('float64' if n <= 100 else 'float32'))
    active = checks.boolean('active', active)
    raw, mueff, mueff_minus = _raw_weights(popsize, mu)
    c1 = 2 / ((n + 1.3) ** 2 + mueff)
    cmu = 2 * (1 / 4 + mueff + 1 / mueff - 2) / ((n + 2) ** 2 + mueff)
    if covariance == 'diagonal':
      c1 = min(c1 * ((n + 2) / 3), 0.5)
      cmu *= (n + 2) / 3
    cmu = min(1 - c1, cmu)
    cs = (mueff + 2) / (n + mueff + 5)
    return cls(
      n=n,
      popsize=popsize,
      mu=mu,
      weights=_weights(raw, mu, n, c1, cmu, mueff, mueff_minus, active),
      mueff=mueff,
      cs=cs,
      ds=1 + 2 * max(0, math.sqrt((mueff - 1) / (n + 1)) - 1) + cs,
      cc=(4 + mueff / n) / (n + 4 + 2 * mueff / n),
      c1=c1,
      cmu=cmu,
      chi_n=math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2)),
      covariance=covariance,
      dtype=dtype,
    )


def _dtype(dtype):
  """The name of a type that NumPy or TensorFlow knows."""
  dtype = getattr(dtype, 'name', dtype)  # Also tf.float32 and the like.
  try:
    name = np.dtype(dtype).name
  except (TypeError, ValueError):
    name = repr(dtype)
  if name not in ('float32', 'float64'):
    raise ValueError(f'dtype must be float32 or float64, got {name}')
  return name


def _sizes(n, popsize, mu):
  """Checked n, popsize and mu as ints."""
  n = checks.integer('n', n, 1)
  if popsize is None:
    popsize = 4 + int(3 * math.log(n))
  popsize = checks.integer('popsize', popsize, 3, LARGEST_POPSIZE)
  if mu is None:
    return n, popsize, popsize // 2
  try:
    return n, popsize, checks.integer('mu', mu, 1, popsize)
  except ValueError:
    pass
  try:
    share = checks.real('mu', mu, above=0, below=1)
  except ValueError:
    raise ValueError(
      'mu must be a share between 0 and 1, or an integer from 1 to popsize '
      f'{popsize}, got {mu!r}'
    ) from None
  return n, popsize, max(1, round(share * popsize))


def _raw_weights(popsize, mu):
  """w'_i of equation 49, with the effective masses of both signs."""
  # With mu = popsize / 2 this is the tutorial's ln((popsize + 1) / 2) - ln i.
  middle = (popsize + 1) / 2 if mu == popsize // 2 else mu + 1 / 2
  raw = math.log(middle) - np.log(np.arange(1, popsize + 1))

  def mass(part):
    squares = np.sum(part**2)
    return float(np.sum(part) ** 2 / squares) if squares else 0.0

  return raw, mass(raw[:mu]), mass(raw[mu:])


def _weights(raw, mu, n, c1, cmu, mueff, mueff_minus, active):
  """Equation 53: the negative weights keep the covariance definite."""
  weights = np.zeros_like(raw)
  weights[:mu] = raw[:mu] / np.sum(raw[:mu])
  if not active or cmu <= 0:
    return weights
  negative = np.minimum(raw[mu:], 0)
  total = -np.sum(negative)
  if total > 0:
    bound = min(
      1 + c1 / cmu,  # Equation 50.
      1 + 2 * mueff_minus / (mueff + 2),  # Equation 51.
      (1 - c1 - cmu) / (n * cmu),  # Equation 52.
    )
    weights[mu:] = negative * max(0, bound) / total
  return weights
