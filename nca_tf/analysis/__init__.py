"""What was learned: intervals, classification measures, tables, pictures.

NumPy, matplotlib and Pillow only. The pictures are not exported here, so that
numbers alone do not wait for matplotlib:
`from nca_tf.analysis import figures, memory_trace, animation`.

Letters in shape comments: T steps, D latent dimensions, K mixture components
or pictures, N memory slots, W word size, R read heads, H and W height and
width of a picture, S predictions.
"""

from nca_tf.analysis.classification import PrecisionRecall
from nca_tf.analysis.classification import pooled_roc_auc
from nca_tf.analysis.classification import precision_recall_at
from nca_tf.analysis.classification import roc_auc
from nca_tf.analysis.classification import roc_curve
from nca_tf.analysis.intervals import Interval
from nca_tf.analysis.intervals import bootstrap_difference
from nca_tf.analysis.intervals import bootstrap_mean
from nca_tf.analysis.intervals import bootstrap_nested
from nca_tf.analysis.intervals import bootstrap_statistic
from nca_tf.analysis.table import Table

__all__ = [
  'Interval',
  'PrecisionRecall',
  'Table',
  'bootstrap_difference',
  'bootstrap_mean',
  'bootstrap_nested',
  'bootstrap_statistic',
  'pooled_roc_auc',
  'precision_recall_at',
  'roc_auc',
  'roc_curve',
]
