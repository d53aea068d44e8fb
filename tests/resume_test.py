"""`kill -9` of the whole process group, and the same command again.

NCA_TF_KILLS=10 pytest tests/resume_test.py   kills at ten moments.
"""

import functools
import json
import os
import pathlib
import random
import subprocess
import sys

import processes
import pytest

from nca_tf.datasets import rollouts

BINARY = pathlib.Path(__file__).parent.parent / 'bin' / 'train_world_model'
KILLS = int(os.environ.get('NCA_TF_KILLS', '4'))
STAGES = ('collect', 'vision', 'model', 'export')


def command(folder, cell):
  """One thread, so that an uninterrupted run is repeated to the last bit."""
  return [
    sys.executable,
    str(BINARY),
    '--preset=smoke',
    f'--cell={cell}',
    '--threads=1',
    '--vision_steps=40',
    '--model_steps=100',
    '--episodes=12',
    f'--run_dir={folder}',
  ]


def result(folder):
  """Metrics and measures, and which episodes are there."""
  episodes = [
    (episode.index, episode.seed, bytes(episode.observation))
    for episode in rollouts.read(folder / 'rollouts', frames=False)
  ]
  stages = json.loads((folder / 'stages.json').read_text())
  return (folder / 'metrics.jsonl').read_text(), stages, episodes


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory):
  """Results of whole runs, by cell, made when they are first asked for."""

  @functools.cache
  def run(cell):
    folder = tmp_path_factory.mktemp(cell)
    subprocess.run(command(folder, cell), check=True, capture_output=True)
    return result(folder)

  return run


@pytest.mark.parametrize('number', range(KILLS))
def test_the_same_command_finishes_a_killed_run(
  number, uninterrupted, tmp_path
):
  # Spread over the stages whatever the number of kills; seeded moments.
  stage = STAGES[number * len(STAGES) // KILLS]
  cell = 'dnc' if number % 4 == 2 else 'lstm'
  delay = random.Random(number).uniform(0, 0.3 if stage == 'collect' else 1.5)
  processes.kill_behind(command(tmp_path, cell), f'{stage}:', delay)
  again = subprocess.run(
    command(tmp_path, cell), check=False, capture_output=True, text=True
  )
  assert again.returncode == 0, again.stderr[-2000:]
  metrics, stages, episodes = result(tmp_path)
  assert [index for index, _, _ in episodes] == list(range(12))
  whole = uninterrupted(cell)
  assert episodes == whole[2]
  assert metrics == whole[0]
  assert stages == whole[1]
