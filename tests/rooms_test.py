"""Rooms: walls, the goal, the time limit, and places."""

import numpy as np
import pytest
import tensorflow as tf

from nca_tf.environments.grid_world import rooms

UP, DOWN, LEFT, RIGHT = range(4)


def play(environment, actions):
  """Plays actions in one lane; returns what every step gave."""
  state, _ = environment.reset(1, [0, 0])
  found = []
  for action in actions:
    state, observation, *others = environment.step(
      state, tf.constant([action]), [0, 0]
    )
    place = tuple(state.place[0].numpy())
    size = environment.size
    assert environment.locate(observation) == [place[0] * size + place[1]]
    found.append((place, *(part[0].numpy() for part in others)))
  return found


def test_the_shortest_way_through_two_doors_reaches_the_goal():
  environment = rooms.Rooms(7, room=2)  # Walls in columns 2 and 5.
  assert np.flatnonzero(environment.walls.any(0)).tolist() == [2, 5]
  way = [DOWN] * 6 + [RIGHT] * 3 + [UP] * 6 + [RIGHT] * 3 + [DOWN] * 6
  *before, last = play(environment, way)
  assert last == ((6, 6), 1.0, True, False)
  assert not any(reward or dead or late for _, reward, dead, late in before)
  assert len({place for place, *_ in before}) == len(before)


def test_walls_and_borders_stop_and_time_runs_out():
  environment = rooms.Rooms(4, room=1, time_limit=5)
  found = play(environment, [UP, LEFT, RIGHT, DOWN, UP])
  assert [place for place, *_ in found] == [(0, 0)] * 3 + [(1, 0), (0, 0)]
  assert [late for *_, late in found] == [False] * 4 + [True]
  assert not any(dead for _, _, dead, _ in found)


def test_places_after_the_goal_are_not_reachable():
  # One wall in column 3 with its door at the bottom, beside the goal.
  assert rooms.Rooms(5).reachable == 5 * 3 + 1 + 1
  environment = rooms.Rooms(7, room=2)
  assert environment.reachable == 49 - 2 * 6
  assert rooms.Rooms(15).time_limit == 450


def test_cells_have_rooms_and_observations_that_are_theirs():
  environment = rooms.Rooms(7, room=2)
  number = environment.rooms.reshape(7, 7)
  assert number[3].tolist() == [0, 0, -1, 1, 1, -1, 2]
  assert (number[6, 2], number[0, 5]) == (0, 1)  # Doors.
  np.testing.assert_array_equal(number < 0, environment.walls)
  cells = np.arange(49)
  observations = environment.observe(tf.constant(cells))
  np.testing.assert_array_equal(environment.locate(observations), cells)
  _, seen = environment.reset(1, [0, 0])
  np.testing.assert_array_equal(observations[:1], seen)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'size': 2}, 'size must be an integer of at least 3 and of'),
    ({'room': 0}, 'room must be an integer of at least 1'),
    ({'time_limit': 1.5}, 'time_limit must be an integer'),
  ],
)
def test_wrong_arguments_are_named(arguments, message):
  with pytest.raises(ValueError, match=message):
    rooms.Rooms(**arguments)
