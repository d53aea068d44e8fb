"""A process that has TensorFlow and none of the packages that made a file."""

import textwrap

# Runs a script with every package but TensorFlow's and ViZDoom's own blocked.
BLOCK = textwrap.dedent("""
  import importlib.machinery, runpy, sys

  class Block:
    def find_spec(self, name, path=None, target=None):
      if name.split('.')[0] in (
        'nca_tf', 'keras', 'tf_keras', 'tf_agents', 'tensorflow_probability',
        'gymnasium', 'PIL',
      ):
        # TensorFlow looks where Keras is, also when it does not import it.
        return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
      raise ImportError(spec.name)

    def exec_module(self, module):
      pass

  sys.meta_path.insert(0, Block())
  sys.argv = sys.argv[1:]
  runpy.run_path(sys.argv[0], run_name='__main__')
""")
