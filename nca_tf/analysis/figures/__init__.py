"""Pictures of how a world model learns and how well it predicts.

Every function returns a matplotlib `Figure` about 1000 pixels wide; `to_image`
makes it an array for TensorBoard and `save` a file.
"""

from nca_tf.analysis.canvas import save
from nca_tf.analysis.canvas import to_image
from nca_tf.analysis.figures.codes import code_shares
from nca_tf.analysis.figures.hazards import hazard_ratios
from nca_tf.analysis.figures.mixture import mixture_histograms
from nca_tf.analysis.figures.predictions import done_scores
from nca_tf.analysis.figures.predictions import horizon_errors
from nca_tf.analysis.figures.predictions import trajectories
from nca_tf.analysis.figures.training import learning_curves
from nca_tf.analysis.figures.training import reconstructions

__all__ = [
  'code_shares',
  'done_scores',
  'hazard_ratios',
  'horizon_errors',
  'learning_curves',
  'mixture_histograms',
  'reconstructions',
  'save',
  'to_image',
  'trajectories',
]
