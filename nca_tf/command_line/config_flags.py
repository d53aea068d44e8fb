"""Command lines generated from frozen dataclasses.

An experiment describes its settings once, as a frozen dataclass:

    @dataclasses.dataclass(frozen=True)
    class Config(config_flags.Common):
      episodes: int = config_flags.option(400, 'Episodes to play.', minimum=1)
      PRESETS: ClassVar = {'smoke': {'episodes': 6}, 'laptop': {}, 'paper': {}}

and its binary calls `config_flags.main(__doc__, Config, run)`. The flags, their
checks and their help follow from the fields. A default stands in the dataclass
alone; a preset overrides the default and a flag on the command line (or in a
`--flagfile`) overrides the preset.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import signal
import sys
import textwrap
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from absl import flags

from nca_tf.command_line import faults
from nca_tf.command_line import flag_parser

_HELP = ('-h', '-help', '--help', '--helpshort', '--helpfull')


def option(
  default: Any,
  help: str,
  *,
  choices: Sequence[Any] | Callable[[], Sequence[Any]] | None = None,
  minimum: float | None = None,
  maximum: float | None = None,
  identity: bool = True,
) -> Any:
  """Declares one field of a configuration, and so one flag.

  Args:
    default: Value when neither a preset nor the command line sets it.
    help: One sentence for `--help`.
    choices: The only values allowed, if given. For a tuple: of each entry. A
      registry gives its function, so that what is added later counts as well.
    minimum: Smallest value allowed. For a tuple: of each entry.
    maximum: Largest value allowed. For a tuple: of each entry.
    identity: False marks a setting that does not change the result. A run
      folder may be resumed with another value of it.

  Returns:
    A `dataclasses.field`.
  """
  metadata = {'help': help, 'choices': choices, 'identity': identity}
  metadata |= {'minimum': minimum, 'maximum': maximum}
  return dataclasses.field(default=default, metadata=metadata)


def changed(config_class: type['Common'], name: str, default: Any) -> Any:
  """Returns a field of another configuration with another default."""
  field = config_class.__dataclass_fields__[name]
  return dataclasses.field(default=default, metadata=field.metadata)


def convert(config: 'Common', config_class: type['Common'], **settings) -> Any:
  """Returns another experiment's configuration, of `config_class`.

  Fields that both have are taken from `config`, the others and what is to be
  different from `settings`.
  """
  names = config_class.__dataclass_fields__
  given = dataclasses.asdict(config)
  shared = {name: value for name, value in given.items() if name in names}
  return config_class(**{**shared, **settings})


@dataclasses.dataclass(frozen=True)
class Common:
  """Settings that every binary has."""

  run_dir: str = option(
    '',
    'Folder of this run; empty means runs/<binary>/ and a name from the '
    'settings. The same command on the same folder resumes.',
    identity=False,
  )
  seed: int = option(
    0, 'Seed of all random numbers.', minimum=0, maximum=2**31 - 1
  )
  preset: str = option(
    'laptop',
    'Sizes to start from: smoke ends within minutes, laptop is for one '
    'machine, paper is as published. Any other flag overrides it.',
    choices=('smoke', 'laptop', 'paper'),
    identity=False,
  )
  precision: str = option(
    'float32',
    'Number type of the computation.',
    choices=('float32', 'float64', 'mixed_bfloat16'),
  )
  jit: str = option(
    'auto',
    'Compile with XLA: auto compiles where that was measured to pay.',
    choices=('auto', 'on', 'off'),
    identity=False,
  )
  threads: int = option(
    0,
    'Threads that TensorFlow may use; 0 means all cores.',
    minimum=0,
    maximum=1024,
    identity=False,
  )

  PRESETS: ClassVar[dict[str, dict[str, Any]]] = {}
  # A tuple of texts that takes the arguments that are no flags, such as files.
  POSITIONAL: ClassVar[str] = ''

  def validate(self) -> None:
    """Raises `faults.UsageError` when values contradict each other."""


def as_dict(config: Common) -> dict[str, Any]:
  """Returns all settings, ready for JSON: tuples become lists."""
  return {
    name: list(value) if isinstance(value, tuple) else value
    for name, value in dataclasses.asdict(config).items()
  }


def identity(config: Common) -> dict[str, Any]:
  """Returns the settings that change the result, ready for JSON."""
  settings = as_dict(config)
  return {
    field.name: settings[field.name]
    for field in dataclasses.fields(config)
    if field.metadata.get('identity', True)
  }


def resolve(config_class: type[Common], argv: Sequence[str] = ()) -> Any:
  """Makes the configuration that a command line asks for, and validates it.

  Args:
    config_class: A frozen dataclass derived from `Common`.
    argv: The arguments without the program's name, e.g. `['--seed=3']`.

  Raises:
    faults.UsageError: An argument is unknown, misplaced or out of range; the
      message is one line.
  """
  flag_values, parsers = _define(config_class)
  positional = config_class.POSITIONAL
  # Flags may then stand after the other arguments as well.
  flag_values.set_gnu_getopt(bool(positional))
  try:
    leftover = flag_values(['', *argv])[1:]
  except UnicodeDecodeError as error:
    raise faults.UsageError(f'--flagfile must be a text, {error}') from error
  except flags.UnrecognizedFlagError as error:
    raise faults.UsageError(f'{error}; --help lists the flags') from error
  except (flags.Error, ValueError) as error:  # ValueError: --no<flag>=value.
    raise faults.UsageError(_one_line(error)) from error
  if leftover and not positional:
    raise faults.UsageError(
      f'arguments must be flags like --seed=0, got {_one_line(leftover[0])!r}'
    )
  values = {}
  preset = config_class.PRESETS.get(flag_values['preset'].value, {})
  for name in parsers:
    flag = flag_values[_flag(name)]
    if name in preset and not flag.present:
      values[name] = parsers[name].parse(preset[name])
    else:
      values[name] = flag.value
  if leftover:
    values[positional] = (*values[positional], *leftover)
  for name, value in values.items():
    for text in value if isinstance(value, tuple) else (value,):
      if isinstance(text, str):
        faults.check_text(_flag(name), text)
  config = config_class(**values)
  config.validate()
  return config


def restore(config_class: type[Common], settings: Mapping[str, Any]) -> Any:
  """Makes a configuration again from what `as_dict` gave, which is checked.

  Settings that are missing have their defaults.

  Raises:
    ValueError: A value is of another type, or not allowed.
  """
  _, parsers = _define(config_class)
  values = {}
  for name, value in settings.items():
    parser = parsers[name]
    try:
      values[name] = parser.parse(value)
      if type(values[name]) is not parser.kind:
        raise ValueError(f'{name} must be {parser.allowed}, got {value!r}')
    except (flags.Error, TypeError) as error:
      raise ValueError(_one_line(error)) from error
  return config_class(**values)


def help_text(doc: str | None, config_class: type[Common]) -> str:
  """Returns what `--help` prints: the docstring and each flag's sentence."""
  lines = [(doc or '').strip(), '', 'Flags:']
  wrap = functools.partial(textwrap.wrap, width=78, subsequent_indent=6 * ' ')
  _, parsers = _define(config_class)
  for field in dataclasses.fields(config_class):
    parser = parsers[field.name]
    dash = '--[no]' if parser.kind is bool else '--'
    facts = [parser.allowed, f'default: {parser.show(field.default)}']
    for preset, values in config_class.PRESETS.items():
      if field.name in values:
        facts.append(f'{preset}: {parser.show(values[field.name])}')
    text = f'{dash}{_flag(field.name)}: {field.metadata["help"]}'
    lines += wrap(text, initial_indent='  ')
    lines += wrap(f'({"; ".join(facts)})', initial_indent=6 * ' ')
  lines.append('  --flagfile: File with one flag per line.')
  return '\n'.join(lines)


def main(
  doc: str | None,
  config_class: type[Common],
  run: Callable[[Any], None],
  argv: Sequence[str] | None = None,
) -> None:
  """Runs a binary: parses, validates, sets the threads and calls `run`.

  Ends the process with status 2 and one line on stderr for a wrong command,
  1 and one line for a fault at run time (`faults.Fault` and what
  `faults.explain` knows), 128 and the number of the signal when stopped by one.
  Other exceptions are bugs and keep their traceback.

  Args:
    doc: The binary's docstring, shown by `--help`.
    config_class: A frozen dataclass derived from `Common`.
    run: Called with the resolved configuration.
    argv: The command line with the program's name; `sys.argv` by default.
  """
  argv = list(sys.argv if argv is None else argv)
  faults.open_standard_streams()
  if any(argument in _HELP for argument in argv[1:]):
    _show(help_text(doc, config_class))
    return
  try:
    with faults.stop_on_signals():
      config = resolve(config_class, argv[1:])
      _set_threads(config.threads)
      run(config)
      sys.stdout.flush()
  except KeyboardInterrupt:
    _leave(argv[0], 'interrupted; the same command resumes', 130)
  except faults.Stopped as error:
    name = signal.Signals(error.args[0]).name
    _leave(argv[0], f'{name}; the same command resumes', 128 + error.args[0])
  except faults.UsageError as error:
    _leave(argv[0], error, 2)
  except faults.Fault as error:
    _leave(argv[0], error, 1)
  except BrokenPipeError:
    line = 'nobody reads the output any more; the same command resumes'
    _leave(argv[0], line, 1)
  except Exception as error:
    line = faults.explain(error)
    if line is None:
      raise
    _leave(argv[0], line, 1)


def main_of(
  doc: str | None,
  subjects: Mapping[str, Callable[[], tuple[type[Common], Callable]]],
  argv: Sequence[str] | None = None,
) -> None:
  """Runs a binary whose first argument says what about: `bin/x SUBJECT`.

  Each subject has flags of its own. `bin/x --help` lists the subjects,
  `bin/x SUBJECT --help` the flags of one. Otherwise as `main`.

  Args:
    doc: The binary's docstring.
    subjects: For each name a function that returns the configuration's class
      and `run`. It imports what it needs, so that the other subjects don't.
    argv: The command line with the program's name; `sys.argv` by default.
  """
  argv = list(sys.argv if argv is None else argv)
  subject = argv[1] if len(argv) > 1 else 'nothing'
  if subject in subjects:
    main(doc, *subjects[subject](), [argv[0], *argv[2:]])
  elif subject in _HELP:
    names = ''.join(f'  {name}\n' for name in subjects)
    text = (doc or '').strip()
    _show(f'{text}\n\nSubjects, each with its own --help:\n{names}'.rstrip())
  else:
    _leave(
      argv[0],
      f'the first argument must be one of {", ".join(subjects)}, '
      f'got {subject!r}',
      2,
    )


def _flag(field_name):
  """Returns a field's flag: `in_` is `--in`, a word that Python keeps."""
  return field_name.rstrip('_')


def _define(config_class):
  """Returns absl flags of their own registry, and a parser per field."""
  flag_values = flags.FlagValues()
  parsers = {}
  hints = typing.get_type_hints(config_class)
  for field in dataclasses.fields(config_class):
    hint = hints[field.name]
    kind = typing.get_origin(hint) or hint
    entry = typing.get_args(hint)[0] if kind is tuple else int
    if kind not in (bool, float, int, str, tuple) or entry not in (int, str):
      raise ValueError(
        f'{field.name} must be bool, float, int, str, tuple[int, ...] or '
        f'tuple[str, ...], got {hint}'
      )
    name = _flag(field.name)
    parser = flag_parser.Parser(name, kind, field.metadata, entry)
    flag_values[name] = flags.Flag(
      parser, None, name, field.default, help_string='', boolean=kind is bool
    )
    parsers[field.name] = parser
  for preset, values in config_class.PRESETS.items():
    unknown = sorted(set(values) - set(parsers))
    if unknown or preset not in parsers['preset'].choices:
      raise ValueError(
        f'PRESETS[{preset!r}] must set known fields, got {unknown}'
      )
  return flag_values, parsers


def _show(text):
  """Prints a text, also into a pipe whose reader has seen enough."""
  try:
    print(text, flush=True)
  except BrokenPipeError:
    faults.drop_output()


def _set_threads(threads):
  """Limits TensorFlow, also one that is not imported yet, and NumPy."""
  if not threads:
    return
  for name in (
    'OMP_NUM_THREADS',
    'TF_NUM_INTEROP_THREADS',
    'TF_NUM_INTRAOP_THREADS',
  ):
    os.environ[name] = str(threads)
  tf = sys.modules.get('tensorflow')
  if tf is not None:
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.threading.set_intra_op_parallelism_threads(threads)


def _leave(program, message, status):
  program = pathlib.Path(program).name
  with contextlib.suppress(OSError):
    print(f'{program}: {_one_line(message)}', file=sys.stderr, flush=True)
  faults.drop_output()
  sys.exit(status)


def _one_line(text):
  return ' '.join(str(text).split())
