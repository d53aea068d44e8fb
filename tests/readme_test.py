"""The Python in README.md runs as it stands there."""

import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np

from nca_tf.memory import cells
from nca_tf.saved_models import export
from nca_tf.world_model import model as model_lib
from nca_tf.world_model import vision as vision_lib

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / 'README.md').read_text(encoding='utf-8')
MARK = '<!-- Run by tests/readme_test.py. -->'


def read_blocks():
  return re.findall(
    rf'{re.escape(MARK)}\n```python\n(.*?)```', README, re.DOTALL
  )


def test_every_python_block_is_run():
  assert len(read_blocks()) == README.count('```python') == 2


def test_dnc_learns_in_a_process_of_its_own(tmp_path):
  """As a user pastes it: nothing has imported nca_tf or TensorFlow before."""
  dnc, _ = read_blocks()
  script = tmp_path / 'example.py'
  checks = (
    'assert outputs.shape == (256, 12, 64 + 2 * 8)',
    'losses = history.history["loss"]',
    'assert losses[-1] < losses[0], losses',
    'assert model.predict(sequences, verbose=0).shape == targets.shape',
  )
  script.write_text('\n'.join([dnc, *checks]), encoding='utf-8')
  done = subprocess.run(
    [sys.executable, script],
    cwd=tmp_path,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr


def test_saved_models_answer_to_the_names_in_the_readme(tmp_path):
  _, block = read_blocks()
  keras.utils.set_random_seed(0)
  vision = vision_lib.VisionModel(4, 'light')
  vision.build()
  cell = cells.make('dnc', 8, memory_slots=6, word_size=4, read_heads=2)
  model = model_lib.MemoryModel(cell, 4, 3, 2)
  model.build()
  export.export_vision(vision, tmp_path / 'vision')
  export.export_model(model, tmp_path / 'model')
  block, replaced = re.subn(
    r"^folder = '.*'$", f'folder = {str(tmp_path)!r}', block, flags=re.MULTILINE
  )
  assert replaced == 1
  scope = {
    'frames': np.zeros((5, 64, 64, 3), np.uint8),
    'action': np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]],
  }
  exec(block, scope)
  state = {f'next_{name}' for name in scope['state']}
  named = set(re.findall('`((?:next_|done_)[a-z]+)`', README))
  named.discard('next_h')
  assert named == {'next_z', 'next_mean', 'done_probability'}
  assert set(scope['out']) == named | state
  assert 'next_h' in state
  assert scope['out']['next_z'].shape == (5, 4)
  assert 'dream' in scope['model']
