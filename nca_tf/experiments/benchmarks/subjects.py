"""What `bin/benchmark` can measure.

A subject is a module with `Config` and `run`, and one line below.
"""

import functools
import importlib

_MODULES = {
  'cma_es': 'cma_es.run',
  'dnc': 'dnc.run',
  'dream': 'dream',
  'pixel_copter': 'pixel_copter',
  'pommerman': 'pommerman',
  'simple_agent': 'simple_agent',
}


def _load(module):
  """Returns a subject's configuration class and its `run`."""
  subject = importlib.import_module(f'{__package__}.{module}')
  return subject.Config, subject.run


# Name: function that imports the subject, for `config_flags.main_of`.
SUBJECTS = {
  name: functools.partial(_load, module) for name, module in _MODULES.items()
}
