"""Every loader against files that are damaged at random, and against bombs.

`python tests/fuzz_loaders.py --files=100000` tries more of them.
"""

import io
import re
import zipfile
import zlib

import fuzz_loaders
import numpy as np
import pytest

from nca_tf import files
from nca_tf.datasets import episodes
from nca_tf.datasets import latents
from nca_tf.datasets import record_file
from nca_tf.datasets import rollouts

FILES = 160  # Of each loader.
BOMB = 300 << 20  # Bytes of zeros, which compress to a thousandth.
ROOM = 40 << 20  # Bytes that refusing them may cost.

pytestmark = pytest.mark.filterwarnings('ignore')  # NumPy's, on headers.


@pytest.mark.parametrize('name', fuzz_loaders.LOADERS)
def test_damage_is_survived_or_refused_in_one_line(name, tmp_path):
  count = round(FILES * fuzz_loaders.LOADERS[name].weight)
  found = fuzz_loaders.fuzz(name, count, seed=1, folder=tmp_path / 'files')
  assert found.files == count
  assert not found.leaks, found.leaks[:3]
  assert found.room < fuzz_loaders.ROOM
  assert found.seconds < fuzz_loaders.SECONDS


@pytest.mark.parametrize(
  ('error', 'leak'),
  [
    (KeyError('x'), 'KeyError'),
    (MemoryError(), 'MemoryError'),
    (ValueError('two\nlines'), 'several lines'),
    (ValueError('one line'), None),
  ],
)
def test_leaks_are_found(error, leak, tmp_path, monkeypatch):
  def write(folder):
    (folder / 'a').write_bytes(b'intact')
    return folder / 'a'

  def read(path):
    if path.read_bytes() != b'intact':
      raise error

  entry = fuzz_loaders.Loader(write, read)
  monkeypatch.setitem(fuzz_loaders.LOADERS, 'weak', entry)
  found = fuzz_loaders.fuzz('weak', 20, 0, tmp_path / 'files')
  assert bool(found.leaks) == bool(leak) == (not found.is_right)
  assert all(re.search(leak, each) for each in found.leaks)


def test_memory_is_measured(tmp_path, monkeypatch):
  def write(folder):
    (folder / 'a').write_bytes(b'intact')
    return folder / 'a'

  def read(path):
    if path.read_bytes() != b'intact':
      np.ones(25 << 20)  # 200 MiB of float64.

  entry = fuzz_loaders.Loader(write, read)
  monkeypatch.setitem(fuzz_loaders.LOADERS, 'large', entry)
  found = fuzz_loaders.fuzz('large', 2, 0, tmp_path / 'files')
  assert 150 << 20 < found.room < 300 << 20


# Bombs: small files that unpack to much, with right checksums.


@pytest.fixture(scope='module')
def zeros():
  """A zlib stream, without its head, of BOMB zeros; and their checksum."""
  packer, piece = zlib.compressobj(1), bytes(1 << 20)
  parts = [packer.compress(piece) for _ in range(BOMB >> 20)]
  return b''.join([*parts, packer.flush()])


def room_of(read):
  """Bytes that a call takes at most."""
  before = fuzz_loaders._reset_room()
  read()
  return fuzz_loaders._peak_room() - before


def write_header(shape):
  stream = io.BytesIO()
  header = {'descr': '|u1', 'fortran_order': False, 'shape': shape}
  np.lib.format.write_array_header_1_0(stream, header)
  return stream.getvalue()


def write_bomb(path, names):
  """Arrays of which each has BOMB bytes."""
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as to:
    for name in names[:1]:
      with to.open(f'{name}.npy', 'w') as member:
        member.write(write_header((BOMB,)))
        for _ in range(BOMB >> 20):
          member.write(bytes(1 << 20))
  assert path.stat().st_size < 3 << 20
  return path


def test_arrays_that_unpack_to_too_much_are_not_unpacked(tmp_path):
  path = write_bomb(tmp_path / 'part-00000.npz', latents.Latents._fields)
  whole = path.read_bytes()
  for read in (files.read_arrays, lambda path: latents.load(path.parent)):

    def refused(read=read):
      with pytest.raises(ValueError, match=f'states {BOMB + 128} bytes'):
        read(path)

    assert room_of(refused) < ROOM
  # The same with sizes that say little.
  lie = whole.replace((BOMB + 128).to_bytes(4, 'little'), b'\xe8\x03\0\0')
  assert lie != whole
  path.write_bytes(lie)

  def lied_to():
    with pytest.raises(ValueError, match='damaged'):
      files.read_arrays(path)

  assert room_of(lied_to) < ROOM


@pytest.mark.parametrize(
  'shape', [(10**13,), (1 << 62, 4), (0, 1 << 70), (-1, 4), (1 << 40, 0, 1)]
)
def test_shapes_that_cannot_be_are_refused(shape, tmp_path):
  data = write_header(shape) + bytes(64)
  (tmp_path / 'a.npy').write_bytes(data)
  with zipfile.ZipFile(tmp_path / 'a.npz', 'w') as archive:
    archive.writestr('a.npy', data)
  for read, name in ((files.read_array, 'npy'), (files.read_arrays, 'npz')):

    def refused(read=read, name=name):
      with pytest.raises(ValueError, match='damaged'):
        read(tmp_path / f'a.{name}')

    assert room_of(refused) < ROOM


@pytest.mark.parametrize(
  ('steps', 'shape'),
  [(4, (4, 5, 3)), (100_000, (4, 5, 3)), (44, (2048, 2048, 3))],
)
def test_an_episode_that_unpacks_to_too_much_is_left_out(
  steps, shape, zeros, tmp_path
):
  spec = rollouts.Spec('toy', shape, 3, 'discrete')
  action, reward = np.zeros(steps - 1, np.int32), np.ones(steps - 1, np.float32)
  frames = np.ones((2, *shape), np.uint8)
  with rollouts.Writer(tmp_path, spec) as writer:
    writer.append(rollouts.make_episode(0, 0, zeros, action, reward, True))
    short = rollouts.make_episode(1, 1, frames, action[:1], reward[:1], True)
    writer.append(short)
  lines = []

  def read():
    found = list(rollouts.read(tmp_path, on_damage=lines.append))
    assert [episode.index for episode in found] == [1]

  # What the steps and the frames of the whole one may take.
  assert room_of(read) < ROOM + 200 * steps + 2 * frames.nbytes
  assert len(lines) == 1 and 'frames of episode 0 are damaged' in lines[0]


def test_a_record_that_states_too_much_is_no_record(tmp_path):
  size = (1 << 40).to_bytes(8, 'little')
  check = record_file.masked_crc32c(size).to_bytes(4, 'little')
  path = tmp_path / 'episodes-00000000.tfrecord'
  path.write_bytes(size + check + bytes(100))
  lines = []
  assert room_of(lambda: list(record_file.read(path, lines.append))) < ROOM
  assert len(lines) == 1 and 'damaged from byte 0 of 112' in lines[0]


@pytest.mark.parametrize(
  ('name', 'value'),
  [
    ('index', -1),
    ('index', 1 << 40),
    ('seed', -1),
    ('reward', np.array([1, np.nan, 0], np.float32)),
    ('reward', np.array([np.inf, 1, 0], np.float32)),
    ('action', np.array([0, 3, 0], np.int32)),
    ('action', np.array([-1, 0, 0], np.int32)),
    ('discount', np.array([1, 0.5, 0], np.float32)),
    ('is_first', np.array([True, True, False])),
    ('is_last', np.array([True, False, True])),
    ('is_terminal', np.array([True, False, True])),
  ],
)
def test_values_that_no_game_gives_are_refused(name, value):
  spec = fuzz_loaders.SPEC
  frames = np.ones((3, *spec.observation_shape), np.uint8)
  action, reward = np.zeros(2, np.int32), np.ones(2, np.float32)
  episode = rollouts.make_episode(0, 0, frames, action, reward, True)
  assert episodes.validate(episode, spec) is episode
  wrong = episode._replace(**{name: value})
  record = episodes.encode(wrong, spec)  # Its checksum is right.
  with pytest.raises(ValueError, match=rf'episode\.{name} of .* out of range'):
    episodes.decode(record, spec, frames=True)
