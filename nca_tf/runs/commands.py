"""Commands for the screen, which run in the same folder as they are printed."""

import os
import pathlib
import shlex
import sys


def line(binary: str, *arguments: str) -> str:
  """Returns the command of another binary, beside the one that runs.

  Args:
    binary: Its name, such as `evaluate`.
    *arguments: Its flags; they are quoted where a shell needs it.
  """
  program = os.path.join(os.path.dirname(sys.argv[0]) or '.', binary)
  if not os.path.isfile(program):
    program = f'bin/{binary}'
  return shlex.join([program, *arguments])


def tensorboard(folder: str | os.PathLike) -> str:
  """Returns the command that shows event files."""
  program = pathlib.Path(sys.executable).with_name('tensorboard')
  if program.is_relative_to(pathlib.Path.cwd()):
    program = program.relative_to(pathlib.Path.cwd())
  return shlex.join([str(program), f'--logdir={folder}'])
