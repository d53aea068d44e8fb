"""The rooms as a game: the same as in the graph, step by step."""

import numpy as np
import pytest
import tensorflow as tf

from nca_tf import environments
from nca_tf.environments import rooms_game
from nca_tf.environments.grid_world import rooms


@pytest.mark.parametrize('size', [3, 4, 5, 11, 15, 16])
def test_every_move_from_every_place_is_as_in_the_graph(size):
  graph, made = rooms.Rooms(size), environments.make('rooms', size=size)
  np.testing.assert_array_equal(made.walls, graph.walls)
  places = np.argwhere(~graph.walls)
  for action in range(4):
    lanes = tf.zeros([len(places)], tf.int32)
    state = rooms.State(tf.constant(places, tf.int32), lanes)
    state, seen, reward, terminated, _ = graph.step(
      state, lanes + action, [0, 0]
    )
    for number, place in enumerate(places):
      made.reset()
      made._place = place
      found = made.step(action)
      np.testing.assert_array_equal(found[0], seen[number])
      assert found[1:3] == (float(reward[number]), bool(terminated[number]))
      assert found[4]['place'] == tuple(state.place[number].numpy())


def test_episodes_begin_and_end_as_in_the_graph():
  graph = rooms.Rooms(4, time_limit=7)
  made = environments.make('rooms', size=4, time_limit=7)
  state, seen = graph.reset(1, [0, 0])
  np.testing.assert_array_equal(made.reset(seed=1)[0], seen[0])
  for action in (1, 1, 3, 1, 0, 1, 2):
    state, _, _, *ends = graph.step(state, tf.constant([action]), [0, 0])
    found = made.step(action)
    assert found[2:4] == tuple(bool(end[0]) for end in ends)
  assert found[3] and found[4]['tics'] == 7


def test_the_spec_follows_the_size():
  spec = environments.get_spec('rooms', size=6)
  assert spec.observation_shape == (12,) and not spec.has_frames
  assert environments.get_spec('rooms').observation_shape == (30,)
  for call in (environments.get_spec, environments.make):
    with pytest.raises(ValueError, match='size must be an integer of at least'):
      call('rooms', size=2)


def test_the_picture_shows_walls_the_goal_and_where_the_agent_is():
  made = environments.make('rooms', render_mode='rgb_array')
  made.reset()
  made.step(1)
  picture = made.render()
  assert picture.shape == (240, 240, 3) and picture.dtype == np.uint8
  places = picture[8::16, 8::16]
  assert tuple(places[1, 0]) == rooms_game.AGENT
  assert tuple(places[-1, -1]) == rooms_game.GOAL
  np.testing.assert_array_equal(
    (places == rooms_game.WALL).all(-1), rooms.Rooms(15).walls
  )
