"""What can be measured against other libraries and against its own floor.

A subject is one file `benchmark_<subject>.py` with `Config` and `run`, and one
line below.
"""


def _cma_es():
  from nca_tf.experiments.benchmarks.cma_es import run as subject

  return subject.Config, subject.run


def _dnc():
  from nca_tf.experiments.benchmarks.dnc import run as subject

  return subject.Config, subject.run


def _dream():
  from nca_tf.experiments.benchmarks import dream as subject

  return subject.Config, subject.run


def _pommerman():
  from nca_tf.experiments.benchmarks import pommerman as subject

  return subject.Config, subject.run


def _simple_agent():
  from nca_tf.experiments.benchmarks import simple_agent as subject

  return subject.Config, subject.run


# Name: function that imports the subject; `config_flags.main_of` calls it.
SUBJECTS = {
  'cma_es': _cma_es,
  'dnc': _dnc,
  'dream': _dream,
  'pommerman': _pommerman,
  'simple_agent': _simple_agent,
}
