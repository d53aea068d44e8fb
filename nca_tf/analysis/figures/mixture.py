"""What M's mixture head predicts: weights, widths, and the latents."""

import math

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from nca_tf.analysis import canvas


def mixture_histograms(weights, sigmas, latents) -> Figure:
  """Entropy of the weights, width of the components, density of latents.

  Args:
    weights: [S, D, K] mixture weights, which sum to 1 over K.
    sigmas: [S, D, K] standard deviations, positive.
    latents: [S, D] latents; their prior is standard normal.

  Raises:
    ValueError: shapes that do not fit, weights that do not sum to 1, sigmas
      that are not positive, or numbers that are not finite.
  """
  weights, sigmas = np.asarray(weights, np.float64), np.asarray(sigmas)
  latents = np.asarray(latents, np.float64)
  if weights.ndim != 3 or weights.shape != sigmas.shape:
    raise ValueError(
      'weights and sigmas must be of one shape [S, D, K], got'
      f' {weights.shape} and {sigmas.shape}'
    )
  if not np.allclose(weights.sum(-1), 1, atol=1e-3):
    raise ValueError('weights must sum to 1 over the last axis')
  if not (np.all(sigmas > 0) and np.all(np.isfinite(sigmas))):
    raise ValueError('sigmas must be positive and finite')
  if not (latents.size and np.all(np.isfinite(latents))):
    raise ValueError('latents must be finite numbers, at least one')
  figure = canvas.new_figure(1000, 340)
  entropy, width, values = figure.subplots(1, 3)
  draw_entropy(entropy, weights, 'Mixture weights', 'steps x dimensions')
  logs = np.log10(np.maximum(sigmas.ravel(), 1e-12))
  bins = np.logspace(logs.min() - 0.01, logs.max() + 0.01, 50)
  width.hist(
    sigmas.ravel(), bins, weights=weights.ravel(), color=canvas.GREEN, alpha=0.8
  )
  width.set_xscale('log')
  few = logs.max() - logs.min() < 1.5
  subs = (1, 2, 5) if few else (1,)
  width.xaxis.set_major_locator(ticker.LogLocator(subs=subs, numticks=5))
  width.xaxis.set_major_formatter(ticker.FormatStrFormatter('%g'))
  width.xaxis.set_minor_formatter(ticker.NullFormatter())
  width.axvline(1, color=canvas.GREY, ls='--', lw=1.5)
  canvas.clean(
    width, 'Component width', 'sigma (dashed: the prior, 1)', 'mixture weight'
  )
  limit = max(4.0, float(np.quantile(np.abs(latents), 0.999)))
  grid = np.linspace(-limit, limit, 201)
  values.hist(
    np.clip(latents.ravel(), -limit, limit),
    np.linspace(-limit, limit, 61),
    density=True,
    color=canvas.PURPLE,
    alpha=0.8,
  )
  normal = np.exp(-np.square(grid) / 2) / math.sqrt(2 * math.pi)
  values.plot(grid, normal, color='black', lw=1.5, label='standard normal')
  values.legend(fontsize=9, frameon=False, loc='upper right')
  canvas.clean(values, 'Latents', 'z, all dimensions', 'density')
  values.set_ylim(top=1.25 * values.get_ylim()[1])
  return figure


def draw_entropy(axes, weights, title: str, count: str) -> None:
  """Histogram of the entropy of weights [..., K]; `count` names its heights."""
  logs = np.log(np.maximum(weights, 1e-12))
  nats = np.maximum(-(weights * logs).sum(-1).ravel(), 0)
  limit = max(math.log(weights.shape[-1]), 0.1)
  axes.hist(nats, np.linspace(0, limit, 50), color=canvas.BLUE, alpha=0.8)
  most = math.log(weights.shape[-1])
  axes.axvline(most, color=canvas.GREY, ls='--', lw=1.5)
  canvas.clean(
    axes, title, f'entropy, nats (dashed: log {weights.shape[-1]})', count
  )
  axes.yaxis.set_major_formatter(ticker.EngFormatter(sep=''))
