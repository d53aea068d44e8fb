"""Sums of digits: as one number, and written in base 10.

The first is the toy task of A. Mufti's DNC in Chainer (2018,
github.com/AdeelMufti/DifferentiableNeuralComputer): trained on up to 12 terms
and tested on up to 100, where an LSTM's error grows soon after the lengths of
training.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from nca_tf.datasets.memory_tasks import tasks


@dataclasses.dataclass(frozen=True)
class Addition(tasks.Task):
  """One-hot digits and a delimiter, at which the answer is their sum.

  Digits are 0..digits-1; the toy's rows of 6 have room for 5 of them and the
  delimiter. Unlike the toy's loss, which also targets zeros before the
  delimiter, only the delimiter's output counts here.
  """

  KIND: ClassVar[str] = 'number'
  UNIT: ClassVar[str] = 'absolute error of the sum'
  LENGTH: ClassVar[str] = 'terms'
  output_size: ClassVar[int] = 1
  digits: int = 5

  @property
  def input_size(self) -> int:
    """Digits and the delimiter."""
    return self.digits + 1

  def steps(self, length: int) -> int:
    """Terms and the delimiter."""
    return length + 1

  def _draw(self, rng, lengths, steps):
    inputs, sums = _terms(rng, lengths, steps, self.digits)
    answers = np.arange(steps) == lengths[:, None]
    targets = np.where(answers, sums[:, None], 0)[:, :, None]
    return tasks.Batch(inputs, targets.astype(np.float32), answers)

  def errors(self, outputs, batch):
    """|output - sum| at the delimiter, [B]."""
    missed = np.abs(np.asarray(outputs) - batch.targets)[:, :, 0]
    return (missed * batch.answers).sum(1)


@dataclasses.dataclass(frozen=True)
class AdditionBase10(tasks.Task):
  """One-hot decimal digits, a delimiter; then the sum's digits, units first.

  The sum has a fixed number of places, padded with zeros.
  """

  KIND: ClassVar[str] = 'classes'
  UNIT: ClassVar[str] = 'share of wrong digits'
  LENGTH: ClassVar[str] = 'terms'
  input_size: ClassVar[int] = 11  # Ten digits and the delimiter.
  output_size: ClassVar[int] = 10
  places: int = 3

  def steps(self, length: int) -> int:
    """Terms, delimiter, places; `ValueError` if the sum may need more."""
    if 9 * length >= 10**self.places:
      raise ValueError(
        f'length must be at most {(10**self.places - 1) // 9} terms for '
        f'{self.places} places, got {length}'
      )
    return length + 1 + self.places

  def _draw(self, rng, lengths, steps):
    inputs, sums = _terms(rng, lengths, steps, 10)
    figures = sums[:, None] // 10 ** np.arange(self.places) % 10  # [B, places]
    figures = np.eye(10, dtype=np.float32)[figures]
    place = np.arange(steps) - lengths[:, None] - 1
    answer = tasks.take(figures, np.array([self.places]), place)
    return tasks.Batch(inputs, *answer)

  def errors(self, outputs, batch):
    """Share of wrong digits, [B]."""
    wrong = np.argmax(outputs, -1) != np.argmax(batch.targets, -1)
    return (wrong & batch.answers).sum(1) / self.places


def _terms(rng, lengths, steps, digits):
  """Inputs [B, T, digits + 1] and the sums of their terms, [B]."""
  terms = rng.integers(0, digits, size=(len(lengths), int(lengths.max())))
  terms *= np.arange(terms.shape[1]) < lengths[:, None]
  one_hot = np.eye(digits + 1, dtype=np.float32)
  inputs, _ = tasks.take(one_hot[terms], lengths, np.arange(steps))
  inputs[np.arange(len(lengths)), lengths, -1] = 1
  return inputs, terms.sum(1)
