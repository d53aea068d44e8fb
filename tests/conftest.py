"""What every test process has: the Keras switch, one thread, fixed seeds."""

import os
import random

# Two test processes share the machine; read when TensorFlow starts.
for _name in (
  'OMP_NUM_THREADS',
  'TF_NUM_INTEROP_THREADS',
  'TF_NUM_INTRAOP_THREADS',
):
  os.environ.setdefault(_name, '1')
os.environ.setdefault('CUDA_VISIBLE_DEVICES', '-1')  # Quiet without a GPU.
os.environ.setdefault('MPLBACKEND', 'agg')

import hypothesis
import numpy as np
import pytest

import nca_tf  # noqa: F401  Before TensorFlow, whoever imports that.

hypothesis.settings.register_profile(
  'fixed', database=None, deadline=None, derandomize=True
)
hypothesis.settings.load_profile('fixed')


@pytest.fixture(autouse=True)
def fixed_seeds():
  """Gives each test the same global random numbers, alone or in a suite."""
  random.seed(0)
  np.random.seed(0)
