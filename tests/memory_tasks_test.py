"""The memory tasks, each answered by plain Python that reads the inputs."""

import math

import numpy as np
import pytest

from nca_tf.datasets.memory_tasks import addition
from nca_tf.datasets.memory_tasks import registry
from nca_tf.datasets.memory_tasks import tasks

LENGTHS = np.array([7, 2, 4, 7, 3, 2])


def generator(seed=0):
  return np.random.default_rng(seed)


def copied(inputs):
  """Each function answers one sequence, [T, F], with a list of words."""
  end = np.flatnonzero(inputs[:, -1])[0]
  return [(end + 1 + i, word) for i, word in enumerate(inputs[:end, :-1])]


def copied_often(inputs):
  end = np.flatnonzero(inputs[:, -1])[0]
  repeats = round(inputs[end, -1] * 10)
  words = [[*word, 0] for word in inputs[:end, :-1]] * repeats
  words.append([0] * (inputs.shape[1] - 1) + [1])
  return [(end + 1 + i, word) for i, word in enumerate(words)]


def recalled(inputs):
  starts = np.flatnonzero(inputs[:, -2])
  first, second = np.flatnonzero(inputs[:, -1])
  items = np.split(inputs[:first, :-2], starts)[1:]
  query = inputs[first + 1 : second, :-2]
  found = [
    i for i, item in enumerate(items[:-1]) if np.array_equal(item[1:], query)
  ]
  assert found
  assert not any(item[0].any() for item in items)  # The delimiter's step.
  answer = items[found[0] + 1][1:]
  return [(second + 1 + i, word) for i, word in enumerate(answer)]


def sorted_words(inputs):
  end = np.flatnonzero(inputs[:, -1])[0]
  words = sorted(inputs[:end, :-1].tolist(), key=lambda word: -word[-1])
  urgent = words[: math.ceil(0.8 * end)]
  return [(end + 1 + i, word[:-1]) for i, word in enumerate(urgent)]


def summed(inputs):
  end = np.flatnonzero(inputs[:, -1])[0]
  return [(end, [sum(np.argmax(inputs[:end], -1))])]


def summed_in_base_10(inputs):
  end = np.flatnonzero(inputs[:, -1])[0]
  total = sum(np.argmax(inputs[:end], -1))
  digits = [int(d) for d in f'{total:03d}'[::-1]]
  return [(end + 1 + i, np.eye(10)[d]) for i, d in enumerate(digits)]


ANSWERS = {
  'copy': copied,
  'repeat_copy': copied_often,
  'associative_recall': recalled,
  'priority_sort': sorted_words,
  'addition': summed,
  'addition_base10': summed_in_base_10,
}


def make(name):
  # Long words: no item of a recall occurs twice.
  return registry.make(name, bits=24, item_words=2, most_repeats=3)


@pytest.mark.parametrize('name', registry.names())
def test_targets_are_what_plain_python_answers(name):
  task = make(name)
  steps = task.steps(7)
  batch = task.draw(generator(), LENGTHS, steps + 2)
  assert batch.inputs.shape == (6, steps + 2, task.input_size)
  assert batch.targets.shape == (6, steps + 2, task.output_size)
  assert batch.inputs.dtype == batch.targets.dtype == np.float32
  for inputs, targets, answers in zip(*batch, strict=True):
    expected, asked = np.zeros_like(targets), np.zeros_like(answers)
    for step, word in ANSWERS[name](inputs):
      expected[step] = word
      asked[step] = True
    np.testing.assert_array_equal(answers, asked)
    np.testing.assert_array_equal(targets, expected)
    # Nothing is shown during the answer, but addition's own delimiter.
    if name != 'addition':
      assert not inputs[np.flatnonzero(asked)[0] :].any()


@pytest.mark.parametrize('name', registry.names())
def test_sequences_have_the_lengths_asked_for(name):
  task = make(name)
  for length in (task.SHORTEST, 5):
    batch = task.draw(generator(), np.array([length] * 40), task.steps(length))
    used = np.flatnonzero(batch.answers.any(0))[-1] + 1
    if name == 'repeat_copy':  # Steps are for the most repetitions.
      assert used == task.steps(length)
    assert (batch.answers[:, -1].all()) or name == 'repeat_copy'
  with pytest.raises(ValueError, match='steps must be at least'):
    task.draw(generator(), np.array([5, 2]), task.steps(5) - 1)
  with pytest.raises(ValueError, match='lengths must be at least'):
    task.draw(generator(), np.array([5, 0]), task.steps(5))


@pytest.mark.parametrize('name', registry.names())
def test_draws_are_a_function_of_the_generator(name):
  task = make(name)
  first, again, other = (
    task.draw(generator(seed), LENGTHS, task.steps(7)) for seed in (1, 1, 2)
  )
  np.testing.assert_array_equal(first.inputs, again.inputs)
  np.testing.assert_array_equal(first.targets, again.targets)
  assert not np.array_equal(first.inputs, other.inputs)


@pytest.mark.parametrize('name', registry.names())
def test_errors_are_zero_for_the_answer_and_count_what_is_wrong(name):
  task = make(name)
  batch = task.draw(generator(), LENGTHS, task.steps(7))
  right = batch.targets if task.KIND == 'number' else 2 * batch.targets - 1
  noise = generator(1).normal(size=right.shape) * ~batch.answers[:, :, None]
  np.testing.assert_allclose(task.errors(right + noise, batch), 0, atol=1e-6)
  row, step = 2, np.flatnonzero(batch.answers[2])[0]
  wrong = right.copy()
  if task.KIND == 'number':
    wrong[row, step] -= 3
    expected = 3
  elif task.KIND == 'classes':
    wrong[row, step] = np.roll(wrong[row, step], 1)
    expected = 1 / 3
  else:
    wrong[row, step, 0] *= -1
    expected = 1 / (batch.answers[row].sum() * task.output_size)
  errors = task.errors(wrong, batch)
  assert errors[row] == pytest.approx(expected)
  assert np.flatnonzero(np.round(errors, 6)).tolist() == [row]


def test_digits_and_queries_are_drawn_evenly():
  task = addition.Addition()
  inputs = task.draw(generator(), np.full(2000, 5), 6).inputs
  np.testing.assert_allclose(inputs[:, :5, :5].mean((0, 1)), 0.2, atol=0.02)
  task = tasks.AssociativeRecall(bits=12, item_words=1)
  batch = task.draw(generator(), np.full(900, 4), task.steps(4))
  words = batch.inputs[:, 1:8:2, :12]
  asked = (words == batch.inputs[:, 9:10, :12]).all(-1).argmax(1)
  counts = np.bincount(asked, minlength=4) / 900
  np.testing.assert_allclose(counts, [1 / 3, 1 / 3, 1 / 3, 0], atol=0.06)


def test_unknown_task_is_refused_and_foreign_sizes_are_left_aside():
  assert registry.make('addition', bits=3) == addition.Addition()
  with pytest.raises(ValueError, match='name must be one of'):
    registry.make('sorting')


def test_base_10_has_room_for_the_sum():
  task = addition.AdditionBase10()
  task.steps(110)
  with pytest.raises(ValueError, match='length must be at most 111'):
    task.steps(112)
