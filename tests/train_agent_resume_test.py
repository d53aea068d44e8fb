"""bin/train_agent: `kill -9` in mid-training, and the same command again."""

import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import processes
import tensorflow as tf

BINARY = pathlib.Path(__file__).parent.parent / 'bin' / 'train_agent'
# The binary as it is, but for a checkpoint after each record, not each minute,
# and a line of progress for each as well.
OFTEN = """
import runpy
import sys
from nca_tf.runs import progress
from nca_tf.training import loop
loop.SAVE_SECONDS = progress._INTERVAL = 0
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""
UPDATES = 200


def command(folder, *flags):
  """One thread, so that an uninterrupted run is repeated to the last bit."""
  return [
    *(sys.executable, '-c', OFTEN, str(BINARY)),
    '--preset=smoke',
    '--threads=1',
    f'--steps={8 * 16 * UPDATES}',
    f'--run_dir={folder}',
    *flags,
  ]


def kill_and_resume(folder, *flags):
  """Kills a run between its first checkpoint and its last; runs it again.

  Returns the number of updates of the checkpoint that it went on from.
  """
  # The first checkpoint comes right after the line before this one.
  start = f'train: {2 * UPDATES // 20}/'
  processes.kill_behind(command(folder, *flags), start, 0)
  files = (folder / 'checkpoints' / 'agent').glob('*.index')
  done = max(int(re.search(r'(\d+)\.index', file.name)[1]) for file in files)
  assert 0 < done < UPDATES
  assert not (folder / 'score.json').exists()
  found = subprocess.run(
    command(folder, *flags), check=False, capture_output=True, text=True
  )
  assert found.returncode == 0, found.stderr[-2000:]
  return done


def weights(folder):
  """Variables of the last checkpoint by name."""
  last = tf.train.latest_checkpoint(folder / 'checkpoints' / 'agent')
  reader = tf.train.load_checkpoint(last)
  return {
    name: reader.get_tensor(name)
    for name in reader.get_variable_to_shape_map()
    if not re.search('OBJECT_GRAPH|save_counter|py_state', name)
  }


def records(folder):
  lines = (folder / 'metrics.jsonl').read_text().splitlines()
  return list(map(json.loads, lines))


def test_rooms_with_curiosity_go_on_as_if_nothing_had_been(tmp_path):
  flags = ('--rnd', '--cell=lstm')
  whole, killed = tmp_path / 'whole', tmp_path / 'killed'
  subprocess.run(command(whole, *flags), check=True, capture_output=True)
  kill_and_resume(killed, *flags)
  one, other = weights(whole), weights(killed)
  assert set(one) == set(other) and len(one) > 50
  for name, value in one.items():
    np.testing.assert_array_equal(other[name], value, name)
  assert records(killed) == records(whole)
  scores = [json.loads((f / 'score.json').read_text()) for f in (whole, killed)]
  for score in scores:
    del score['cpu_seconds']
  assert scores[0] == scores[1]


def test_games_of_gymnasium_begin_new_episodes_and_lose_nothing_else(tmp_path):
  """They do not pickle: all episodes are cut off, as by a time limit."""
  done = kill_and_resume(tmp_path, '--env=gym:CartPole-v1')
  found = records(tmp_path)
  steps = [record['step'] for record in found]
  assert steps == sorted(set(steps)) and steps[-1] == UPDATES
  assert done in steps
  assert all(np.isfinite(record['loss']) for record in found)
  counters = [v for n, v in weights(tmp_path).items() if 'train_step' in n]
  assert counters == [UPDATES]
  # Each lane's episodes have rewards of 1 per step: nothing counts twice.
  assert all(0 < record['return'] <= 500 for record in found)
  assert json.loads((tmp_path / 'score.json').read_text())['drawn'] > 0
