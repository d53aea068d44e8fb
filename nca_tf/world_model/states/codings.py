"""Two codings of integer states: a model's inputs and its predictions.

'mixture': scaled integers in, a mixture of Gaussians over each scaled integer
out, as MDN-RNNs do (Bishop 1994). 'categorical': one-hot in, logits out.
Letters: N components, K Gaussians, C classes.
"""

import keras
import numpy as np
from keras import ops

from nca_tf import checks
from nca_tf.world_model import mixture
from nca_tf.world_model.distributions import tfd
from nca_tf.world_model.states import layout as layout_lib

_SCALE = 10.0  # Integers are divided by it.
_HALF = 0.5 / _SCALE
_FLOOR = 0.01  # Least deviation: a tenth of an integer.
_SHARPNESS = 4.0  # Initial logit of the present value.
_TINY = 1e-6


class MixtureCoding:
  """Scaled integers, and mixtures around the present ones.

  An output is K times a weight's logit, a step from the present value, and a
  deviation.
  """

  def __init__(self, layout: layout_lib.Layout, components: int = 5):
    """Takes the layout, and K >= 1; ValueError for another K."""
    self._components = checks.integer('components', components, 1)
    self._limits = layout.limits.astype(np.float32)
    self._normal = tfd.Normal(0.0, 1.0)

  def bias(self, group: layout_lib.Group) -> np.ndarray:
    """Initial outputs [3 K]: the present value, and steps of all sizes."""
    steps = np.zeros(self._components)
    reach = (group.classes - 1) / _SCALE
    steps[1:] = np.linspace(-reach, reach, self._components + 1)[1:-1]
    logits = np.zeros(self._components)
    logits[0] = _SHARPNESS
    deviation = np.full(self._components, np.log(np.expm1(0.1)))
    return np.concatenate([logits, steps, deviation])

  def read(self, group: layout_lib.Group, values):
    """Integers [..., n] -> inputs [..., n, 1]."""
    del group
    return ops.cast(values, 'float32')[..., None] / _SCALE

  def skip(self, group: layout_lib.Group):
    """None: outputs are steps from the present value, without such weights."""
    del group

  def parameters(self, values, outputs):
    """Mixtures over the next values, of values and outputs of all groups.

    Args:
      values: [..., N] present integers.
      outputs: list of [..., n, 3 K], one per group.
    """
    merged = ops.concatenate(outputs, axis=-2)
    logits, steps, deviation = ops.split(merged, 3, axis=-1)
    present = ops.cast(values, 'float32')[..., None] / _SCALE
    scale = ops.softplus(deviation) + _FLOOR
    return mixture.MixtureParameters(logits, present + steps, scale)

  def nats(self, parameters, targets):
    """Negative log probability of the integers, [..., N].

    The probability is that of the interval of half an integer to either side,
    as the density at an integer has no upper bound and would dominate the loss.
    """
    x = ops.cast(targets, 'float32')[..., None] / _SCALE
    logits, loc, scale = parameters
    distance, half = -ops.absolute(x - loc) / scale, _HALF / scale
    # log(CDF(d + h) - CDF(d - h)) by the logarithms, as both may be tiny.
    upper = self._normal.log_cdf(distance + half)
    gap = self._normal.log_cdf(distance - half) - upper
    log_mass = upper + ops.log1p(-ops.exp(ops.minimum(gap, -_TINY)))
    return -ops.logsumexp(ops.log_softmax(logits) + log_mass, axis=-1)

  def decode(self, parameters):
    """The mean of the heaviest Gaussian, rounded and clipped: [..., N]."""
    best = ops.argmax(parameters.logits, axis=-1)
    loc = ops.take_along_axis(parameters.loc, best[..., None], axis=-1)[..., 0]
    whole = ops.round(loc * _SCALE)
    return ops.cast(ops.clip(whole, 0.0, self._limits), 'int32')


class CategoricalCoding:
  """One-hot values, and a logit per value of every component."""

  def __init__(self, layout: layout_lib.Layout):
    """Takes the layout."""
    self._groups = layout.groups

  def bias(self, group: layout_lib.Group) -> np.ndarray:
    """Initial outputs [C]."""
    return np.zeros(group.classes)

  def read(self, group: layout_lib.Group, values):
    """Integers [..., n] -> one-hot [..., n, C]."""
    return ops.one_hot(ops.cast(values, 'int32'), group.classes)

  def skip(self, group: layout_lib.Group) -> np.ndarray:
    """Initial weights from inputs to outputs: predicts the present value."""
    return _SHARPNESS * np.eye(group.classes)

  def parameters(self, values, outputs):
    """Log probabilities: a list of [..., n, C], one per group."""
    del values
    return [ops.log_softmax(each) for each in outputs]

  def nats(self, parameters, targets):
    """Negative log probability of the integers, [..., N]."""
    return -ops.concatenate(
      [
        ops.sum(log * self.read(group, targets[..., group.places]), axis=-1)
        for group, log in zip(self._groups, parameters, strict=True)
      ],
      axis=-1,
    )

  def decode(self, parameters):
    """The most probable values, [..., N]."""
    return ops.concatenate(
      [ops.cast(ops.argmax(log, axis=-1), 'int32') for log in parameters],
      axis=-1,
    )


class Skip(keras.layers.Layer):
  """A linear layer that starts from a given matrix and bias."""

  def __init__(self, matrix, bias, **kwargs):
    """Takes the matrix [F, O], or None for a bias alone, and the bias [O]."""
    super().__init__(**kwargs)
    self._matrix, self._bias = matrix, np.asarray(bias, np.float32)

  def build(self, input_shape):
    """Makes the weights."""

    def weight(name, values):
      return self.add_weight(
        shape=values.shape,
        initializer=lambda shape, dtype: ops.cast(values, dtype),
        name=name,
      )

    self.bias, self.kernel = weight('bias', self._bias), None
    if self._matrix is not None:
      self.kernel = weight('kernel', self._matrix)
    self.built = True

  def call(self, inputs):
    """[..., F] -> [..., O]."""
    if self.kernel is None:
      return self.bias
    return ops.matmul(inputs, self.kernel) + self.bias
