"""Files are written whole or not at all."""

import io
import json
import os
import zipfile

import numpy as np
import pytest

from nca_tf import files


def fail(*unused):
  raise OSError(28, 'No space left on device')


def test_text_and_bytes_are_written_in_a_new_folder(tmp_path):
  path = tmp_path / 'a' / 'b' / 'file'
  files.write_whole(path, 'µs\n')
  assert path.read_bytes() == 'µs\n'.encode()
  files.write_whole(str(path), b'\x00\xff')
  assert path.read_bytes() == b'\x00\xff'
  assert os.listdir(path.parent) == ['file']


@pytest.mark.parametrize('step', ['fsync', 'replace'])
def test_failed_write_leaves_the_earlier_file_and_nothing_else(
  tmp_path, monkeypatch, step
):
  path = tmp_path / 'file'
  files.write_whole(path, 'old')
  with monkeypatch.context() as patch:
    patch.setattr(os, step, fail)
    with pytest.raises(OSError, match='No space left'):
      files.write_whole(path, 'new')
    with pytest.raises(OSError, match='No space left'):
      files.write_whole(tmp_path / 'another', 'new')
  assert path.read_text() == 'old'
  assert os.listdir(tmp_path) == ['file']


def test_file_is_complete_on_the_disk_before_it_has_its_name(
  tmp_path, monkeypatch
):
  done = []
  real = os.fsync
  monkeypatch.setattr(os, 'fsync', lambda file: (done.append('s'), real(file)))
  replace = os.replace

  def rename(source, target):
    assert done == ['s'] and source.read_text() == 'all'
    replace(source, target)

  monkeypatch.setattr(os, 'replace', rename)
  files.write_whole(tmp_path / 'file', 'all')
  assert (tmp_path / 'file').read_text() == 'all'


def test_partial_file_of_a_killed_writer_is_overwritten(tmp_path):
  (tmp_path / f'file{files.PARTIAL}').write_text('a much longer text')
  files.write_whole(tmp_path / 'file', 'new')
  assert (tmp_path / 'file').read_text() == 'new'
  assert os.listdir(tmp_path) == ['file']


def test_folder_in_the_place_of_the_file_is_an_error(tmp_path):
  (tmp_path / 'file').mkdir()
  with pytest.raises(OSError):
    files.write_whole(tmp_path / 'file', 'new')
  assert os.listdir(tmp_path) == ['file']


def test_file_in_the_place_of_the_folder_is_an_error(tmp_path):
  (tmp_path / 'folder').touch()
  with pytest.raises(OSError):
    files.write_whole(tmp_path / 'folder' / 'file', 'new')


def test_json_holds_numpy_values(tmp_path):
  value = {
    'a': np.float32(0.5),
    'b': np.arange(2),
    'c': [np.int64(3)],
    'd': 1.5,
  }
  files.write_json(tmp_path / 'a.json', value)
  text = (tmp_path / 'a.json').read_text()
  assert json.loads(text) == {'a': 0.5, 'b': [0, 1], 'c': [3], 'd': 1.5}
  assert text.startswith('{\n  "a": 0.5') and text.endswith('}\n')
  with pytest.raises(TypeError, match=r'a\.json must hold JSON: got object'):
    files.write_json(tmp_path / 'a.json', {'e': object()})
  assert (tmp_path / 'a.json').read_text() == text


def test_json_has_null_for_what_is_not_finite(tmp_path):
  value = {'a': float('nan'), 'b': np.array([1, np.inf]), 3: (-np.inf, True)}
  files.write_json(tmp_path / 'a.json', value)
  assert files.read_json(tmp_path / 'a.json') == {
    'a': None,
    'b': [1, None],
    '3': [None, True],
  }


@pytest.mark.parametrize(
  ('content', 'reason'),
  [
    (b'', 'it is empty'),
    (b' \n', 'it is empty'),
    (b'{"a": 1', 'delimiter'),
    (b'[1]', 'not an object but list'),
    (b'{"a": "\xff"}', 'utf-8'),
    (b'[' * 100_000, 'recursion'),
    (b'{"a": %s}' % (b'9' * 9999), 'digits'),
    (b'{"a": 1}' + b' ' * 99, 'more than 99 bytes'),
  ],
)
def test_damaged_json_is_refused_in_one_line(tmp_path, content, reason):
  path = tmp_path / 'a.json'
  path.write_bytes(content)
  with pytest.raises(ValueError, match=reason) as caught:
    files.read_json(path, limit=99 if b'1}  ' in content else 1 << 25)
  assert str(caught.value).startswith(f'{path} is damaged (')
  assert '\n' not in str(caught.value)
  with pytest.raises(FileNotFoundError, match='b.json'):
    files.read_json(tmp_path / 'b.json')


def test_single_array_is_read_as_suspiciously(tmp_path):
  path = tmp_path / 'a.npy'
  np.save(path, np.arange(5.0))
  np.testing.assert_array_equal(files.read_array(path), np.arange(5.0))
  whole = path.read_bytes()
  for data in (whole[:-1], whole + b'a', whole[:60], b'', bytes(200)):
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r'a\.npy is damaged \('):
      files.read_array(path)


def test_a_full_disk_is_said_of_a_file(tmp_path, monkeypatch):
  monkeypatch.setattr(os, 'fsync', fail)
  with pytest.raises(OSError, match='No space left') as caught:
    files.write_whole(tmp_path / 'file', 'new')
  assert caught.value.filename == str(tmp_path / 'file')
  with pytest.raises(OSError, match='No space left') as caught:
    files.append('/dev/full', 'a line')
  assert caught.value.filename == '/dev/full'


@pytest.mark.parametrize('compress', [False, True])
def test_arrays_come_back(tmp_path, compress):
  arrays = {
    'x': np.arange(6, dtype=np.float32).reshape(2, 3),
    'text': np.array('{"n": 1}'),
  }
  files.write_arrays(tmp_path / 'a', arrays, compress)
  with np.load(tmp_path / 'a', allow_pickle=False) as found:
    assert set(found) == {'x', 'text'}
    for name, array in arrays.items():
      assert found[name].dtype == array.dtype
      np.testing.assert_array_equal(found[name], array)
  zeros = {'x': np.zeros(10_000)}
  files.write_arrays(tmp_path / 'a', zeros, compress)
  assert (tmp_path / 'a').stat().st_size < 1000 or not compress


ARRAYS = {
  'empty': np.zeros((0, 3), np.float32),
  'scalar': np.array(2.5),
  'text': np.array('{"a": 1}'),
  'columns': np.asfortranarray(np.arange(6).reshape(2, 3)),
  'flags': np.array([True, False]),
}


@pytest.mark.parametrize('compress', [False, True])
def test_arrays_are_read_as_written(tmp_path, compress):
  files.write_arrays(tmp_path / 'a.npz', ARRAYS, compress)
  found = files.read_arrays(tmp_path / 'a.npz')
  assert list(found) == list(ARRAYS)
  for name, array in ARRAYS.items():
    assert found[name].dtype == array.dtype
    np.testing.assert_array_equal(found[name], array)
  assert list(files.read_arrays(tmp_path / 'a.npz', ['flags'])) == ['flags']
  with pytest.raises(ValueError, match=r'a\.npz is damaged \(b is missing\)'):
    files.read_arrays(tmp_path / 'a.npz', ['flags', 'b'])
  with pytest.raises(OSError, match=r'b\.npz'):
    files.read_arrays(tmp_path / 'b.npz')


def test_arrays_that_cost_too_much_are_refused_unread(tmp_path, monkeypatch):
  path = tmp_path / 'a.npz'
  files.write_arrays(path, {'a': np.zeros(1 << 20)}, compress=True)
  assert files.read_arrays(path, limit=1 << 23)['a'].nbytes == 1 << 23
  header = np.lib.format.header_data_from_array_1_0(np.zeros(3))
  huge = io.BytesIO()
  np.lib.format.write_array_header_1_0(huge, header | {'shape': (10**13,)})
  with zipfile.ZipFile(tmp_path / 'b.npz', 'w') as archive:
    archive.writestr('a.npy', huge.getvalue() + bytes(24))
  monkeypatch.setattr(np, 'frombuffer', fail)
  with pytest.raises(ValueError, match='a states 8388736 bytes'):
    files.read_arrays(path, limit=1 << 20)
  with pytest.raises(ValueError, match='a states 80000000000000 bytes in 152'):
    files.read_arrays(tmp_path / 'b.npz')


def test_objects_are_refused(tmp_path):
  with (tmp_path / 'a.npz').open('wb') as file:
    np.savez(file, a=np.array([None]))
  with pytest.raises(ValueError, match='damaged'):
    files.read_arrays(tmp_path / 'a.npz')


def test_damaged_arrays_are_refused_in_one_line(tmp_path):
  path = tmp_path / 'a.npz'
  rng = np.random.default_rng(0)
  refused = 0
  for compress in (False, True):
    files.write_arrays(path, ARRAYS, compress)
    whole = path.read_bytes()
    for number in range(1000):
      data = bytearray(whole)
      for place in rng.integers(0, len(data), rng.integers(1, 4)):
        data[place] = rng.integers(256)
      path.write_bytes(data[: rng.integers(len(data))] if number % 4 else data)
      try:
        files.read_arrays(path, list(ARRAYS))
      except ValueError as error:
        assert str(error).startswith(f'{path} is damaged (')
        assert '\n' not in str(error)
        refused += 1
  assert refused > 1700
