"""Damages files at random, and sees to it that every loader says so.

python tests/fuzz_loaders.py --files=100000 --seed=0

A loader reads a damaged file, or refuses it with `ValueError` or `Fault`, in a
line. Any other exception is a leak. It may cost no more memory than ROOM and no
more time than SECONDS, whatever the file says of itself.
"""

# ruff: noqa: E402  Where it is run by hand, it says first where the library is.

import argparse
import contextlib
import dataclasses
import io
import json
import os
import pathlib
import re
import resource
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable

ROOT = pathlib.Path(__file__).resolve().parent.parent
if __name__ == '__main__':
  sys.path.insert(0, str(ROOT))

import numpy as np
import tensorflow as tf

from nca_tf import files
from nca_tf.command_line import faults
from nca_tf.datasets import latents
from nca_tf.datasets import record_file
from nca_tf.datasets import rollouts
from nca_tf.environments.pommerman.engine import engine
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.recordings import json_state
from nca_tf.environments.pommerman.recordings import trace
from nca_tf.environments.workers import saved_agent
from nca_tf.evolution import cma_es
from nca_tf.evolution import optimizer
from nca_tf.experiments.controller import search
from nca_tf.experiments.predictions import pommerman_games
from nca_tf.play import score
from nca_tf.runs import checkpoints
from nca_tf.runs import metrics
from nca_tf.runs import run_files
from nca_tf.runs import run_folder
from nca_tf.world_model import architecture

ROOM = 1 << 30  # Bytes.
SECONDS = 5.0  # Of the processor.
REFUSALS = (ValueError, faults.Fault)
FFA = variants.get_variant('PommeFFACompetition-v0')
SPEC = rollouts.Spec('toy', (4, 5, 3), 3, 'discrete')


@dataclasses.dataclass
class Loader:
  """One kind of file.

  Attributes:
    write: Writes an intact one into a folder, and returns its path.
    read: Reads that path.
    weight: Its share of all files; less where a file takes longer.
  """

  write: Callable[[pathlib.Path], pathlib.Path]
  read: Callable[[pathlib.Path], object]
  weight: float = 1.0


LOADERS: dict[str, Loader] = {}


def loader(name, read, weight=1.0):
  """Registers the loader whose `write` is decorated."""

  def add(write):
    LOADERS[name] = Loader(write, read, weight)
    return write

  return add


# Arrays.

ARRAYS = {
  'x': np.arange(12, dtype=np.float32).reshape(3, 4),
  'text': np.array('{"n": 1}'),
  'flags': np.array([True, False]),
  'columns': np.asfortranarray(np.arange(6).reshape(2, 3)),
}


@loader('arrays', files.read_arrays)
def _write_arrays(folder):
  files.write_arrays(folder / 'a.npz', ARRAYS)
  return folder / 'a.npz'


@loader('arrays, compressed', lambda path: files.read_arrays(path, ['x']))
def _write_compressed(folder):
  files.write_arrays(folder / 'a.npz', ARRAYS, compress=True)
  return folder / 'a.npz'


@loader('one array', files.read_array)
def _write_array(folder):
  np.save(folder / 'a.npy', np.arange(20.0))
  return folder / 'a.npy'


@loader('latents', lambda path: latents.load(path.parent))
def _write_latents(folder):
  path = folder / 'part-00000.npz'
  first = np.arange(9) % 3 == 0
  part = latents.Latents(
    mean=np.ones((9, 2), np.float16),
    log_variance=np.ones((9, 2), np.float16),
    action=np.zeros(9, np.int32),
    reward=np.ones(9, np.float32),
    is_first=first,
    is_terminal=np.roll(first, -1),
    episode=np.repeat(np.arange(3, dtype=np.int32), 3),
  )
  latents.save(part, path)
  return path


@loader('games', pommerman_games.load)
def _write_games(folder):
  games = pommerman_games.Games(
    state=np.ones((6, 4), np.uint8),
    action=np.ones(6, np.uint8),
    is_first=np.arange(6) % 3 == 0,
    is_terminal=np.arange(6) % 3 == 2,
    game=np.repeat(np.arange(2, dtype=np.int32), 3),
    oracle=np.ones((6, 0), np.uint8),
  )
  pommerman_games.save(games, folder / 'games.npz')
  return folder / 'games.npz'


_INITIAL = cma_es.initial(cma_es.Settings.make(3, 6), np.zeros(3), 0.5)
_STATE = {name: part.numpy() for name, part in _INITIAL._asdict().items()}


@loader("a search's state", lambda path: search.read_arrays(path, _STATE))
def _write_state(folder):
  files.write_arrays(folder / 'state.npz', _STATE)
  return folder / 'state.npz'


@loader('a search', optimizer.CMAES.load, weight=0.2)
def _write_search(folder):
  optimizer.CMAES(np.zeros(3), 0.5).save(folder / 'search')
  return folder / 'search'


@loader('a trace', trace.read, weight=0.5)
def _write_trace(folder):
  recorded = ROOT / 'testdata' / 'pommerman'
  smallest = min(recorded.rglob('*.npz'), key=lambda path: path.stat().st_size)
  (folder / 'trace.npz').write_bytes(smallest.read_bytes())
  return folder / 'trace.npz'


# Rollouts.


def _read_shards(path):
  found = rollouts.read(path.parent, on_damage=lambda line: None)
  return [episode.observation.sum() for episode in found]


def _write_rollouts(folder):
  with rollouts.Writer(folder, SPEC) as writer:
    for index in range(3):
      frames = np.full((4, 4, 5, 3), index, np.uint8)
      action, reward = np.ones(3, np.int32), np.ones(3, np.float32)
      writer.append(
        rollouts.make_episode(index, index, frames, action, reward, True)
      )


@loader('a shard', _read_shards)
def _write_shard(folder):
  _write_rollouts(folder)
  return rollouts.shards(folder)[0]


@loader('spec.json', _read_shards)
def _write_spec(folder):
  _write_rollouts(folder)
  return folder / 'spec.json'


# Run folders.


def _read_run(path):
  path.with_name('config.copy.json').unlink(missing_ok=True)
  return architecture.read_settings('world_model', path.parent)


def _write_run(folder):
  settings = {'env': 'vizdoom', 'held_out': 8, 'done_weight': 10.0}
  settings |= {'cell': 'lstm', 'units': 16, 'mixtures': 2, 'joint': False}
  files.write_json(
    folder / 'config.json',
    {'binary': 'train_world_model', 'config': settings},
  )
  stages = {'encode': {'frames': 605}, 'model': {'step': 4, 'loss': 0.5}}
  files.write_json(folder / 'stages.json', stages)


@loader('config.json', _read_run)
def _write_config(folder):
  _write_run(folder)
  return folder / 'config.json'


@loader('stages.json', _read_run)
def _write_stages(folder):
  _write_run(folder)
  return folder / 'stages.json'


@loader('its stages', lambda path: run_folder.read_stages(path.parent))
def _write_other_stages(folder):
  _write_run(folder)
  return folder / 'stages.json'


def _read_records(path):
  log = object.__new__(metrics.MetricsLog)  # Without TensorBoard's files.
  log._path, log._has_warned = path, True
  return [
    record['step'] + len(record['stage']) for record in log.records('vision')
  ]


@loader('metrics.jsonl', _read_records)
def _write_metrics(folder):
  lines = (
    json.dumps({'stage': 'vision', 'step': step, 'loss': 1 / step})
    for step in range(1, 9)
  )
  (folder / 'metrics.jsonl').write_text('\n'.join(lines) + '\n')
  return folder / 'metrics.jsonl'


@loader('episodes.jsonl', score.read_episodes)
def _write_episodes(folder):
  lines = (
    json.dumps(
      {'index': i, 'seed': 7, 'score': 2.5, 'tics': 3, 'terminated': True}
    )
    for i in range(5)
  )
  (folder / 'episodes.jsonl').write_text('\n'.join(lines) + '\n')
  return folder / 'episodes.jsonl'


def _restore(path):
  value = tf.Variable(tf.zeros(8))
  return checkpoints.Checkpoints(path.parent, value=value).load(3)


def _write_checkpoint(folder):
  value = tf.Variable(tf.range(8.0))
  checkpoints.Checkpoints(folder, value=value).save(3)


@loader("a checkpoint's index", _restore, weight=0.15)
def _write_index(folder):
  _write_checkpoint(folder)
  return folder / 'ckpt-3.index'


@loader("a checkpoint's data", _restore, weight=0.15)
def _write_data(folder):
  _write_checkpoint(folder)
  return folder / 'ckpt-3.data-00000-of-00001'


@loader("a checkpoint's list", _restore, weight=0.15)
def _write_list(folder):
  _write_checkpoint(folder)
  return folder / 'checkpoint'


@loader(
  'a SavedModel',
  lambda path: run_files.is_saved_model(path.parent),
  weight=0.3,
)
def _write_saved_model(folder):
  tf.saved_model.save(tf.Module(), str(folder))
  return folder / 'saved_model.pb'


# Agents and games.


@loader('agent.json', lambda path: saved_agent.read_info(path.parent))
def _write_agent(folder):
  info = {'env': 'vizdoom', 'action_kind': 'discrete', 'frame_skip': 4}
  info |= {'digest': '0123456789abcdef', 'parameters': 3, 'features': ['z']}
  files.write_json(folder / 'agent.json', info)
  return folder / 'agent.json'


def _read_game(path):
  return json_state.load(FFA, files.read_json(path))


@loader('a game in JSON', _read_game)
def _write_game(folder):
  rng = np.random.default_rng(0)
  state = engine.reset(FFA, 1, rng)
  for _ in range(16):
    engine.step(state, rng.integers(6, size=(1, 4)))
  files.write_json(folder / 'game.json', json_state.dump(state, 0))
  return folder / 'game.json'


# Damage.

_NUMBERS = (
  *(b'-1', b'0', b'2.5', b'1e400', b'NaN', b'-Infinity', b'true', b'null'),
  *(b'99999999999', b'10000000000000', b'"3"', b'[[]]', b'{}', b'9' * 400),
)


def _flip(rng, data):
  for place in rng.integers(0, len(data), rng.integers(1, 5)):
    data[place] ^= 1 << rng.integers(8)


def _cut(rng, data):
  del data[rng.integers(len(data)) :]


def _span(rng, data):
  start = int(rng.integers(len(data)))
  return start, start + int(rng.integers(1, 65))


def _clear(rng, data):
  start, stop = _span(rng, data)
  data[start:stop] = bytes(len(data[start:stop]))


def _repeat(rng, data):
  start, stop = _span(rng, data)
  data[stop:stop] = bytes(data[start:stop]) * int(rng.integers(1, 4))


def _remove(rng, data):
  start, stop = _span(rng, data)
  del data[start:stop]


def _splice(rng, data):
  (start, stop), place = _span(rng, data), int(rng.integers(len(data)))
  data[place : place + stop - start] = data[start:stop]


def _swap_head(rng, data):
  size = int(rng.choice([4, 8, 16, 64]))
  place = int(rng.integers(len(data)))
  head, other = bytes(data[:size]), bytes(data[place : place + size])
  data[place : place + size] = head
  data[:size] = other


def _number(rng, data):
  """Puts something else in the place of a number in a text or a header."""
  found = list(re.finditer(rb'-?\d+(?:\.\d+)?|true|false', bytes(data)))
  if not found:
    return _flip(rng, data)
  place = found[rng.integers(len(found))]
  data[place.start() : place.end()] = _NUMBERS[rng.integers(len(_NUMBERS))]


def _integer(rng, data):
  """Writes an integer of 4 or 8 bytes that is too large, as a size may be."""
  kind = ('<I', '<Q')[rng.integers(2)]
  size = struct.calcsize(kind)
  place = int(rng.integers(len(data)))
  value = (1 << (8 * size - int(rng.integers(1, 40)) % (8 * size))) - 1
  data[place : place + size] = struct.pack(kind, value)


DAMAGES = (
  *(_flip, _cut, _clear, _repeat, _remove, _splice, _swap_head),
  *(_number, _integer),
)


def damage(rng: np.random.Generator, whole: bytes) -> bytes:
  """Returns a file with some damage, also behind checksums that are right."""
  data = bytearray(whole)
  if rng.random() < 0.3:
    data = bytearray(_rewrite(rng, whole))
  if data and (bytes(data) == whole or rng.random() < 0.1):
    DAMAGES[rng.integers(len(DAMAGES))](rng, data)
  return bytes(data)


def _rewrite(rng, whole):
  """Damages what is in a container, and gives that the right checksums."""
  with contextlib.suppress(zipfile.BadZipFile):
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
      members = [(each, archive.read(each)) for each in archive.infolist()]
    chosen = rng.integers(len(members))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
      for number, (entry, content) in enumerate(members):
        content = bytearray(content)
        if number == chosen:
          DAMAGES[rng.integers(len(DAMAGES))](rng, content)
        archive.writestr(entry, bytes(content), entry.compress_type)
    return stream.getvalue()
  length = int.from_bytes(whole[:8], 'little')
  if len(whole) > 16 and length < len(whole):  # A shard's first record.
    content, rest = bytearray(whole[12 : 12 + length]), whole[12 + length :]
    DAMAGES[rng.integers(len(DAMAGES))](rng, content)
    size = struct.pack('<Q', len(content))
    check = struct.pack('<I', record_file.masked_crc32c(size))
    return size + check + bytes(content) + rest
  return whole


# The fuzz.


@dataclasses.dataclass
class Result:
  """What became of the files of one loader."""

  files: int = 0
  refused: int = 0
  seconds: float = 0.0  # Of the slowest.
  room: int = 0  # Bytes that the largest took.
  leaks: list[str] = dataclasses.field(default_factory=list)

  @property
  def is_right(self) -> bool:
    """Whether nothing leaked, and no bound was passed."""
    bounds = self.room < ROOM and self.seconds < SECONDS
    return bounds and not self.leaks


def fuzz(name: str, count: int, seed: int, folder: pathlib.Path) -> Result:
  """Reads `count` damaged files of a loader; each depends on the seed alone."""
  entry, result = LOADERS[name], Result()
  folder.mkdir(parents=True)
  path = entry.write(folder)
  entry.read(path)  # The intact one.
  whole = path.read_bytes()
  for number in range(count):
    rng = np.random.default_rng((seed, number, *name.encode()))
    path.write_bytes(damage(rng, whole))
    before, began = _reset_room(), time.process_time()
    try:
      with contextlib.redirect_stderr(io.StringIO()):  # What it warns of.
        entry.read(path)
    except REFUSALS as error:
      result.refused += 1
      if '\n' in str(error):
        result.leaks.append(f'{number}: several lines: {error}')
    except Exception as error:
      result.leaks.append(f'{number}: {type(error).__name__}: {error}'[:300])
    result.seconds = max(result.seconds, time.process_time() - began)
    result.room = max(result.room, _peak_room() - before)
    result.files += 1
  return result


def _reset_room():
  """Begins to measure the peak of this process's memory anew, if Linux may."""
  with contextlib.suppress(OSError):
    pathlib.Path('/proc/self/clear_refs').write_text('5')
  return _peak_room()


def _peak_room():
  """Bytes."""
  with contextlib.suppress(OSError):
    status = pathlib.Path('/proc/self/status').read_text()
    return int(re.search(r'VmHWM:\s+(\d+)', status)[1]) << 10
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def main():
  """Prints a table; exit status 1 if anything is wrong."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--files', type=int, default=100_000)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--loaders', default='', help='Some, with ; between.')
  options = parser.parse_args()
  names = options.loaders.split(';') if options.loaders else list(LOADERS)
  total = sum(LOADERS[name].weight for name in names)
  warnings.simplefilter('ignore')  # NumPy's, on headers that are damaged.
  heads = ('files', 'refused', 'read', 'leaks', 'seconds', 'MB')
  print(f'{"loader":22}' + ''.join(f'{head:>9}' for head in heads))
  results = {}
  with tempfile.TemporaryDirectory() as folder:
    for name in names:
      count = round(options.files * LOADERS[name].weight / total)
      path = pathlib.Path(folder, re.sub(r'\W', '_', name))
      found = results[name] = fuzz(name, count, options.seed, path)
      read = found.files - found.refused - len(found.leaks)
      print(
        f'{name:22}{found.files:9}{found.refused:9}{read:9}'
        f'{len(found.leaks):9}{found.seconds:9.2f}{found.room / 1e6:9.0f}',
        flush=True,
      )
      for leak in found.leaks[:5]:
        print(f'  {leak}')
  print(f'{sum(each.files for each in results.values())} files')
  return 0 if all(each.is_right for each in results.values()) else 1


if __name__ == '__main__':
  os.environ.setdefault('CUDA_VISIBLE_DEVICES', '-1')
  sys.exit(main())
