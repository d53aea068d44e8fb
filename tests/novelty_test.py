"""What is followed and drawn of the reward for novelty in rooms."""

import types

import numpy as np
import pytest
import tensorflow as tf

from nca_tf.environments.grid_world import rooms
from nca_tf.experiments.agents import novelty

CONFIG = types.SimpleNamespace(
  env='rooms', label='ppo-rnd', cell='none', lanes=2, window=3
)
SIZE = 5  # One wall, in column 3; its door is in the last row.


@pytest.fixture
def environment():
  return rooms.Rooms(SIZE)


def follow(found, environment, windows, reward):
  """Follows windows of cells; places of each have reward(update, cell)."""
  step = tf.function(found.follow, autograph=False)
  for update, cells in enumerate(windows):
    seen = environment.observe(tf.reshape(cells, [-1]))
    seen = tf.reshape(seen, [*np.shape(cells), -1])

    def rate(observations, update=update):
      return reward(update, environment.locate(observations))

    step(tf.constant(update, tf.int64), seen, rate)


def pay(update, cell):
  return tf.cast(100 * update + cell, tf.float32)


WINDOWS = [[[0, 1, 1], [0, 0, 5]], [[0, 0, 0], [2, 2, 4]], [[1] * 3, [4] * 3]]


def test_visits_rewards_and_first_visits_of_rooms(environment):
  found = novelty.Novelty(environment, updates=3)
  follow(found, environment, WINDOWS, pay)
  assert found.every == 1
  counts = np.zeros([3, SIZE**2], int)
  for row, window in enumerate(WINDOWS):
    np.add.at(counts[row], np.ravel(window), 1)
  np.testing.assert_array_equal(found.visits, counts.cumsum(0))
  expected = 100 * np.arange(3)[:, None] + np.arange(SIZE**2)
  np.testing.assert_array_equal(found.rewards, expected)
  assert found.entered.numpy().tolist() == [0, 1]
  assert found.find_rows().tolist() == [0, 1]
  first = [0, 1, 2, 5, 6, 7, 10, 11, 12, 15, 16, 17, 20, 21, 22, 23]
  second = [4, 9, 14, 19, 24]
  np.testing.assert_allclose(
    found.find_means(),
    np.stack([expected[:, first].mean(1), expected[:, second].mean(1)], 1),
  )
  view = novelty.tables(CONFIG, found)['Intrinsic reward of rooms'].text()
  before, other = view.splitlines()[2:]
  assert before.split()[:3] == ['1', '0', '14']
  assert other.split()[:3] == ['2', '6', '4']
  assert other.split()[3:] == ['114.0000', '111.7500', '214.0000']


def test_many_updates_have_few_rows(environment, monkeypatch):
  monkeypatch.setattr(novelty, '_MOST_ROWS', 2)
  found = novelty.Novelty(environment, updates=5)
  follow(found, environment, [[[0]]] * 3 + [[[4]]] * 2, pay)
  assert found.every == 3 and found.rewards.shape == (2, SIZE**2)
  assert found.visits.numpy()[:, 0].tolist() == [1, 3]
  assert found.rewards.numpy()[:, 0].tolist() == [0, 300]
  assert found.entered.numpy().tolist() == [0, 3]
  assert found.find_rows().tolist() == [0, 1]


def test_the_figure_has_a_map_of_each_first_visit_and_of_the_end(environment):
  found = novelty.Novelty(environment, updates=3)
  follow(found, environment, WINDOWS, pay)
  ((name, figure),) = novelty.draw(CONFIG, found)
  assert name == 'novelty'
  titles = [axes.get_title() for axes in figure.axes]
  assert titles[:3] == ['0 steps', '6 steps', '12 steps']
  lines = figure.axes[-1].get_legend().get_texts()
  assert [line.get_text() for line in lines] == ['room 1', 'room 2']
  figure.canvas.draw()


def test_rooms_that_nobody_saw_are_drawn_and_said(environment):
  found = novelty.Novelty(environment, updates=2)
  follow(found, environment, [[[0]]] * 2, pay)
  ((_, figure),) = novelty.draw(CONFIG, found)
  lines = figure.axes[-1].get_legend().get_texts()
  assert lines[1].get_text() == 'room 2, never seen'
  view = novelty.tables(CONFIG, found)['Intrinsic reward of rooms'].text()
  assert view.splitlines()[-1].split()[:4] == ['2', '-', '0', '-']


def test_without_a_reward_for_novelty_there_is_nothing():
  assert novelty.tables(CONFIG, None) == {}
  assert list(novelty.draw(CONFIG, None)) == []
