"""What `bin/benchmark` can measure.

A subject is a module with `Config` and `run`, or two, and one line below. The
first is imported for `--help` as well: it leaves TensorFlow to `run`.
"""

import functools
import importlib

# Name: (module with `Config`, module with `run`).
_MODULES = {
  'cma_es': ('cma_es.settings', 'cma_es.run'),
  'dnc': ('dnc.settings', 'dnc.run'),
  'dream': ('dream', 'dream'),
  'pixel_copter': ('pixel_copter', 'pixel_copter'),
  'pommerman': ('pommerman', 'pommerman'),
  'ppo': ('ppo.settings', 'ppo.run'),
  'simple_agent': ('simple_agent', 'simple_agent'),
}


def _load(settings, run):
  """Returns a subject's configuration class and the module of its `run`."""
  module = importlib.import_module(f'{__package__}.{settings}')
  return module.Config, f'{__package__}.{run}'


# Name: function that imports the subject, for `config_flags.main_of`.
SUBJECTS = {
  name: functools.partial(_load, *modules) for name, modules in _MODULES.items()
}
