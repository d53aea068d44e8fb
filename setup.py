"""Builds and installs the library: `pip install -c constraints.txt -e .`."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent
# All but bin/test, which needs a checkout and would hide the shell's `test`.
BINARIES = sorted(
  path.name
  for path in (ROOT / 'bin').iterdir()
  if path.is_file() and path.name != 'test'
)


def read_version():
  """Returns the version that stands in the package."""
  text = (ROOT / 'nca_tf' / '__init__.py').read_text(encoding='utf-8')
  return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE).group(1)


setuptools.setup(
  name='nca_tf',
  version=read_version(),
  description='Recurrent memory and world models for reinforcement learning.',
  long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  python_requires='>=3.10,<3.14',
  packages=setuptools.find_packages(include=['nca_tf', 'nca_tf.*']),
  package_data={'nca_tf.memory.unrolled': ['*.cc', '*.h']},
  scripts=[f'bin/{name}' for name in BINARIES],
  install_requires=[
    'absl-py',
    'gymnasium',
    'keras>=3',
    'matplotlib',
    # TF-Agents turns one-element arrays into int, which 2.4 refuses.
    'numpy<2.4',
    'optree',
    'pillow',
    'protobuf',
    'scikit-learn',
    'scipy',
    'tensorboard',
    # Never tensorflow-cpu: tf_keras installs this one over it.
    'tensorflow==2.21.*',
    'tensorflow-probability==0.23.*',
    # It pins versions of pygame and typing_extensions that later Pythons have
    # no wheel of; bin/ installs it there without asking pip's resolver.
    "tf-agents==0.19.0; python_version < '3.12'",
    'tf_keras==2.21.*',
    'vizdoom',
  ],
  extras_require={
    # Gymnasium's own extra adds swig, which the wheel does not need.
    'box2d': ['box2d', 'pygame-ce'],
    'film': ['imageio[ffmpeg]'],
    'gpu': ['tensorflow[and-cuda]==2.21.*'],
    'profile': ['tensorboard-plugin-profile'],
    'ray': ['ray'],
    'test': [
      'box2d',
      'hypothesis',
      'packaging',
      'pytest',
      'pytest-xdist',
      'ruff',
    ],
  },
)
