"""The grid with obstacles: moves, ends, draws, and shortest ways."""

import numpy as np
import pytest
import tensorflow as tf

from nca_tf.environments.grid_world import moves
from nca_tf.environments.grid_world import obstacles

UP, DOWN, LEFT, RIGHT = range(4)
ROWS = ('..#', '.#.', '...')


def place(environment, where, goal, steps=0):
  """Returns a state of one lane."""
  return obstacles.State(
    tf.constant([where]), tf.constant([goal]), tf.constant([steps])
  )


def step(environment, state, action):
  """Returns where the lane is then, and what else a step gives."""
  state, observation, *others = environment.step(
    state, tf.constant([action]), [0, 0]
  )
  row, column, *_ = np.argmax(observation.numpy().reshape(4, -1), -1)
  where = tuple(state.place[0].numpy())
  assert (row, column) == where and observation.numpy().sum() == 4
  return where, *(part[0].numpy() for part in others)


@pytest.mark.parametrize(
  ('where', 'action', 'then'),
  [
    ((0, 0), UP, (0, 0)),  # The border.
    ((0, 0), LEFT, (0, 0)),
    ((2, 2), DOWN, (2, 2)),
    ((0, 1), RIGHT, (0, 1)),  # An obstacle.
    ((1, 0), RIGHT, (1, 0)),
    ((0, 0), DOWN, (1, 0)),
    ((2, 1), RIGHT, (2, 2)),
    ((1, 0), UP, (0, 0)),
    ((2, 1), LEFT, (2, 0)),
  ],
)
def test_moves(where, action, then):
  environment = obstacles.Obstacles(ROWS)
  found, reward, dies, late = step(
    environment, place(environment, where, (1, 2)), action
  )
  assert found == then and not dies and not late
  assert reward == np.float32(-0.01)


def test_the_goal_ends_an_episode_and_so_does_the_time():
  environment = obstacles.Obstacles(ROWS, time_limit=5)
  state = place(environment, (2, 2), (1, 2), steps=4)
  assert step(environment, state, UP) == ((1, 2), 1.0, True, False)
  assert step(environment, state, LEFT)[2:] == (False, True)
  early = state._replace(steps=state.steps - 1)
  assert step(environment, early, LEFT)[2:] == (False, False)


def test_starts_and_goals_are_all_pairs_of_free_cells():
  environment = obstacles.Obstacles(ROWS)
  state, observation = environment.reset(4000, [1, 2])
  pairs = np.concatenate([state.place, state.goal], 1)
  shown = np.argmax(observation.numpy().reshape(4000, 4, -1), -1)
  np.testing.assert_array_equal(shown, pairs)
  found, counts = np.unique(pairs, axis=0, return_counts=True)
  free = [(r, c) for r in range(3) for c in range(3) if ROWS[r][c] == '.']
  wanted = sorted(
    (*one, *other) for one in free for other in free if one != other
  )
  np.testing.assert_array_equal(found, wanted)
  # 42 pairs: 95.2 of each, deviation 9.6.
  assert 50 < counts.min() and counts.max() < 140


def test_images_have_a_plane_for_obstacles_agent_and_goal():
  environment = obstacles.Obstacles(ROWS, pixels=2)
  state = place(environment, (2, 0), (0, 1))
  _, image, *_ = environment.step(state, tf.constant([RIGHT]), [0, 0])
  assert image.dtype == tf.uint8
  assert image.shape[1:] == environment.observation_space.shape == (6, 6, 3)
  image = image[0].numpy()
  wanted = np.zeros((3, 3, 3), int)
  wanted[0, 2, 0] = wanted[1, 1, 0] = 255
  wanted[2, 1, 1] = wanted[0, 1, 2] = 255
  for row in (0, 1):
    for column in (0, 1):
      np.testing.assert_array_equal(image[row::2, column::2], wanted)


def test_distances_are_those_of_walking():
  walls = obstacles.Obstacles().walls
  found = obstacles.find_distances(walls)
  free = [tuple(p) for p in np.argwhere(~walls).tolist()]
  for i, start in enumerate(free):
    seen, edge = {start: 0}, [start]
    for row, column in edge:
      for down, right in moves.MOVES:
        near = row + down, column + right
        if near in free and near not in seen:
          seen[near] = seen[row, column] + 1
          edge.append(near)
    assert [seen[other] for other in free] == found[i].tolist()
  assert np.isinf(obstacles.find_distances(np.eye(3) > 0)).sum() == 18


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'rows': ('..', '.')}, "rows must be a square of '.' and '#', got"),
    ({'rows': ('.x', '..')}, "rows must be a square of '.' and '#', got"),
    ({'rows': ('.#', '##')}, 'rows must have two free cells'),
    ({'pixels': -1}, 'pixels must be an integer of at least 0'),
    ({'time_limit': 0}, 'time_limit must be an integer of at least 1'),
  ],
)
def test_wrong_arguments_are_named(arguments, message):
  with pytest.raises(ValueError, match=message):
    obstacles.Obstacles(**arguments)
