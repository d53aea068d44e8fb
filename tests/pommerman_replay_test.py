"""Recorded games of the original Pommerman: ours must not differ at all."""

import pathlib

import numpy as np
import pytest
from damage import damage

from nca_tf.command_line import config_flags
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.recordings import replay
from nca_tf.environments.pommerman.recordings import trace
from nca_tf.experiments.games import replay_traces

FOLDER = pathlib.Path(__file__).parent.parent / 'testdata' / 'pommerman'
FILES = sorted(FOLDER.glob('*.npz'))
RADIO, DUEL = FOLDER / 'radio.npz', FOLDER / 'onevsone.npz'


def read_arrays(path):
  with np.load(path) as file:
    return {name: file[name] for name in file.files}


def call(*argv):
  """Runs the binary's main and returns its exit status."""
  try:
    config_flags.main(
      'Replays.', replay_traces.Config, replay_traces.run, ['x', *argv]
    )
  except SystemExit as error:
    return error.code
  return 0


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_recorded_games_are_replayed_exactly(path):
  recorded = trace.read(path)
  assert recorded.games == len(recorded.arrays['env'])
  assert recorded.seeded == ('fuzz' not in path.stem)
  found = replay.replay(recorded)
  assert found == {kind: [] for kind in replay.KINDS}


def test_all_kinds_of_games_are_recorded():
  stems = {path.stem for path in FILES}
  assert {'ffa', 'team', 'onevsone', 'radio', 'ffa_collapse'} <= stems
  assert {'fuzz_ffa', 'fuzz_team', 'fuzz_onevsone'} <= stems


def swap_flames(data):
  """Exchanges two flames of a step and returns the step."""
  counts = data['n_flames'].astype(int)
  step = int(np.argmax(counts > 1))
  first = counts[:step].sum()
  data['flames'][[first, first + 1]] = data['flames'][[first + 1, first]]
  return step


@pytest.mark.parametrize(
  ('kind', 'name', 'place'),
  [
    ('state', 'board', (7, 0, 0)),
    ('state', 'items', (7, 0, 0)),
    ('state', 'agents', (7, 1, 2)),
    ('state', 'agents', (7, 3, 5)),
    ('state', 'bombs', (0, 2)),
    ('state', 'flames', (3, 2)),
    ('rewards', 'rewards', (7, 0)),
    ('done', 'done', 7),
    ('observations', 'obs_board', (3, 1, 5, 5)),
    ('observations', 'obs_life', (3, 1, 5, 5)),
    ('observations', 'obs_flame', (3, 1, 5, 5)),
    ('observations', 'obs_alive', (3, 1)),
    ('messages', 'obs_message', (3, 1, 0)),
    ('result', 'result', 0),
    ('result', 'winners', (1, 0)),
    ('boards', 'seed', 1),
  ],
)
def test_each_difference_is_found_once(kind, name, place):
  data = read_arrays(RADIO)
  data[name][place] ^= 1
  recorded = trace.Trace(data, trace.read(RADIO).rules)
  found = replay.replay(recorded)
  assert {each for each in found if found[each]} == {kind}
  ((game, step),) = found[kind]
  if name in ('board', 'items', 'agents', 'rewards', 'done'):
    assert (game, step) == (0, 7)
  if name in ('seed', 'winners'):
    assert game == 1


def test_other_order_of_the_same_flames_is_found():
  data = read_arrays(RADIO)
  step = swap_flames(data)
  found = replay.replay(trace.Trace(data, trace.read(RADIO).rules))
  assert found['order'] == [(0, step)] and not found['state']


def test_games_that_differ_once_go_on():
  data = read_arrays(DUEL)
  data['actions'][0] = 5 - data['actions'][0]
  found = replay.replay(trace.Trace(data, trace.read(DUEL).rules))
  assert len(found['state']) > 1
  assert {game for game, _ in found['state']} == {0}


@pytest.mark.parametrize(
  ('name', 'value', 'message'),
  [
    ('env', np.array(['Pomme-v9'] * 6), "unknown variant 'Pomme-v9'"),
    ('env', np.array(['PommeFFA-v1'] * 6), 'PommeFFA-v1 has other sizes'),
    ('env', np.array(['OneVsOne-v0']), 'env must be a name for each game'),
    ('actions', None, r'is damaged \(actions is missing\)'),
    ('board_size', None, r'is damaged \(board_size is missing\)'),
    ('board_size', np.array(9), r'init_board must be integers of shape .*9, 9'),
    ('board_size', np.array('a'), 'board_size and n_agents must be integers'),
    ('game_offsets', np.array([0, 5, 5]), 'game_offsets must be integers that'),
    ('n_bombs', np.zeros(3), 'n_bombs must be integers, got float64'),
    ('obs_alive', None, r'is damaged \(obs_alive is missing\)'),
    ('obs_step', np.zeros((2, 2), int), 'obs_step must be a list'),
    ('obs_step', 'reversed', 'obs_step must grow'),
    ('obs_step', 'twice', 'obs_step must grow'),
    ('game_offsets', np.array([0]), 'game_offsets must be integers that'),
    ('game_offsets', np.array([1, 334]), 'game_offsets must be integers that'),
    ('game_offsets', np.array([[0, 9]]), 'game_offsets must be integers that'),
    ('env', np.array([b'OneVsOne-v0'] * 6), 'env must be a name for each game'),
    ('rewards', np.zeros((334, 2)), 'rewards must be integers of shape'),
    ('result', np.zeros(5, int), 'result must be integers of shape'),
    ('n_bombs', np.array(4), 'n_bombs must be integers of shape'),
  ],
)
def test_traces_with_wrong_parts_are_refused(tmp_path, name, value, message):
  data = read_arrays(DUEL)
  if isinstance(value, str):
    order = slice(None, None, -1) if value == 'reversed' else 0
    value = np.zeros_like(data[name]) + data[name][order]
  data[name] = value
  path = tmp_path / 'wrong.npz'
  np.savez(path, **{key: data[key] for key in data if data[key] is not None})
  with pytest.raises(ValueError, match=rf'wrong.npz.*{message}'):
    trace.read(path)


@pytest.mark.parametrize(
  ('name', 'place', 'value', 'message'),
  [
    ('actions', (3, 1), 6, r'actions must be in 0..5, got 0..6'),
    ('board', (0, 0, 0), 14, r'board must be in 0..13'),
    ('agents', (0, 0, 0), 8, r'cells of agents must be in 0..7, got 0..8'),
    ('bombs', (0, 5), 2, r'owners of bombs must be in 0..1'),
    ('bombs', (0, 4), 5, r'directions of bombs must be in 0..4'),
    ('flames', (0, 1), 8, r'cells of flames must be in 0..7'),
    ('obs_step', 0, 10**6, 'obs_step must be in 0..'),
    ('done', 3, 2, None),
    *((name, 0, 256, None) for name in ('n_bombs', 'n_init_flames')),
    ('rewards', (0, 0), 2, 'rewards must be in -1..1'),
    ('result', 0, 4, 'result must be in 0..3'),
    ('winners', (0, 1), 2, 'winners must be in 0..1'),
    ('init_step', 0, -1, 'init_step must be in 0..'),
    ('init_step', 0, 2**31, 'init_step must be in 0..2147483647'),
    (
      'init_board',
      (2, 0, 0),
      variants.FOG,
      'board must be of 0, 1, 2, 3, 4, 6',
    ),
    ('init_board', (2, 0, 0), 12, 'board must be of 0, 1, .* 10, 11, got 12'),
    ('init_board', (2, 0, 0), variants.FLAMES, 'board must show the flames'),
    ('init_board', (2, 0, 0), variants.BOMB, 'board must show the bombs'),
    ('init_board', (2, 1, 1), 0, 'board must show the agents'),
    ('init_items', (2, 0, 0), 5, 'items must be of 0, 6, 7, 8, got 5'),
    ('init_items', (2, 1, 1), 6, 'items must be hidden by wood or flames'),
    ('init_agents', (2, 0, 2), 11, 'ammo of agents must be of .*, got 11'),
    ('init_agents', (2, 0, 3), 0, 'blast_strength of agents must be .* got 0'),
    ('init_agents', (2, 0, 4), 2, 'can_kick of agents must be of 0, 1, got 2'),
    ('init_agents', (2, 0, 5), 0, 'board must show the agents'),
    ('init_agents', (2, 0, 0), 4, 'board must show the agents'),
  ],
)
def test_numbers_out_of_range_are_refused(
  tmp_path, name, place, value, message
):
  data = {
    key: values.astype(np.int64) if values.dtype.kind in 'biu' else values
    for key, values in read_arrays(DUEL).items()
  }
  data[name][place] = value
  np.savez(tmp_path / 'wrong.npz', **data)
  message = message or f'{name} must be in 0..'
  with pytest.raises(ValueError, match=message):
    trace.read(tmp_path / 'wrong.npz')


@pytest.mark.parametrize(
  ('name', 'column', 'value', 'message'),
  [
    ('bombs', 2, 0, 'life of bombs must be of 1, 2, .* got 0'),
    ('bombs', 2, 11, 'life of bombs must be of 1, 2, .* got 11'),
    ('bombs', 3, 0, 'blast_strength of bombs must be of 1, 2, .* got 0'),
    ('bombs', 0, None, 'bombs must be one in a cell'),
    ('flames', 2, 3, 'life of flames must be of 0, 1, 2, got 3'),
    ('flames', 0, None, 'flames must be one in a cell and of an age'),
  ],
)
def test_beginnings_that_contradict_themselves_are_refused(
  tmp_path, name, column, value, message
):
  data = read_arrays(FOLDER / 'fuzz_onevsone.npz')
  game = int(np.argmax(data[f'n_init_{name}'] > 1))
  first = data[f'n_init_{name}'][:game].astype(int).sum()
  rows = data[f'init_{name}']
  if value is None:
    rows[first] = rows[first + 1]
  else:
    rows[first, column] = value
  np.savez(tmp_path / 'wrong.npz', **data)
  with pytest.raises(ValueError, match=f'beginning of OneVsOne-v0: {message}'):
    trace.read(tmp_path / 'wrong.npz')


def test_what_is_not_read_may_be_anything(tmp_path):
  path = tmp_path / 'more.npz'
  np.savez(path, **read_arrays(DUEL), notes=np.array([{}], object))
  assert trace.read(path).games == 6


def test_words_that_were_heard_need_those_that_were_sent(tmp_path):
  data = read_arrays(RADIO)
  del data['sent_messages']
  np.savez(tmp_path / 'wrong.npz', **data)
  with pytest.raises(ValueError, match='sent_messages is missing, which Pomme'):
    trace.read(tmp_path / 'wrong.npz')


def test_damaged_bytes_are_refused_or_replayed(tmp_path):
  rng = np.random.default_rng(0)
  whole = [DUEL.read_bytes(), RADIO.read_bytes()]
  path = tmp_path / 'damaged.npz'
  loaded = 0
  for _ in range(200):
    path.write_bytes(damage(whole[rng.integers(2)], whole, rng))
    try:
      recorded = trace.read(path)
    except (OSError, ValueError) as error:
      assert '\n' not in str(error) and len(str(error)) < 400
      assert str(path) in str(error)
      continue
    loaded += 1
    assert recorded.games in (2, 6)
  assert loaded < 100


def write_damaged(folder):
  """Files that are no traces, with what is said of each."""
  whole = DUEL.read_bytes()
  flipped = bytearray(whole)
  flipped[len(whole) // 2] ^= 255
  contents = {
    'cut.npz': (whole[: len(whole) // 2], 'is damaged ('),
    'flipped.npz': (bytes(flipped), 'is damaged ('),
    'empty.npz': (b'', 'is damaged ('),
    'text.npz': (b'hello', 'is damaged ('),
  }
  for name, (content, _) in contents.items():
    (folder / name).write_bytes(content)
  np.save(folder / 'single.npy', np.arange(3))
  np.savez(folder / 'objects.npz', board_size=np.array([{}], object))
  np.savez(folder / 'foreign.npz', x=np.arange(3))
  return {
    **{name: message for name, (_, message) in contents.items()},
    'single.npy': 'is damaged (',
    'objects.npz': 'is damaged (board_size is no array of numbers)',
    'foreign.npz': 'is damaged (board_size is missing)',
    'missing.npz': 'No such file',
  }


def test_binary_refuses_damaged_files_in_one_line(tmp_path, capsys):
  for name, message in write_damaged(tmp_path).items():
    path = str(tmp_path / name)
    assert call(str(DUEL), path) == 2, name
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err.count('\n') == 1
    assert path in shown.err and message in shown.err, name


def test_binary_prints_games_steps_and_mismatches(tmp_path, capsys):
  data = read_arrays(DUEL)
  data['rewards'][[2, 3], 0] ^= 1
  path = tmp_path / 'other.npz'
  np.savez(path, **data)
  # Flags may stand behind files.
  assert call(str(DUEL), '--game=pommerman', str(RADIO)) == 0
  assert '8 games, 590 steps, 0 mismatches' in capsys.readouterr().out
  assert call('--game=pommerman', str(path)) == 1
  shown = capsys.readouterr()
  assert 'rewards differs in game 0 step 2, game 0 step 3' in shown.out
  assert '6 games, 334 steps, 2 mismatches' in shown.err


@pytest.mark.parametrize(
  ('argv', 'message'),
  [
    ([], '--files must name at least one file, got none'),
    (
      ['--game=chess', 'x'],
      "--game must be one of pommerman, pixel_copter, got 'chess'",
    ),
  ],
)
def test_binary_refuses_wrong_flags(argv, message, capsys):
  assert call(*argv) == 2
  assert message in capsys.readouterr().err
