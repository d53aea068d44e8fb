"""The weights of the least validation loss, kept while a model learns on.

Prechelt, Early Stopping - But When? (1998): a model that overfits is taken from
before it did. They are variables, so that they go into the checkpoint of the
training and a resumed one goes the same way.
"""

import tensorflow as tf


class BestWeights(tf.Module):
  """A copy of a model's weights, and the loss that they had.

  best = BestWeights(model)
  best.keep(loss)  # After each evaluation.
  best.restore()  # At the end.
  """

  def __init__(self, model):
    """Begins with the weights of a built model, which nobody evaluated."""
    super().__init__()
    self._model = model
    self.loss = tf.Variable(float('inf'), trainable=False)
    self.copies = [tf.Variable(each, trainable=False) for each in model.weights]

  def keep(self, loss: float) -> None:
    """Keeps the weights as they are now, unless earlier ones were as good."""
    if loss < float(self.loss):
      self.loss.assign(loss)
      for copy, weight in zip(self.copies, self._model.weights, strict=True):
        copy.assign(weight)

  def restore(self) -> None:
    """Gives the model the weights that were kept, if any were evaluated."""
    if float(self.loss) < float('inf'):
      for copy, weight in zip(self.copies, self._model.weights, strict=True):
        weight.assign(copy)
