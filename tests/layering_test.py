"""Tests that BUILD, setup.py and README tell what the files say."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
# A package imports only from lines above its own.
LAYERS = (
  ('nca_tf',),
  ('memory',),
  ('environments', 'evolution', 'datasets'),
  ('world_model', 'gan', 'analysis'),
  ('agents',),
  ('training',),
  ('experiments',),
)
# Experiments join these two through the environment contract.
FORBIDDEN = (('agents', 'world_model'), ('evolution', 'world_model'))


def find(patterns):
  return {
    str(path.relative_to(ROOT))
    for pattern in patterns
    for path in ROOT.glob(pattern)
    if path.is_file()
  }


def read_build():
  """Returns {rule: {target: arguments}}: BUILD is Python, but for its rules."""
  rules = {}

  def rule(kind):
    def declare(name=None, **arguments):
      rules.setdefault(kind, {})[name] = arguments

    return declare

  names = ('exports_files', 'genrule', 'package')
  names += ('py_binary', 'py_library', 'py_test')
  scope = {name: rule(name) for name in names}
  scope['exports_files'] = lambda files: None
  scope['glob'] = lambda patterns, exclude=(): sorted(
    find(patterns) - find(exclude)
  )
  exec((ROOT / 'BUILD').read_text(encoding='utf-8'), scope)
  return rules


def get_packages():
  return sorted({file.parent.name for file in (ROOT / 'nca_tf').glob('*/*.py')})


def get_modules(package):
  folder = ROOT / 'nca_tf'
  if package == 'nca_tf':
    return sorted(folder.glob('*.py'))
  return sorted((folder / package).glob('**/*.py'))


def get_imports(file):
  """Returns the dotted names that a file imports, also inside functions."""
  found = set()
  for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
    if isinstance(node, ast.Import):
      found.update(alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      found.update(f'{node.module}.{alias.name}' for alias in node.names)
  return found


def get_needed(files, own):
  """Returns the targets that files of the package `own` must declare."""
  needed = {'nca_tf'}  # Importing a package runs the root's __init__.
  for file in files:
    for name in get_imports(file):
      parts = name.split('.')
      if parts[0] == 'nca_tf' and parts[1:2] and parts[1] in get_packages():
        needed.add(parts[1])
  return needed - {own}


def get_layer(package):
  for number, names in enumerate(LAYERS):
    if package in names:
      return number
  raise AssertionError(f'{package} stands in no layer')


def strip(labels):
  return {label.removeprefix(':') for label in labels}


def get_binaries():
  return sorted(
    file.name for file in (ROOT / 'bin').iterdir() if file.is_file()
  )


@pytest.mark.parametrize('package', ['nca_tf', *get_packages()])
def test_package_declares_what_it_imports(package):
  target = read_build()['py_library'][package]
  modules = get_modules(package)
  assert '__init__.py' in [module.name for module in modules]
  assert set(target['srcs']) == {str(f.relative_to(ROOT)) for f in modules}
  assert strip(target.get('deps', [])) == get_needed(modules, package)


@pytest.mark.parametrize('package', ['nca_tf', *get_packages()])
def test_package_imports_only_from_layers_below(package):
  for other in get_needed(get_modules(package), package):
    assert get_layer(other) < get_layer(package)
    assert (package, other) not in FORBIDDEN


def test_every_target_has_files():
  for kind in ('py_binary', 'py_library', 'py_test'):
    for name, target in read_build()[kind].items():
      assert target['srcs'], name
  assert set(read_build()['py_library']) == {'nca_tf', *get_packages()}


def test_test_files_are_targets_that_declare_what_they_import():
  targets = read_build()['py_test']
  files = sorted((ROOT / 'tests').glob('*_test.py'))
  assert sorted(targets) == [file.stem for file in files]
  for file in files:
    target = targets[file.stem]
    assert f'tests/{file.name}' in target['srcs']
    assert strip(target['deps']) == get_needed([file], ''), file.name


def test_binaries_have_the_same_names_everywhere():
  binaries = get_binaries()
  targets = read_build()['py_binary']
  assert sorted(targets) == binaries
  for name in binaries:
    needed = get_needed([ROOT / 'bin' / name], '')
    assert strip(targets[name]['deps']) == needed, name
    assert (ROOT / 'bin' / name).stat().st_mode & 0o111, name
  setup = ast.parse((ROOT / 'setup.py').read_text(encoding='utf-8'))
  installed = next(
    ast.literal_eval(node.value)
    for node in setup.body
    if isinstance(node, ast.Assign) and node.targets[0].id == 'BINARIES'
  )
  assert sorted([*installed, 'test']) == binaries
  readme = (ROOT / 'README.md').read_text(encoding='utf-8')
  assert sorted(set(re.findall(r'(?<!/)\bbin/([a-z_]+)', readme))) == binaries


def test_environments_leave_tensorflow_out_of_worker_processes():
  lazy = 'saved_agent.py'  # Imports it where an agent is loaded.
  for module in get_modules('environments'):
    text = module.read_text(encoding='utf-8')
    outside = [
      node
      for node in ast.parse(text).body
      if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = (
      {alias.name for node in outside for alias in node.names}
      if module.name == lazy
      else get_imports(module)
    )
    assert not any(
      name.split('.')[0] in ('keras', 'tensorflow') for name in names
    ), module.name


def test_bootstrap_needs_only_the_standard_library():
  for name in ('__init__.py', 'bootstrap.py'):
    for module in get_imports(ROOT / 'nca_tf' / name):
      assert module.split('.')[0] in (
        *('contextlib', 'fcntl', 'hashlib', 'importlib', 'os', 'pathlib'),
        *('shutil', 'subprocess', 'sys', 'tempfile', 'time'),
      )
