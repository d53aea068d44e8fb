"""Tests of layers and sizes, and of names that several files give."""

import ast
import functools
import importlib.metadata
import os
import pathlib
import re
import runpy
import sys

import pytest
import setuptools

ROOT = pathlib.Path(__file__).resolve().parent.parent
# A package imports only packages of the groups above its own.
GROUPS = (
  (
    'checks',
    'files',
    'keras_2',
    'precision',
    'random_numbers',
    'random_tensors',
    'command_line',
  ),
  ('memory', 'environments', 'datasets', 'gan'),
  ('evolution', 'analysis', 'agents'),
  ('runs',),
  ('world_model', 'play'),
  ('training', 'saved_models'),
  ('experiments',),
)
# Imports between packages of one group. There are none.
NEIGHBOURS = ()
# Experiments join these two through the contract of batched environments.
FORBIDDEN = (('agents', 'world_model'), ('evolution', 'world_model'))
# What experiments may import of one another.
SHARED_EXPERIMENTS = ('agents', 'controller', 'games', 'world_model')
# Environments that are TensorFlow's own; the others may not import them.
IN_THE_GRAPH = 'nca_tf.environments.grid_world'
LONGEST_FILE = 400  # Lines.
LONGEST_FUNCTION = 60
DOCUMENTS = ('README.md', 'RESULTS.md', 'docs/*.md')


# They run in the environments of the libraries that ours is compared with.
PEERS = {
  'nca_tf/experiments/benchmarks/cma_es/peers.py': {'cma', 'evosax', 'jax'},
  'nca_tf/experiments/benchmarks/dnc/implementations.py': {
    'dnc',
    'sonnet_shim',
    'torch',
  },
}

# What the files say.


def find(patterns):
  return {
    str(path.relative_to(ROOT))
    for pattern in patterns
    for path in ROOT.glob(pattern)
    if path.is_file()
  }


@functools.cache
def parse(file):
  return ast.parse(file.read_text(encoding='utf-8'), str(file))


@functools.cache
def get_modules():
  """Returns {dotted name: file} of the library."""
  modules = {}
  for file in sorted((ROOT / 'nca_tf').rglob('*.py')):
    parts = file.relative_to(ROOT).with_suffix('').parts
    modules['.'.join(parts).removesuffix('.__init__')] = file
  return modules


def get_packages():
  return sorted(f.parent.name for f in (ROOT / 'nca_tf').glob('*/__init__.py'))


def get_binaries():
  return sorted(f.name for f in (ROOT / 'bin').iterdir() if f.is_file())


def get_names(nodes):
  """Returns the dotted names that import statements among nodes bring."""
  found = set()
  for node in nodes:
    if isinstance(node, ast.Import):
      found.update(alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      found.update(f'{node.module}.{alias.name}' for alias in node.names)
  return found


def get_imports(file):
  """Returns the dotted names that a file imports, also inside functions."""
  return get_names(ast.walk(parse(file)))


def get_imported_modules(name):
  """Returns the library's modules that one of its modules imports."""
  found = set()
  for imported in get_imports(get_modules()[name]):
    while imported and imported not in get_modules():
      imported = imported.rpartition('.')[0]
    found.add(imported)
  return found - {'', name}


def get_package(module):
  """Returns the package of a module, of a root module its name."""
  return (module.split('.') + [''])[1]


def get_edges(depth):
  """Returns who imports whom, as pairs of names cut to `depth` parts."""
  return {
    (cut(module, depth), cut(other, depth))
    for module in get_modules()
    for other in get_imported_modules(module)
    if cut(module, depth) != cut(other, depth)
  }


def cut(name, depth):
  return '.'.join(name.split('.')[:depth])


def find_circle(edges):
  """Returns names of which each imports the next, or none."""
  following = {}
  for one, other in sorted(edges):
    following.setdefault(one, []).append(other)
  done = set()

  def visit(name, path):
    if name in path:
      return [*path[path.index(name) :], name]
    if name in done:
      return []
    for other in following.get(name, ()):
      circle = visit(other, [*path, name])
      if circle:
        return circle
    done.add(name)
    return []

  circles = (visit(name, []) for name in following)
  return next(filter(None, circles), [])


@functools.cache
def read_build():
  """Returns {rule: {target: arguments}}: BUILD is Python, but for its rules."""
  rules = {}

  def rule(kind):
    def declare(name=None, **arguments):
      targets = rules.setdefault(kind, {})
      assert name is None or name not in targets, f'{name} twice'
      targets[name] = arguments

    return declare

  names = ('genrule', 'package', 'py_binary', 'py_library', 'py_test')
  scope = {name: rule(name) for name in names}
  scope['glob'] = lambda patterns, exclude=(): sorted(
    find(patterns) - find(exclude)
  )
  exec((ROOT / 'BUILD').read_text(encoding='utf-8'), scope)
  return rules


# Layers.


def get_group(package):
  for number, names in enumerate(GROUPS):
    if package in names:
      return number
  raise AssertionError(f'{package} stands in no group')


def test_packages_import_only_from_groups_before_theirs():
  wrong = []
  for module, other in sorted(get_edges(depth=9)):
    one, two = get_package(module), get_package(other)
    if '' in (one, two) or one == two:  # The root's __init__ has no group.
      continue
    before = get_group(two) < get_group(one) or (one, two) in NEIGHBOURS
    if not before or (one, two) in FORBIDDEN:
      wrong.append(f'{module} imports {other}')
  assert not wrong, '\n'.join(wrong)


def test_root_imports_nothing_of_the_library():
  assert not get_imported_modules('nca_tf')


def test_no_circle_of_imports():
  assert not find_circle(get_edges(depth=9))  # Of modules.
  edges = get_edges(depth=2)
  assert not find_circle({pair for pair in edges if 'nca_tf' not in pair})


def test_finds_a_circle():
  assert find_circle({('a', 'b'), ('b', 'c'), ('c', 'b')}) == ['b', 'c', 'b']
  assert find_circle({('a', 'b'), ('a', 'c'), ('c', 'b')}) == []


def test_experiments_share_only_what_is_meant_to_be_shared():
  wrong = []
  for module in get_modules():
    if not module.startswith('nca_tf.experiments.'):
      continue
    for other in get_imported_modules(module):
      if not other.startswith('nca_tf.experiments.'):
        continue
      one, two = module.split('.')[2], other.split('.')[2]
      if one != two and two not in SHARED_EXPERIMENTS:
        wrong.append(f'{module} imports {other}')
  assert not wrong, '\n'.join(wrong)


def test_environments_leave_tensorflow_out_of_processes_that_play():
  for module, file in get_modules().items():
    if get_package(module) != 'environments':
      continue
    if module.startswith(IN_THE_GRAPH):
      continue
    others = get_imported_modules(module)
    assert not any(name.startswith(IN_THE_GRAPH) for name in others), module
    # Imports it where an agent is loaded, not before.
    lazy = module.endswith('.saved_agent')
    names = get_names(parse(file).body) if lazy else get_imports(file)
    heavy = {'keras', 'tensorflow'} & {name.split('.')[0] for name in names}
    assert not heavy, module


def test_bootstrap_needs_only_the_standard_library():
  allowed = ('contextlib', 'fcntl', 'hashlib', 'importlib', 'os', 'pathlib')
  allowed += ('shutil', 'subprocess', 'sys', 'tempfile', 'time', 'warnings')
  for module in ('nca_tf', 'nca_tf.command_line.bootstrap'):
    for name in get_imports(get_modules()[module]):
      assert name.split('.')[0] in allowed, name
  # It runs when its package is imported; that may import nothing either.
  assert not get_imports(get_modules()['nca_tf.command_line'])


# Sizes.


def test_files_are_short():
  lengths = {
    str(file.relative_to(ROOT)): len(file.read_bytes().splitlines())
    for file in [*get_modules().values(), *(ROOT / 'bin').iterdir()]
    if file.is_file()
  }
  long = {name: n for name, n in lengths.items() if n > LONGEST_FILE}
  assert not long


def test_functions_are_short():
  long = {}
  binaries = [ROOT / 'bin' / name for name in get_binaries()]
  for file in [*get_modules().values(), *binaries]:
    for node in ast.walk(parse(file)):
      if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        length = node.end_lineno - node.lineno + 1
        if length > LONGEST_FUNCTION:
          long[f'{file.relative_to(ROOT)}: {node.name}'] = length
  assert not long


def test_every_package_folder_says_what_it_is():
  folders = {file.parent for file in (ROOT / 'nca_tf').rglob('*.py')}
  for folder in sorted(folders):
    file = folder / '__init__.py'
    assert file.is_file() and ast.get_docstring(parse(file)), file


# Names that several files give.


@pytest.mark.parametrize('package', ['nca_tf', *get_packages()])
def test_build_declares_what_a_package_imports(package):
  target = read_build()['py_library'][package]
  needed = {'nca_tf'}  # Importing a package runs the root's __init__.
  files = set()
  for module, file in get_modules().items():
    own = get_package(module)
    own = own if own in get_packages() else 'nca_tf'
    if own == package:
      files.add(str(file.relative_to(ROOT)))
      found = {get_package(other) for other in get_imported_modules(module)}
      needed |= found & set(get_packages())
  assert set(target['srcs']) == files
  declared = {label.removeprefix(':') for label in target.get('deps', ())}
  needed -= {package}
  assert declared == needed, (
    f'BUILD must give {package} {sorted(needed - {"nca_tf"})}'
  )


def test_build_has_a_target_for_everything():
  rules = read_build()
  assert set(rules['py_library']) == {'nca_tf', 'everything', *get_packages()}
  everything = {f':{name}' for name in ['nca_tf', *get_packages()]}
  assert set(rules['py_library']['everything']['deps']) == everything
  tests = sorted(file.stem for file in (ROOT / 'tests').glob('*_test.py'))
  assert sorted(rules['py_test']) == tests
  for kind in ('py_binary', 'py_test'):
    for target in rules[kind].values():
      assert target['deps'] == [':everything']
  data = rules['py_library']['memory']['data']
  assert [pathlib.Path(name).suffix for name in data] == ['.cc', '.h', '.h']


@pytest.fixture(name='setup')
def run_setup(monkeypatch):
  """What setup.py tells setuptools."""
  arguments = {}
  monkeypatch.setattr(
    setuptools, 'setup', lambda **given: arguments.update(given)
  )
  monkeypatch.chdir(ROOT)
  runpy.run_path(str(ROOT / 'setup.py'))
  return arguments


def test_binaries_have_the_same_names_everywhere(setup):
  binaries = get_binaries()
  for name in binaries:
    assert os.access(ROOT / 'bin' / name, os.X_OK), name
  assert sorted(read_build()['py_binary']) == binaries
  assert sorted([*setup['scripts'], 'bin/test']) == [
    f'bin/{name}' for name in binaries
  ]
  readme = (ROOT / 'README.md').read_text(encoding='utf-8')
  assert sorted(set(re.findall(r'(?<!/)\bbin/([a-z_]+)', readme))) == binaries


def test_setup_installs_all_packages_and_the_sources_of_compiled_code(setup):
  packages = {
    name for name, file in get_modules().items() if file.stem == '__init__'
  }
  assert set(setup['packages']) == packages
  found = {
    str(file.relative_to(ROOT))
    for file in (ROOT / 'nca_tf').rglob('*.*')
    if file.suffix in ('.cc', '.h')
  }
  declared = {
    f'{package.replace(".", "/")}/{pattern}'
    for package, patterns in setup['package_data'].items()
    for pattern in patterns
  }
  assert found and found == find(declared)


def get_requirements(setup, *leave_out):
  """Returns the distributions that setup.py names, but for some extras."""
  extras = setup['extras_require'].items()
  lists = [names for extra, names in extras if extra not in leave_out]
  return {
    re.match(r'[\w.-]+', text).group().lower().replace('_', '-')
    for text in sum(lists, setup['install_requires'])
  }


@functools.cache
def get_providers():
  """Returns {top-level package: distributions that are installed}.

  As `importlib.metadata.packages_distributions`, which on Python 3.10 knows
  only what old wheels say of themselves.
  """
  found = {}
  for distribution in importlib.metadata.distributions():
    tops = {file.parts[0].split('.')[0] for file in distribution.files or ()}
    for top in tops:
      found.setdefault(top, set()).add(distribution.metadata['Name'])
  return found


@pytest.mark.parametrize(
  ('patterns', 'leave_out'),
  [(('nca_tf/**/*.py', 'bin/*'), ['test']), (('tests/*.py',), [])],
)
def test_setup_requires_what_is_imported(setup, patterns, leave_out):
  own = {'nca_tf', 'setuptools', *(f.stem for f in ROOT.glob('tests/*.py'))}
  known = own | sys.stdlib_module_names
  required = get_requirements(setup, *leave_out)
  providers = get_providers()
  missing = []
  for file in sorted(find(patterns)):
    named = {name.split('.')[0] for name in get_imports(ROOT / file)}
    for name in sorted(named - known - PEERS.get(file, set())):
      # What is not installed here is taken for its distribution's name.
      found = providers.get(name, [name])
      if not required & {each.lower().replace('_', '-') for each in found}:
        missing.append(f'{file} imports {name}')
  assert not missing, '\n'.join(missing)


def test_layout_names_every_package():
  text = (ROOT / 'docs' / 'layout.md').read_text(encoding='utf-8')
  folders = re.findall(r'^\| `(\w+)/` \|', text, re.MULTILINE)
  assert sorted(folders) == get_packages()


@pytest.mark.parametrize('document', sorted(find(DOCUMENTS)))
def test_paths_in_documents_exist(document):
  text = (ROOT / document).read_text(encoding='utf-8')
  folders = r'(?:nca_tf|bin|tests|testdata|docs)/[\w./-]*\w/?'
  named = re.findall(rf'(?<![\w/.-])({folders})', text)
  named += re.findall(r'\]\(([\w./-]+)\)', text)  # Links.
  named = [name for name in named if not re.search(r'-v\d+$', name)]  # Ids.
  start = (ROOT / document).parent
  missing = [
    name
    for name in sorted(set(named))
    if not (ROOT / name).exists() and not (start / name).exists()
  ]
  assert not missing
