"""The two kinds of error that a binary answers in one line.

Library code raises `ValueError` and `RuntimeError` as any Python library does.
Experiments raise `UsageError` for what the user caused and `Fault` for what the
machine caused; `config_flags.main` prints both in one line. Any other exception
is a bug and keeps its traceback.
"""


class UsageError(ValueError):
  """Wrong input by the user: one line on stderr, exit status 2.

  Raise it before anything is written, and name the flag, what is allowed and
  what was given: `--episodes must be at least 1, got 0`.
  """


class Fault(RuntimeError):
  """A fault at run time, such as a damaged file: one line, exit status 1."""
