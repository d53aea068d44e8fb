"""Games of Pommerman in the original's JSON."""

import json

import numpy as np
import pytest
from damage import damage

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


def edit(key, *path):
  """Returns (record, value) -> a record with one value inside an entry."""

  def apply(record, value):
    data = json.loads(record[key])
    inner = data
    for step in path[:-1]:
      inner = inner[step]
    if value is ABSENT:
      del inner[path[-1]]
    else:
      inner[path[-1]] = value
    return change(record, key, data)

  return apply


ABSENT = object()
NO_INTEGERS = (None, True, 2.5, 2.0, '2', [2], {}, 10**30, -(10**30))
NO_LISTS = (None, True, 3, 'x', {'0': 1})
WHOLE = {
  'board_size': (*NO_INTEGERS, 8, 12, -11),
  'step_count': (*NO_INTEGERS, -1, 2**31),
  'board': (*NO_LISTS, [], [[0] * 8] * 8, [[0] * 11] * 12, [[[0]] * 11] * 11),
  'agents': (*NO_LISTS, [], [{}] * 4, [[]] * 4, [None] * 4),
  'bombs': (*NO_LISTS, [3], [[1, 1]], [{}], [None]),
  'flames': (*NO_LISTS, [3], [[1, 1]], [{}], [None]),
  'items': (*NO_LISTS, [3], [[]], [[[1, 1]]], [[[1, 1], 6, 6]], [[6, [1, 1]]]),
}
INSIDE = (
  (('board', 3, 4), 'board[3][4]', (*NO_INTEGERS, -1, 14, 256)),
  (('board', 3), 'board[3]', (*NO_LISTS, [0] * 10, [0] * 12)),
  (('items', 0, 1), 'items[0][1]', (*NO_INTEGERS, 0, 5, 9, 262)),
  (('items', 0, 0, 1), 'items[0][0][1]', (*NO_INTEGERS, -1, 11)),
  (('items', 0, 0), 'items[0][0]', (*NO_LISTS, [1], [1, 1, 1])),
  *(
    ((kind, 0, 'position', 0), f'{kind}[0].position[0]', (*NO_INTEGERS, -1, 11))
    for kind in ('agents', 'bombs', 'flames')
  ),
  *(
    (
      (kind, 0, 'position'),
      f'{kind}[0].position',
      (*NO_LISTS, ABSENT, [], [1, 1, 1]),
    )
    for kind in ('agents', 'bombs', 'flames')
  ),
  *(
    ((kind, 0, name), f'{kind}[0].{name}', (*NO_INTEGERS, ABSENT, *wrong))
    for kind, name, wrong in (
      ('agents', 'ammo', (-1, 11, 257)),
      ('agents', 'blast_strength', (0, 11, 258)),
      ('bombs', 'life', (-4, 0, 11, 265)),
      ('bombs', 'blast_strength', (0, -2, 11)),
      ('bombs', 'bomber_id', (-1, 4, 7)),
      ('flames', 'life', (-1, 3, 258)),
    )
  ),
  (('agents', 0, 'agent_id'), 'agents[0].agent_id', (*NO_INTEGERS, 4, -1)),
  *(
    (('agents', 0, name), f'agents[0].{name}', (None, 1, 0, 'true', ABSENT))
    for name in ('can_kick', 'is_alive')
  ),
  (
    ('bombs', 0, 'moving_direction'),
    'bombs[0].moving_direction',
    (*NO_INTEGERS[1:], ABSENT, 0, 5, 9, -1),
  ),
)


def refuse(record, name):
  """Loads, and demands one line that names a part of the record."""
  with pytest.raises(ValueError) as caught:
    json_state.load(FFA, record)
  message = str(caught.value)
  assert message.startswith('record must be a game of PommeFFACompetition-v0: ')
  assert name in message and '\n' not in message and len(message) < 300


@pytest.fixture
def record(state):
  """A game that has bombs, flames and hidden items."""
  taken = snapshot.take(state)
  counts = np.minimum(taken.bomb_counts, taken.flame_counts)
  return json_state.dump(state, int(np.argmax(counts)))


@pytest.mark.parametrize('key', WHOLE)
def test_wrong_entries_are_named(record, key):
  for value in WHOLE[key]:
    refuse(change(record, key, value), key)
  refuse({name: record[name] for name in record if name != key}, key)


@pytest.mark.parametrize(('path', 'name', 'values'), INSIDE)
def test_wrong_values_inside_entries_are_named(record, path, name, values):
  for value in values:
    refuse(edit(*path)(record, value), name)


TEXTS = (
  *('', ' ', '[', '[[', '{', 'nul', "['a']", '[1,]', '11 11', '\ufeff11'),
  *('NaN', '[NaN]', 'Infinity', '-Infinity', '1e999', '0x0b', '\x00', '"\\ud8'),
  *('[' * 100_000, '{"a":' * 100_000, '9' * 5000, '[' + '0,' * 600_000 + '0]'),
)


@pytest.mark.parametrize('key', WHOLE)
def test_texts_that_are_no_json_are_named(record, key):
  for text in TEXTS:
    refuse({**record, key: text}, key)
  for text in (None, 11, b'11', ['11'], {'a': 1}):
    refuse({**record, key: text}, f'{key} must be a text of JSON')


@pytest.mark.parametrize('value', ['{}', None, 3, [], [('board', '[]')], b'{}'])
def test_records_that_are_no_mappings_are_refused(value):
  refuse(value, 'no mapping of texts')


def put(data, kind, **entry):
  """Adds an entry like the first one, with some values changed."""
  data[kind].append({**data[kind][0], **entry})


def free(data):
  """Returns a cell where nothing is."""
  return next(
    [row, column]
    for row in range(11)
    for column in range(11)
    if data['board'][row][column] == variants.PASSAGE
  )


def show(data, code, cell):
  data['board'][cell[0]][cell[1]] = code


def living(data):
  return [agent for agent in data['agents'] if agent['is_alive']]


def gather(data):
  """Lets two agents live in one cell, which shows the latter."""
  agents = data['agents'][:2]
  for agent in agents:
    row, column = agent['position']
    if data['board'][row][column] == variants.AGENT + agent['agent_id']:
      show(data, variants.PASSAGE, agent['position'])
    agent.update(is_alive=True, position=free(data))
  show(data, variants.AGENT + 1, agents[1]['position'])


CONTRADICTIONS = {
  'a second bomb in a cell': lambda d: put(d, 'bombs'),
  'a flame twice': lambda d: put(d, 'flames'),
  'a bomb that is not shown': lambda d: put(d, 'bombs', position=free(d)),
  'a flame that is not shown': lambda d: put(d, 'flames', position=free(d)),
  'a bomb that is shown only': lambda d: show(d, variants.BOMB, free(d)),
  'flames that are shown only': lambda d: show(d, variants.FLAMES, free(d)),
  'no bombs': lambda d: d.update(bombs=[]),
  'no flames': lambda d: d.update(flames=[]),
  'fog': lambda d: show(d, variants.FOG, free(d)),
  'a dummy': lambda d: show(d, variants.DUMMY, free(d)),
  'an item in the open': lambda d: d['items'].append([free(d), variants.KICK]),
  'an item twice': lambda d: d['items'].append(d['items'][0]),
  'two items in a cell': lambda d: d['items'].append([d['items'][0][0], 8]),
  'an agent elsewhere': lambda d: living(d)[0].update(position=free(d)),
  'an agent shown twice': lambda d: show(d, 10, free(d)),
  'an agent that is not shown': lambda d: show(d, 0, living(d)[0]['position']),
  'two agents in a cell': lambda d: gather(d),
  'a dead agent shown': lambda d: living(d)[0].update(is_alive=False),
  'an agent twice': lambda d: d['agents'][1].update(agent_id=0),
  'five agents': lambda d: put(d, 'agents', agent_id=3),
  'three agents': lambda d: d['agents'].pop(),
}


@pytest.mark.parametrize('name', CONTRADICTIONS)
def test_entries_that_contradict_each_other_are_refused(record, name):
  data = {key: json.loads(text) for key, text in record.items()}
  CONTRADICTIONS[name](data)
  refuse({key: json.dumps(value) for key, value in data.items()}, 'must be')


def test_names_twice_in_an_object_are_refused(record):
  text = record['agents'].replace('"ammo"', '"ammo": 1, "ammo"', 1)
  refuse({**record, 'agents': text}, 'a name twice')


def test_what_is_not_read_may_be_anything(record, state):
  wanted = snapshot.take(json_state.load(FFA, record))
  more = {**record, 'comment': 'by hand', 'intended_actions': '[', 7: None}
  entries = [
    {**each, 'colour': [None]} for each in json.loads(record['agents'])
  ]
  more['agents'] = json.dumps(entries[::-1])
  found = snapshot.take(json_state.load(FFA, more))
  for name, values in vars(wanted).items():
    np.testing.assert_array_equal(getattr(found, name), values)


def test_every_state_of_play_is_accepted():
  rng = np.random.default_rng(4)
  for rules in variants.VARIANTS.values():
    rules = variants.get_variant(rules.name, max_steps=800)
    state = engine.reset(rules, 8, rng)
    for time in range(60):
      actions = rng.integers(6, size=state.cell.shape)
      engine.step(state, actions)  # Past the end of games as well.
      if time % 12 == 11:
        snapshot.check(rules, snapshot.take(state))
        json_state.load(rules, json_state.dump(state, time % 8))


def test_damaged_texts_are_refused_or_load_a_game(record):
  rng = np.random.default_rng(0)
  parts = [text.encode() for text in record.values()]
  loaded = 0
  for _ in range(400):
    key = list(WHOLE)[rng.integers(len(WHOLE))]
    text = damage(record[key].encode(), parts, rng)
    changed = {**record, key: text.decode('utf-8', 'surrogateescape')}
    try:
      state = json_state.load(FFA, changed)
    except ValueError as error:
      assert '\n' not in str(error) and len(str(error)) < 400
      continue
    loaded += 1
    for _ in range(11):
      engine.step(state, rng.integers(6, size=(1, 4)))
    snapshot.check(FFA, snapshot.take(state))
  assert 0 < loaded < 200
