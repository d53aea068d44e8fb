"""Games of Pommerman in the original's JSON."""

import json

import numpy as np
import pytest

from nca_tf.environments.pommerman.engine import engine
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.recordings import json_state
from nca_tf.environments.pommerman.recordings import snapshot

FFA = variants.get_variant('PommeFFACompetition-v0')


@pytest.fixture(scope='module')
def state():
  rng = np.random.default_rng(0)
  state = engine.reset(FFA, 5, rng)
  for _ in range(16):
    engine.step(state, rng.integers(6, size=(5, 4)))
  state.bombs.direction[0] = variants.LEFT
  return state


def test_games_come_back_as_they_were(state):
  taken = snapshot.take(state)
  assert taken.bomb_counts.any() and taken.flame_counts.any()
  for game in range(5):
    loaded = json_state.load(FFA, json_state.dump(state, game))
    again = snapshot.take(loaded)
    for name in ('board', 'items', 'agents', 'step_count'):
      assert np.array_equal(getattr(again, name)[0], getattr(taken, name)[game])
    for name, counts in (('bombs', 'bomb_counts'), ('flames', 'flame_counts')):
      counts = getattr(taken, counts)
      first = counts[:game].sum()
      expected = getattr(taken, name)[first : first + counts[game]]
      assert np.array_equal(getattr(again, name), expected)


def test_record_has_the_originals_form(state):
  game = int(np.argmax(snapshot.take(state).bomb_counts))
  record = json_state.dump(state, game)
  assert all(isinstance(value, str) for value in record.values())
  data = {key: json.loads(value) for key, value in record.items()}
  assert data['board_size'] == 11 and data['step_count'] == 16
  assert set(data['bombs'][0]) == {
    *('position', 'bomber_id', 'life', 'blast_strength', 'moving_direction'),
  }
  assert data['bombs'][-1]['moving_direction'] is None
  agent = data['agents'][2]
  assert agent['agent_id'] == 2 and agent['is_alive'] in (True, False)
  (row, column), code = data['items'][0]
  assert state.items[game, row, column] == code
  assert json.loads(json_state.dump(state, 0)['intended_actions']) == [0] * 4


def change(record, key, value):
  return {**record, key: json.dumps(value)}


@pytest.mark.parametrize(
  ('key', 'value'),
  [
    ('board', [[0] * 8] * 8),
    ('board', [[99] * 11] * 11),
    ('agents', []),
    ('bombs', [{'position': [0, 0]}]),
    ('flames', [{'position': [0, 11], 'life': 2}]),
    ('items', [[[20, 0], 6]]),
    ('items', [[[2, 0], 300]]),
    ('step_count', None),
  ],
)
def test_wrong_records_are_refused(state, key, value):
  record = change(json_state.dump(state, 0), key, value)
  with pytest.raises(ValueError, match='record must be a game of PommeFFA'):
    json_state.load(FFA, record)


def test_texts_that_are_no_json_are_refused(state):
  record = {**json_state.dump(state, 0), 'board': '[['}
  with pytest.raises(ValueError, match='record must be a game'):
    json_state.load(FFA, record)
