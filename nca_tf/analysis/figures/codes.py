"""What an M over discrete codes predicts: how sure it is, and which it uses."""

import math

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from nca_tf.analysis import canvas


def code_shares(shares) -> Figure:
  """Entropy of the predicted codes, and how often each class is expected.

  Args:
    shares: [S, G, C] probabilities of C classes of G codes, at S steps.

  Raises:
    ValueError: shares that are not of this shape or do not sum to 1 over C.
  """
  shares = np.asarray(shares, np.float64)
  if shares.ndim != 3 or not shares.size:
    raise ValueError(f'shares must be of shape [S, G, C], got {shares.shape}')
  if not np.allclose(shares.sum(-1), 1, atol=1e-3):
    raise ValueError('shares must sum to 1 over the last axis')
  most = math.log(shares.shape[-1])
  figure = canvas.new_figure(1000, 340)
  entropy, use = figure.subplots(1, 2)
  nats = -(shares * np.log(np.maximum(shares, 1e-12))).sum(-1)
  entropy.hist(
    np.maximum(nats, 0).ravel(),
    np.linspace(0, max(most, 0.1), 50),
    color=canvas.BLUE,
    alpha=0.8,
  )
  entropy.axvline(most, color=canvas.GREY, ls='--', lw=1.5)
  canvas.clean(
    entropy,
    'How sure M is of the next codes',
    f'entropy, nats (dashed: log {shares.shape[-1]})',
    'steps x codes',
  )
  entropy.yaxis.set_major_formatter(ticker.EngFormatter(sep=''))
  # The most frequent class of each code first: what is left unused shows.
  mean = -np.sort(-shares.mean(0), axis=1)
  picture = use.imshow(mean.T, aspect='auto', cmap='viridis', vmin=0)
  canvas.clean(
    use, 'Classes in use', 'code', 'class, the most frequent one first'
  )
  figure.colorbar(picture, ax=use, label='mean probability')
  return figure
