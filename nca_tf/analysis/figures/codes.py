"""What an M over discrete codes predicts: how sure it is, and which it uses."""

import numpy as np
from matplotlib.figure import Figure

from nca_tf.analysis import canvas
from nca_tf.analysis.figures import mixture


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
  figure = canvas.new_figure(1000, 340)
  entropy, use = figure.subplots(1, 2)
  title = 'How sure M is of the next codes'
  mixture.draw_entropy(entropy, shares, title, 'steps x codes')
  # The most frequent class of each code first: what is left unused shows.
  mean = -np.sort(-shares.mean(0), axis=1)
  picture = use.imshow(mean.T, aspect='auto', cmap='viridis', vmin=0)
  canvas.clean(
    use, 'Classes in use', 'code', 'class, the most frequent one first'
  )
  figure.colorbar(picture, ax=use, label='mean probability')
  return figure
