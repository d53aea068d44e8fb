"""Runs pytest on the file that a Bazel target names."""

import sys

import pytest

if __name__ == '__main__':
  # The environment's editable install would supply what BUILD does not declare.
  sys.meta_path[:] = [
    finder for finder in sys.meta_path if 'Editable' not in str(finder)
  ]
  status = pytest.main(['-p', 'no:cacheprovider', *sys.argv[1:]])
  # A file for an optional package has no tests where that is not installed.
  sys.exit(0 if status == pytest.ExitCode.NO_TESTS_COLLECTED else status)
