"""TensorFlow's notices are left out, all else that it writes is shown."""

import io
import os
import pathlib
import subprocess
import sys

import pytest

from nca_tf.command_line import noise

ROOT = pathlib.Path(__file__).resolve().parent.parent
# As versions 2.15 to 2.21 write them, on machines with and without a GPU.
NOTICES = """\
WARNING: All log messages before absl::InitializeLog() is called are written \
to STDERR
I0000 00:00:1795888585.119043   19903 port.cc:153] oneDNN custom operations are
W0000 00:00:1795888585.119043   19903 computation_placer.cc:177] twice
E0000 00:00:1795888585.119043   19903 cuda_dnn.cc:8310] Unable to register
E0000 00:00:1795888585.119043   19903 cuda_platform.cc:52] failed call to cuInit
2026-11-28 18:04:13.123456: I tensorflow/core/util/port.cc:153] oneDNN custom
2026-11-28 18:04:13.123456: E external/local_xla/cuda_fft.cc:477] Unable to
To enable the following instructions: AVX2 FMA, in other operations, rebuild
"""
ERRORS = """\
E0000 00:00:1795888585.119043   19903 gpu_device.cc:1] out of memory
F0000 00:00:1795888585.119043   19903 cpu_feature_guard.cc:1] built for AVX512
2026-11-28 18:04:13.123456: F tensorflow/core/platform/cpu.cc:36] built for AVX
Traceback (most recent call last):
I am no notice
2026 was a year
"""


def test_only_notices_are_left_out():
  target = io.BytesIO()
  source = io.BytesIO((NOTICES + ERRORS + NOTICES).encode() + b'\xff no end')
  noise.main(source, target)
  assert target.getvalue() == ERRORS.encode() + b'\xff no end'


def run_import(tmp_path, code, shell='', **variables):
  """Imports a fake TensorFlow that runs `code`; returns status and stderr."""
  package = tmp_path / 'tensorflow'
  package.mkdir(exist_ok=True)
  (package / '__init__.py').write_text(
    f'import os, sys\nwrite = lambda text: os.write(2, text.encode())\n{code}\n'
  )
  script = tmp_path / 'script.py'
  script.write_text(
    'import importlib.util, os\n'
    'from nca_tf.command_line import noise\n'
    'noise.silence()\n'
    'importlib.util.find_spec("tensorflow")  # Does not import it.\n'
    'import tensorflow\n'
    f'os.write(1, b"imported")\nos.write(2, {NOTICES[:50].encode()!r})\n'
  )
  environment = {
    **os.environ,
    'PYTHONPATH': f'{tmp_path}:{ROOT}',
    'TF_CPP_MIN_LOG_LEVEL': '3',
    **variables,
  }
  done = subprocess.run(
    ['bash', '-c', f'exec "$0" "$@" {shell}', sys.executable, str(script)],
    env=environment,
    capture_output=True,
    text=True,
  )
  return done.returncode, done.stdout, done.stderr


def test_import_is_silent_and_what_follows_is_not(tmp_path):
  code = f'write({NOTICES + ERRORS!r})'
  assert run_import(tmp_path, code) == (0, 'imported', ERRORS + NOTICES[:50])


def test_user_who_asks_for_the_log_gets_it(tmp_path):
  code = f'write({NOTICES!r})'
  found = run_import(tmp_path, code, TF_CPP_MIN_LOG_LEVEL='0')
  assert found == (0, 'imported', NOTICES + NOTICES[:50])


def test_last_words_of_a_process_are_shown(tmp_path):
  code = f'write({NOTICES + ERRORS!r}); os._exit(134)'
  assert run_import(tmp_path, code) == (134, '', ERRORS)


def test_failed_import_puts_stderr_back(tmp_path):
  status, _, text = run_import(tmp_path, 'raise ImportError("libcudart")')
  assert status == 1
  assert text.startswith('Traceback') and 'ImportError: libcudart' in text


@pytest.mark.parametrize('shell', ['2>&-', '<&- 2>/dev/null', '2>/dev/full'])
def test_without_a_stderr_the_import_goes_on(tmp_path, shell):
  assert run_import(tmp_path, '', shell)[1] == 'imported'


def test_tensorflow_itself_has_nothing_to_say():
  code = (
    'import nca_tf; from nca_tf.command_line import noise; noise.silence(); '
    'import tensorflow as tf; print(int(tf.constant(7)))'
  )
  environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
  environment.pop('TF_CPP_MIN_LOG_LEVEL', None)
  done = subprocess.run(
    [sys.executable, '-c', code],
    env=environment,
    capture_output=True,
    text=True,
  )
  assert (done.returncode, done.stdout, done.stderr) == (0, '7\n', '')
