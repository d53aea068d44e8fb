"""Rollouts on disk: round trips, damage, salvage and foreign folders."""

import json
import os
import zlib

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from nca_tf.datasets import mending
from nca_tf.datasets import record_file
from nca_tf.datasets import rollouts

SPEC = rollouts.Spec('toy', (4, 5, 3), 3, 'discrete', {'policy': 'random'})


def make(index, length=None, spec=SPEC, terminated=True):
  rng = np.random.default_rng(index)
  length = length or int(rng.integers(1, 12))
  shape = (length + 1, *spec.observation_shape)
  discrete = spec.action_kind == 'discrete'
  draw = rng.integers(3, size=length).astype(np.int32)
  return rollouts.make_episode(
    index,
    2**62 + index,
    rng.integers(256, size=shape, dtype=np.uint8),
    draw if discrete else rng.uniform(-1, 1, length).astype(np.float32),
    np.ones(length),
    terminated,
  )


def write(folder, count, spec=SPEC, shard_size=64, first=0):
  with rollouts.Writer(folder, spec, shard_size) as writer:
    for index in range(first, first + count):
      writer.append(make(index, spec=spec))


def read(folder, **options):
  """Episodes that can be read, and the lines of damage."""
  damage = []
  episodes = list(rollouts.read(folder, on_damage=damage.append, **options))
  return episodes, damage


def assert_same(found, wanted):
  assert len(found) == len(wanted)
  for ours, theirs in zip(found, wanted, strict=True):
    for name, array in ours._asdict().items():
      np.testing.assert_array_equal(array, getattr(theirs, name), name)
      if isinstance(array, np.ndarray):
        assert array.dtype == getattr(theirs, name).dtype


@pytest.fixture
def file(tmp_path):
  """A shard of five episodes."""
  write(tmp_path, 5)
  (path,) = rollouts.shards(tmp_path)
  return path


def test_an_episode_follows_the_rlds_convention():
  dead, alive = make(0, 3), make(0, 3, terminated=False)
  assert dead.length == 3
  assert dead.action[-1] == 0
  np.testing.assert_array_equal(dead.reward, [1, 1, 1, 0])
  np.testing.assert_array_equal(dead.is_first, [True, False, False, False])
  np.testing.assert_array_equal(dead.is_last, [False, False, False, True])
  np.testing.assert_array_equal(dead.is_terminal, dead.is_last)
  np.testing.assert_array_equal(dead.discount, [1, 1, 1, 0])
  assert not alive.is_terminal.any()
  np.testing.assert_array_equal(alive.discount, [1, 1, 1, 1])
  assert alive.is_last[-1]


@pytest.mark.parametrize('kind', ['discrete', 'continuous'])
@pytest.mark.parametrize('shard_size', [1, 3, 64])
def test_round_trip(tmp_path, kind, shard_size):
  spec = rollouts.Spec('toy', (4, 5, 3), 3, kind)
  write(tmp_path, 7, spec, shard_size)
  episodes, damage = read(tmp_path, expect=spec)
  assert_same(episodes, [make(index, spec=spec) for index in range(7)])
  assert not damage
  assert rollouts.count(tmp_path) == 7
  assert rollouts.read_spec(tmp_path) == spec
  files = rollouts.shards(tmp_path)
  assert len(files) == -(-7 // shard_size)
  assert not any('partial' in path.name for path in files)


def test_compressed_frames_go_in_and_come_out_as_they_are(tmp_path):
  plain = make(0)
  block = zlib.compress(plain.observation.tobytes(), 9)
  with rollouts.Writer(tmp_path, SPEC) as writer:
    writer.append(plain._replace(observation=block))
  (packed,), _ = read(tmp_path, frames=False)
  assert packed.observation == block
  assert_same([rollouts.decompress(packed, SPEC)], [plain])
  assert_same(read(tmp_path)[0], [plain])


def test_shards_are_ordinary_tfrecords_of_examples(file):
  records = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
  assert len(records) == 5
  assert records == list(record_file.read(file))
  feature = tf.train.Example.FromString(records[2]).features.feature
  np.testing.assert_array_equal(
    feature['action'].int64_list.value, make(2).action
  )
  assert zlib.decompress(feature['observation'].bytes_list.value[0]) == (
    make(2).observation.tobytes()
  )


def test_fields_stand_in_one_order_so_that_equal_episodes_are_equal(file):
  for record in record_file.read(file):
    feature = tf.train.Example.FromString(record).features.feature
    places = [record.index(name.encode()) for name in sorted(feature)]
    assert places == sorted(places)


def test_the_checksum_is_crc32c():
  # 32 bytes of zeros: RFC 3720, appendix B.4; the mask undone by hand.
  masked = record_file.masked_crc32c(bytes(32))
  rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
  assert ((rotated << 15) | (rotated >> 17)) & 0xFFFFFFFF == 0x8A9136AA


def test_a_cut_anywhere_keeps_every_episode_before_it(tmp_path):
  whole = tmp_path / 'whole'
  write(whole, 4)
  (path,) = rollouts.shards(whole)
  data = path.read_bytes()
  ends = [record.end for record in record_file.scan(path)]
  assert ends[-1] == len(data)
  wanted = [make(index) for index in range(4)]

  @hypothesis.settings(max_examples=60)
  @hypothesis.given(strategies.integers(0, len(data)))
  @hypothesis.example(0)
  @hypothesis.example(ends[1])
  @hypothesis.example(ends[1] - 1)
  @hypothesis.example(ends[1] + 1)
  def check(cut):
    path.write_bytes(data[:cut])
    episodes, damage = read(whole)
    kept = sum(end <= cut for end in ends)
    assert_same(episodes, wanted[:kept])
    assert len(damage) == (cut not in (0, *ends))
    assert rollouts.count(whole) == kept

  check()


def test_a_flipped_byte_costs_one_episode_or_the_rest(file):
  data = file.read_bytes()
  records = list(record_file.scan(file))

  @hypothesis.settings(max_examples=60)
  @hypothesis.given(strategies.integers(0, len(data) - 1))
  def check(position):
    broken = bytearray(data)
    broken[position] ^= 0x40
    file.write_bytes(broken)
    episodes, damage = read(file.parent)
    hit = next(i for i, each in enumerate(records) if position < each.end)
    in_data = 0 <= position - records[hit].start < records[hit].size
    in_footer = position >= records[hit].start + records[hit].size
    indices = [episode.index for episode in episodes]
    if in_data:
      # A few bytes mean the same when flipped, such as a flag of 1 or 65.
      others = [index for index in range(5) if index != hit]
      assert [index for index in indices if index != hit] == others
      assert len(damage) == (hit not in indices)
    elif not in_footer:  # The length is lost, and with it the way on.
      assert indices == list(range(hit))
      assert len(damage) == 1
    assert_same(episodes, [make(index) for index in indices])

  check()


def test_damage_is_logged_unless_it_is_asked_for(file, caplog):
  os.truncate(file, file.stat().st_size - 1)
  with caplog.at_level('WARNING', logger='absl'):
    assert len(list(rollouts.read(file.parent))) == 4
  assert 'damaged from byte' in caplog.text


@pytest.mark.parametrize('content', [b'', b'x', b'garbage' * 999])
def test_garbage_is_reported_and_passed_over(tmp_path, content):
  write(tmp_path, 4, shard_size=2)
  rollouts.shards(tmp_path)[0].write_bytes(content)
  episodes, damage = read(tmp_path)
  assert [episode.index for episode in episodes] == [2, 3]
  assert len(damage) == bool(content)


def test_records_of_something_else_are_reported(tmp_path):
  write(tmp_path, 1)
  (path,) = rollouts.shards(tmp_path)
  other = tf.train.Example().SerializeToString()
  with tf.io.TFRecordWriter(str(path)) as writer:
    for record in (b'', b'\xff\xff', other):
      writer.write(record)
  episodes, damage = read(tmp_path)
  assert not episodes
  assert len(damage) == 3


def abandon(folder, count, first=0, shard_size=64):
  """Writes as a process that is killed before it can close."""
  writer = rollouts.Writer(folder, SPEC, shard_size)
  assert writer.next_index == first
  for index in range(first, first + count):
    writer.append(make(index))
  (path,) = folder.glob('*.partial')
  return path.read_bytes(), path


def test_episodes_are_readable_while_they_are_being_written(tmp_path):
  abandon(tmp_path, 3)
  episodes, damage = read(tmp_path)
  assert_same(episodes, [make(index) for index in range(3)])
  assert not damage


@pytest.mark.parametrize('lost', [0, 1, 40])
def test_a_writer_goes_on_behind_the_last_whole_episode(tmp_path, lost):
  data, path = abandon(tmp_path, 3)
  path.write_bytes(data[: len(data) - lost])
  writer = rollouts.Writer(tmp_path, SPEC, shard_size=2)
  assert writer.next_index == 3 - bool(lost)
  for index in range(writer.next_index, 6):
    writer.append(make(index))
  writer.close()
  episodes, damage = read(tmp_path)
  assert_same(episodes, [make(index) for index in range(6)])
  assert not damage
  assert not list(tmp_path.glob('*.partial'))


def test_a_writer_starts_again_when_nothing_is_whole(tmp_path):
  data, path = abandon(tmp_path, 1)
  path.write_bytes(data[:-1])
  assert rollouts.Writer(tmp_path, SPEC).next_index == 0
  assert not rollouts.shards(tmp_path)


def test_a_writer_replaces_what_a_finished_shard_lost(tmp_path):
  write(tmp_path, 6, shard_size=3)
  last = rollouts.shards(tmp_path)[-1]
  os.truncate(last, last.stat().st_size - 1)
  write(tmp_path, 1, first=5)
  episodes, damage = read(tmp_path)
  assert_same(episodes, [make(index) for index in range(6)])
  assert len(damage) == 1


def test_an_episode_that_is_there_twice_is_read_once(tmp_path):
  write(tmp_path, 2)
  (path,) = rollouts.shards(tmp_path)
  (tmp_path / 'episodes-00000001.tfrecord').write_bytes(path.read_bytes())
  episodes, damage = read(tmp_path)
  assert_same(episodes, [make(0), make(1)])
  assert len(damage) == 2


def test_an_empty_folder_is_refused(tmp_path):
  with pytest.raises(ValueError, match='must hold rollouts, got none'):
    rollouts.read(tmp_path)
  assert rollouts.count(tmp_path / 'missing') == 0


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'game': 'other'}, "game must be 'other', got 'toy'"),
    ({'observation_shape': (8, 8, 3)}, r'observation_shape must be \(8, 8, 3'),
    ({'action_kind': 'continuous'}, "action_kind must be 'continuous'"),
    ({'actions': 4}, 'actions must be 4, got 3'),
  ],
)
def test_rollouts_of_something_else_are_refused(tmp_path, changes, message):
  write(tmp_path, 1)
  other = rollouts.Spec(
    **{**vars(SPEC), **changes}  # A dataclass keeps its fields there.
  )
  with pytest.raises(ValueError, match=message):
    rollouts.read(tmp_path, expect=other)
  with pytest.raises(ValueError, match=message):
    rollouts.Writer(tmp_path, other)


def test_a_writer_refuses_another_source_and_a_reader_does_not(tmp_path):
  write(tmp_path, 1)
  other = rollouts.Spec('toy', (4, 5, 3), 3, 'discrete', {'policy': 'stay'})
  with pytest.raises(ValueError, match="source must be .*'stay'"):
    rollouts.Writer(tmp_path, other)
  assert len(read(tmp_path, expect=other)[0]) == 1


@pytest.mark.parametrize(
  'content', ['', '[]', '{', '{"version": 2}', '{"version": 1, "game": "x"}']
)
def test_a_damaged_spec_is_named(tmp_path, content):
  write(tmp_path, 1)
  (tmp_path / 'spec.json').write_text(content)
  with pytest.raises(ValueError, match=r'spec\.json must describe rollouts'):
    rollouts.read(tmp_path)


def test_a_missing_spec_is_named(tmp_path):
  write(tmp_path, 1)
  assert json.loads((tmp_path / 'spec.json').read_text())['version'] == 1
  (tmp_path / 'spec.json').unlink()
  for use in (rollouts.read, lambda path: rollouts.Writer(path, SPEC)):
    with pytest.raises(ValueError, match=r'must hold spec\.json'):
      use(tmp_path)


@pytest.mark.parametrize(
  ('name', 'change', 'message'),
  [
    ('observation', lambda x: x.astype(np.float32), r'uint8 \[.*got float32'),
    ('observation', lambda x: x[:-1], r'uint8 \[4, 4, 5, 3\], got uint8 \[3'),
    ('observation', lambda x: x[..., :1], r'\[4, 4, 5, 1\]'),
    ('action', lambda x: x.astype(np.int64), 'int32 .* got int64'),
    ('action', lambda x: x[:, None], r'int32 \[4\], got int32 \[4, 1\]'),
    ('reward', lambda x: x.astype(np.float64), 'float32 .* got float64'),
    ('is_last', lambda x: x.astype(np.int32), 'bool .* got int32'),
    ('reward', lambda x: x[:1], '2 steps or more, got 1'),
    ('index', lambda x: x + 1, r'index must be 0, got 1'),
  ],
)
def test_wrong_episodes_are_named(tmp_path, name, change, message):
  episode = make(0, 3)
  wrong = episode._replace(**{name: change(getattr(episode, name))})
  writer = rollouts.Writer(tmp_path, SPEC)
  with pytest.raises(ValueError, match=message):
    writer.append(wrong)
  assert not rollouts.shards(tmp_path)


def test_a_wrong_shard_size_is_named(tmp_path):
  with pytest.raises(ValueError, match='shard_size must be at least 1, got 0'):
    rollouts.Writer(tmp_path, SPEC, 0)


@pytest.mark.parametrize('lost', [0, 1, 2])
def test_a_lost_shard_comes_back_as_it_was(tmp_path, lost):
  write(tmp_path, 12, shard_size=4)
  path = rollouts.shards(tmp_path)[lost]
  whole = path.read_bytes()
  path.unlink()
  missing = mending.find_missing(tmp_path, SPEC, 4)
  if lost == 2:  # The writer goes on there.
    assert not missing
    return
  assert missing == {path: list(range(4 * lost, 4 * lost + 4))}
  mending.put_back(path, SPEC, [make(index) for index in missing[path]])
  assert path.read_bytes() == whole
  assert not mending.find_missing(tmp_path, SPEC, 4)


@pytest.mark.parametrize('places', [[0], [1, 3], [0, 1, 2, 3]])
def test_damaged_episodes_are_put_back_in_their_shard(tmp_path, places):
  write(tmp_path, 10, shard_size=4)
  path = rollouts.shards(tmp_path)[1]
  whole = path.read_bytes()
  data = bytearray(whole)
  for place, record in enumerate(record_file.scan(path)):
    if place in places:
      data[record.start + record.size // 2] ^= 1
  path.write_bytes(data)
  missing = mending.find_missing(tmp_path, SPEC, 4)
  assert missing == {path: [4 + place for place in places]}
  mending.put_back(path, SPEC, [make(index) for index in missing[path]])
  assert path.read_bytes() == whole


def test_several_lost_shards_have_their_borders_again(tmp_path):
  write(tmp_path, 12, shard_size=3)
  first, *lost, last = rollouts.shards(tmp_path)
  for path in lost:
    path.unlink()
  missing = mending.find_missing(tmp_path, SPEC, 3)
  assert missing == {lost[0]: [3, 4, 5], lost[1]: [6, 7, 8]}


@pytest.mark.parametrize(
  ('name', 'value', 'message'),
  [
    ('game', 3, 'game must be a text, got 3'),
    ('observation_shape', 64, 'observation_shape must be a list, got 64'),
    ('observation_shape', [4, -5, 3], 'observation_shape must be an integer'),
    ('observation_shape', [4, 2.5, 3], 'observation_shape must be an integer'),
    ('observation_shape', [9999, 9999], 'must be of at most .* bytes'),
    ('actions', 0, 'actions must be an integer of at least 1, got 0'),
    ('actions', '3', "actions must be an integer of at least 1, got '3'"),
    ('action_kind', 'x', "action_kind must be one of .*, got 'x'"),
    ('frame_skip', True, 'frame_skip must be an integer of at least 1'),
    ('source', [], r'source must be an object, got \[\]'),
    ('unknown', 1, 'unknown'),
    ('version', None, 'another version'),
  ],
)
def test_a_spec_that_was_edited_is_named(tmp_path, name, value, message):
  write(tmp_path, 1)
  file = tmp_path / 'spec.json'
  file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))
  with pytest.raises(ValueError, match=message) as caught:
    rollouts.read(tmp_path)
  assert str(caught.value).startswith(f'{file} must describe rollouts: ')
