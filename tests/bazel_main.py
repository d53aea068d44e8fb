"""Runs pytest on the file that a Bazel target names."""

import sys

import pytest

if __name__ == '__main__':
  # The environment's editable install would supply what BUILD does not declare.
  sys.meta_path[:] = [
    finder for finder in sys.meta_path if 'Editable' not in str(finder)
  ]
  sys.exit(pytest.main(['-p', 'no:cacheprovider', *sys.argv[1:]]))
