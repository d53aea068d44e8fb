"""What `bin/benchmark` can measure.

A subject is a `Config` and a function `run`, in one module or in two of a
folder, and one line below.
"""

import functools
import importlib

# Name: the modules, of this package, that have `Config` and `run`.
_MODULES = {
  'cma_es': ('cma_es.settings', 'cma_es.run'),
  'dnc': ('dnc.settings', 'dnc.run'),
  'dream': ('dream', 'dream'),
  'pommerman': ('pommerman', 'pommerman'),
  'simple_agent': ('simple_agent', 'simple_agent'),
}


def _load(*modules):
  """Returns a subject's configuration class and its `run`."""
  settings, run = (
    importlib.import_module(f'{__package__}.{name}') for name in modules
  )
  return settings.Config, run.run


# Name: function that imports the subject, for `config_flags.main_of`.
SUBJECTS = {
  name: functools.partial(_load, *modules) for name, modules in _MODULES.items()
}
