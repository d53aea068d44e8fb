"""Tests of the environment that importing the library sets."""

import importlib
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from nca_tf import memory

PROGRAM = """
import os, types
{setup}
import nca_tf
print(os.environ.get('TF_XLA_FLAGS', 'none'))
print(os.environ.get('TF_USE_LEGACY_KERAS'), os.environ['KERAS_BACKEND'])
"""


def import_library(cache, setup='', **variables):
  """Returns the TF_XLA_FLAGS and the Keras switches after the import."""
  environment = {
    name: value for name, value in os.environ.items() if name != 'TF_XLA_FLAGS'
  }
  for name in ('TF_USE_LEGACY_KERAS', 'KERAS_BACKEND'):
    environment.pop(name, None)
  done = subprocess.run(
    [sys.executable, '-c', PROGRAM.format(setup=setup)],
    env={**environment, 'XDG_CACHE_HOME': str(cache), **variables},
    capture_output=True,
    text=True,
    check=True,
  )
  return done.stdout.splitlines()


def test_cache_is_on_beside_the_flags_of_the_user(tmp_path):
  flags, switches = import_library(tmp_path, TF_XLA_FLAGS='--tf_xla_auto_jit=2')
  assert flags.startswith('--tf_xla_auto_jit=2 --tf_xla_persistent_cache_dir')
  assert f'={tmp_path}/nca_tf/xla ' in flags
  assert (tmp_path / 'nca_tf' / 'xla').is_dir()
  assert switches == 'None tensorflow'


def test_switches_of_the_user_stay(tmp_path):
  mine = '--tf_xla_persistent_cache_directory=/mine'
  lines = import_library(tmp_path, TF_XLA_FLAGS=mine, KERAS_BACKEND='jax')
  assert lines == [mine, 'None jax']


@pytest.mark.parametrize(
  'setup',
  [
    'os.access = lambda *unused: False',
    'os.statvfs = lambda folder: types.SimpleNamespace(f_bavail=9, f_frsize=1)',
  ],
)
def test_no_cache_where_it_cannot_be_written(tmp_path, setup):
  assert import_library(tmp_path, setup)[0] == 'none'


def test_no_cache_in_a_folder_that_the_flags_cannot_name(tmp_path):
  assert import_library(tmp_path / 'a b')[0] == 'none'


def test_no_cache_where_no_folder_can_be_made(tmp_path):
  (tmp_path / 'file').touch()
  assert import_library(tmp_path / 'file')[0] == 'none'


def test_distributions_leave_keras_as_it_is():
  program = """
import tensorflow as tf
from nca_tf.world_model.distributions import tfd
print(float(tfd.Normal(0.0, 1.0).log_prob(0.0)))
print(tf.keras.layers.Dense.__module__.split('.')[0])
print(tf.compat.v2.keras.layers.Dense.__module__.split('.')[0])
"""
  for given, name in ((None, 'keras'), ('1', 'tf_keras')):
    environment = {**os.environ, 'TF_USE_LEGACY_KERAS': given or '0'}
    done = subprocess.run(
      [sys.executable, '-c', program],
      env=environment,
      capture_output=True,
      text=True,
      check=True,
    )
    density, *keras_names = done.stdout.split()
    assert float(density) == pytest.approx(-0.5 * np.log(2 * np.pi))
    assert keras_names == [name, name]


def test_layers_go_into_models_of_both_names():
  """tf.keras is Keras 3, as `keras` is, also when nca_tf comes first."""
  inputs = np.ones([2, 4, 3], np.float32)
  for library in (keras, tf.keras):
    model = library.Sequential(
      [
        library.layers.Dense(3),
        memory.DNC(
          memory.DNCCell(4, memory_slots=5, word_size=3, read_heads=1)
        ),
      ]
    )
    assert model(inputs).shape[:1] == (2,)


@pytest.mark.parametrize(
  ('package', 'name'),
  [
    ('nca_tf', 'config_flags'),
    ('nca_tf', 'faults'),
    ('nca_tf', 'flag_parser'),
    ('nca_tf', 'bootstrap'),
    ('nca_tf', 'statistics'),
    ('nca_tf.training', 'metrics'),
    ('nca_tf.training', 'run_folder'),
    ('nca_tf.training', 'progress'),
    ('nca_tf.training', 'checkpoints'),
  ],
)
def test_modules_that_moved_are_found_by_their_first_name(package, name):
  with pytest.warns(
    DeprecationWarning, match=f'{package}.{name} is nca_tf.* now'
  ):
    module = getattr(importlib.import_module(package), name)
  assert module.__name__.startswith('nca_tf.') and module.__doc__
  with pytest.raises(AttributeError, match='has no attribute'):
    importlib.import_module(package).nothing  # noqa: B018
