"""Tasks that need a memory: copy, repeat copy, associative recall, sorting.

Graves et al., Neural Turing Machines (2014), arXiv:1410.5401, section 4; the
Differentiable Neural Computer is tested on the same and harder ones in Nature
538 (2016). Sums of numbers are in `addition`. NumPy only: a batch is a function
of a Generator and of the sequences' lengths.

Letters in shape comments: B batch, T time steps, F inputs, O outputs, L
longest sequence of a batch.
"""

import dataclasses
from typing import ClassVar, NamedTuple

import numpy as np


class Batch(NamedTuple):
  """Sequences of different lengths, padded with zeros at the end."""

  inputs: np.ndarray  # [B, T, F], float32
  targets: np.ndarray  # [B, T, O], float32
  answers: np.ndarray  # [B, T], bool: the steps that expect an answer


class Task:
  """Base class of the tasks, which define `steps` and `_draw`.

      task = Copy()
      lengths = rng.integers(1, 9, size=32)
      batch = task.draw(rng, lengths, task.steps(8))
      errors = task.errors(outputs, batch)  # [32]

  Attributes:
    input_size: F.
    output_size: O.
    KIND: of the targets: 'bits', each predicted by a logit; 'number',
      predicted by the output itself; 'classes', one-hot, predicted by logits.
    SHORTEST: the shortest possible length.
    UNIT: of `errors`.
    LENGTH: the unit of a length.
  """

  KIND: ClassVar[str] = 'bits'
  SHORTEST: ClassVar[int] = 1
  UNIT: ClassVar[str] = 'share of wrong bits'
  LENGTH: ClassVar[str] = 'words'

  def draw(self, rng: np.random.Generator, lengths, steps: int) -> Batch:
    """Draws one sequence per length.

    Args:
      rng: where the random numbers come from.
      lengths: [B] integers of at least SHORTEST.
      steps: T, at least `self.steps` of the longest.

    Raises:
      ValueError: a length or `steps` is too small.
    """
    lengths = np.asarray(lengths)
    if lengths.ndim != 1 or not len(lengths) or lengths.min() < self.SHORTEST:
      raise ValueError(
        f'lengths must be at least {self.SHORTEST} each, got {lengths.tolist()}'
      )
    longest = self.steps(int(lengths.max()))
    if steps < longest:
      raise ValueError(f'steps must be at least {longest}, got {steps}')
    return self._draw(rng, lengths, steps)

  def errors(self, outputs, batch: Batch) -> np.ndarray:
    """Error of each sequence in UNIT, [B].

    Args:
      outputs: [B, T, O], in the form that KIND gives.
      batch: the sequences that were given.
    """
    wrong = (np.asarray(outputs) > 0) != (batch.targets > 0.5)
    wrong = (wrong & batch.answers[:, :, None]).sum((1, 2))
    return wrong / (batch.answers.sum(1) * self.output_size)


@dataclasses.dataclass(frozen=True)
class WordTask(Task):
  """Base class of the tasks on words of bits.

  Attributes:
    bits: Of a word.
    MARKS: inputs beside the bits, such as delimiters.
    END_MARKS: outputs beside the bits.
  """

  MARKS: ClassVar[int] = 1
  END_MARKS: ClassVar[int] = 0
  bits: int = 8

  @property
  def input_size(self) -> int:
    """Bits and marks."""
    return self.bits + self.MARKS

  @property
  def output_size(self) -> int:
    """Bits and end marks."""
    return self.bits + self.END_MARKS


@dataclasses.dataclass(frozen=True)
class Copy(WordTask):
  """Random words, a delimiter, then the same words again (NTM, section 4.1).

  The last input is the delimiter. Inputs are zero during the answer.
  """

  def steps(self, length: int) -> int:
    """Words, delimiter, words."""
    return 2 * length + 1

  def _draw(self, rng, lengths, steps):
    words = _bits(rng, lengths, self.bits)
    time = np.arange(steps) - lengths[:, None]  # [B, T], 0 at the delimiter
    shown, _ = take(words, lengths, np.arange(steps))
    return Batch(_beside(shown, time == 0), *take(words, lengths, time - 1))


@dataclasses.dataclass(frozen=True)
class RepeatCopy(WordTask):
  """Copy a given number of times, then an end marker (NTM, section 4.2).

  The delimiter's input is a tenth of the number of repetitions, so that it is
  of the order of 1; the last output is the end marker.
  """

  END_MARKS: ClassVar[int] = 1
  most_repeats: int = 4

  def steps(self, length: int) -> int:
    """Words, delimiter, most repetitions of the words, end marker."""
    return length + 1 + self.most_repeats * length + 1

  def _draw(self, rng, lengths, steps):
    words = _bits(rng, lengths, self.bits)
    repeats = rng.integers(1, self.most_repeats + 1, size=len(lengths))
    shown, _ = take(words, lengths, np.arange(steps))
    place = np.arange(steps) - lengths[:, None] - 1  # -1 at the delimiter
    delimiter = (place == -1) * repeats[:, None] / 10
    again, answers = take(words, lengths, place % lengths[:, None])
    end = (repeats * lengths)[:, None]
    answers &= (place >= 0) & (place < end)
    targets = _beside(again * answers[:, :, None], place == end)
    return Batch(_beside(shown, delimiter), targets, answers | (place == end))


@dataclasses.dataclass(frozen=True)
class AssociativeRecall(WordTask):
  """Items, then one of them again: which came after it? (NTM, section 4.3).

  An item is a delimiter and some words. The query is the words of any item but
  the last, between two delimiters of another kind. The answer is the words of
  the item that came after it.
  """

  SHORTEST: ClassVar[int] = 2
  LENGTH: ClassVar[str] = 'items'
  MARKS: ClassVar[int] = 2  # The items' delimiter and the query's.
  bits: int = 6
  item_words: int = 3

  def steps(self, length: int) -> int:
    """Items with delimiters, query between two delimiters, answer."""
    return length * (self.item_words + 1) + 2 * self.item_words + 2

  def _draw(self, rng, lengths, steps):
    size = self.item_words
    words = _bits(rng, lengths * size, self.bits)
    asked = rng.integers(0, lengths - 1)[:, None]  # [B, 1]
    time = np.arange(steps)
    end = lengths[:, None] * (size + 1)  # Of the items.
    item, place = time // (size + 1), time % (size + 1) - 1
    in_items = time < end
    since = time - end  # 0 and size + 1 at the query's delimiters.
    in_query = (since >= 1) & (since <= size)
    answers = (since >= size + 2) & (since < 2 * size + 2)
    showing = (in_items & (place >= 0)) | in_query
    index = np.where(in_items, item * size + place, asked * size + since - 1)
    shown, _ = take(words, lengths * size, np.where(showing, index, -1))
    index = (asked + 1) * size + since - size - 2
    targets, _ = take(words, lengths * size, np.where(answers, index, -1))
    inputs = _beside(shown, in_items & (place < 0))
    asking = (since == 0) | (since == size + 1)
    return Batch(_beside(inputs, asking), targets, answers)


@dataclasses.dataclass(frozen=True)
class PrioritySort(WordTask):
  """Words with priorities, then the most urgent in order (NTM, section 4.5).

  Priorities are uniform in [-1, 1]. The answer is the four fifths of the words
  that have the highest priorities (16 of 20 in the paper), highest first.
  """

  MARKS: ClassVar[int] = 2  # The priority and the delimiter.

  def steps(self, length: int) -> int:
    """Words, delimiter, four fifths of the words."""
    return length + 1 + int(_four_fifths(length))

  def _draw(self, rng, lengths, steps):
    words = _bits(rng, lengths, self.bits)
    priorities = rng.uniform(-1, 1, size=words.shape[:2])
    inside = np.arange(words.shape[1]) < lengths[:, None]
    order = np.argsort(np.where(inside, -priorities, 2), axis=1)
    urgent = np.take_along_axis(words, order[:, :, None], axis=1)
    shown, _ = take(_beside(words, priorities), lengths, np.arange(steps))
    time = np.arange(steps) - lengths[:, None]
    answer = take(urgent, _four_fifths(lengths), time - 1)
    return Batch(_beside(shown, time == 0), *answer)


def take(words, lengths, index):
  """Takes words of each sequence by their index.

  Args:
    words: [B, L, D].
    lengths: [B], number of words of each sequence.
    index: [B, T], or [T] for the same of all.

  Returns:
    Words [B, T, D], and a mask [B, T] of the indices within the sequence;
    elsewhere the words are zeros.
  """
  inside = (index >= 0) & (index < lengths[:, None])
  index = np.where(inside, index, 0)[:, :, None]
  chosen = np.take_along_axis(words, index, axis=1)
  return chosen * inside[:, :, None], inside


def _bits(rng, lengths, size):
  shape = (len(lengths), int(lengths.max()), size)
  return rng.integers(0, 2, size=shape).astype(np.float32)


def _beside(words, column):
  """Appends a column [B, T] to words [B, T, D]."""
  column = np.asarray(column, np.float32)[:, :, None]
  return np.concatenate([words.astype(np.float32), column], axis=2)


def _four_fifths(lengths):
  """Rounded up, so that there is always an answer."""
  return -(-4 * lengths // 5)
