"""What every test process has: the Keras switch, one thread, fixed seeds."""

import os
import random

import hypothesis
import pytest

import nca_tf  # noqa: F401  Before TensorFlow, whoever imports that.

# Two test processes share the machine. NumPy reads the first of these when it
# is imported, TensorFlow all of them when it starts.
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('TF_NUM_INTEROP_THREADS', '1')
os.environ.setdefault('TF_NUM_INTRAOP_THREADS', '1')
os.environ.setdefault('CUDA_VISIBLE_DEVICES', '-1')  # The CPU's numbers.
os.environ.setdefault('MPLBACKEND', 'agg')

hypothesis.settings.register_profile(
  'fixed', database=None, deadline=None, derandomize=True
)
hypothesis.settings.load_profile('fixed')


def _seed():
  import numpy as np  # After the variables above.

  random.seed(0)
  np.random.seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
  """Gives a module's fixtures the same numbers, whichever test is first."""
  _seed()


@pytest.fixture(autouse=True)
def fixed_seeds():
  """Gives each test the same global random numbers, alone or in a suite."""
  _seed()
