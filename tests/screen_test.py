"""What a binary shows beside its results: help, one line, what comes next.

TensorFlow takes seconds to import, and says so on the screen: nothing of it
may be in a process that ends before that.
"""

import fcntl
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from nca_tf.command_line import config_flags
from nca_tf.experiments.benchmarks import subjects
from nca_tf.experiments.cells import settings as cells
from nca_tf.experiments.controller import settings as controller
from nca_tf.experiments.games import evaluate
from nca_tf.experiments.memory_tasks import settings as memory_tasks
from nca_tf.experiments.predictions import settings as predictions
from nca_tf.experiments.world_model import settings as world_model_settings
from nca_tf.runs import commands

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARIES = sorted(
  file.name for file in (ROOT / 'bin').iterdir() if file.name != 'test'
)
HEAVY = (
  'jax',
  'keras',
  'matplotlib',
  'pandas',
  'pygame',
  'scipy',
  'sklearn',
  'tensorboard',
  'tensorflow',
  'tensorflow_probability',
  'tf_agents',
  'torch',
  'vizdoom',
)
# Runs commands in one process, and says what each left on the screen and what
# it has imported.
ASK = """
import contextlib, io, json, runpy, sys
answers = []
for binary, *argv in json.loads(sys.stdin.read()):
  sys.argv = [f'bin/{binary}', *argv]
  out, err, status = io.StringIO(), io.StringIO(), 0
  with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
    try:
      runpy.run_path(sys.argv[0], None, '__main__')
    except SystemExit as error:
      status = error.code
  modules = {name.split('.')[0] for name in sys.modules}
  heavy = sorted(modules.intersection(sys.argv[0] and HEAVY))
  answers.append([status, out.getvalue(), err.getvalue(), heavy])
print(json.dumps(answers))
""".replace('HEAVY', repr(HEAVY)).replace('sys.argv[0] and ', '')


def ask(commands, cwd):
  """Returns (status, stdout, stderr, heavy modules) of each command."""
  (cwd / 'bin').unlink(missing_ok=True)
  (cwd / 'bin').symlink_to(ROOT / 'bin')
  done = subprocess.run(
    [sys.executable, '-c', ASK],
    cwd=cwd,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
    input=json.dumps([list(command) for command in commands]),
    capture_output=True,
    text=True,
  )
  assert (done.returncode, done.stderr) == (0, '')
  return json.loads(done.stdout)


def test_help_needs_nothing_heavy_and_fits_the_screen(tmp_path):
  commands = [(binary, '--help') for binary in BINARIES]
  commands += [('benchmark', name, '--help') for name in subjects.SUBJECTS]
  for command, answer in zip(commands, ask(commands, tmp_path), strict=True):
    status, out, err, heavy = answer
    assert (status, err, heavy) == (0, '', []), command
    assert max(map(len, out.splitlines())) <= 80, command
    if command != ('benchmark', '--help'):
      assert 'too short to learn' in ' '.join(out.split()), command
      assert "''" not in out, command


def make_folders(folder):
  """Makes run folders, agents and world models of all kinds of damage."""

  def write(name, file, text):
    (folder / name).mkdir(exist_ok=True)
    (folder / name / file).write_text(text)

  write('of another', 'config.json', '{"binary": "x", "config": {}}')
  write('torn', 'config.json', '{"binary"')
  write('empty list', 'config.json', '[]')
  write('foreign', 'thesis.tex', '')
  write('torn agent', 'agent.json', '{')
  write('unknown agent', 'agent.json', '{"env": "vizdoom"}')
  settings = '{"binary": "train_world_model", "config": {}}'
  write('unfinished', 'config.json', settings)
  write('unfinished', 'stages.json', '{}')
  write_world_model(folder / 'model')
  (folder / 'file').write_text('')
  (folder / 'file.gif').mkdir()


def write_world_model(folder, **given):
  """Makes what a finished world model says of itself, without V and M."""
  config = config_flags.as_dict(world_model_settings.Config(**given))
  folder.mkdir()
  (folder / 'config.json').write_text(
    json.dumps({'binary': 'train_world_model', 'config': config})
  )
  (folder / 'stages.json').write_text('{"model": {}}')


RUN_DIRS = (
  ('~nobody-of-this-name/run', '--run_dir must begin with the home of a user'),
  ('of another', 'made with another configuration; .*folder has x'),
  ('torn', 'config.json is damaged'),
  ('empty list', 'config.json is damaged'),
  ('foreign', "--run_dir must be a new folder .* with 'thesis.tex'"),
  ('file', '--run_dir must be a folder, got the file'),
)
# What is wrong, by the binaries that can tell.
WRONG = {
  'compare_agents': (
    ('--algorithms=dqn', '--algorithms must be one of ppo, ppo-rnd'),
    ('--seeds=', '--seeds must name at least one'),
    ('--env=chess', '--env must be one of rooms'),
  ),
  'compare_cells': (
    ('--seeds=', '--seeds must name at least one'),
    ('--settings=gru', '--settings must be one of'),
    ('--read_heads=999', '--read_heads must be at most --memory_slots'),
  ),
  'compare_memory': (
    ('--tasks=memory_chain-x', '--tasks=memory_chain-x: name must be'),
    ('--cells=gru', '--cells must be one of none'),
  ),
  'compare_predictions': (
    ('--cells=gru', '--cells must be one of dnc, lstm'),
    ('--codings=binary', '--codings must be one of categorical, mixture'),
    ('--cells=dnc,dnc', '--cells must name at least one, none of them twice'),
  ),
  'evaluate': (
    ('--policy=nobody', '--policy must be one of random, .*, or the folder'),
    ('--agent=nowhere', '--agent: folder must hold an agent'),
    ('--agent=torn agent', 'agent.json must describe an agent'),
    (
      '--agent=unknown agent',
      'agent.json must describe an agent: it must name action_kind',
    ),
    ('--record=film.avi', '--record must name a .gif or an .mp4 file'),
    ('--record=file.gif', '--record must name a file, got folder'),
  ),
  'play_dream': (
    ('--world_model=nowhere', '--world_model must be the folder of a finished'),
    ('--world_model=unfinished', '--world_model must be the folder of a fini'),
    ('--agent=nowhere', '--agent: folder must hold an agent'),
    ('--output=dream.png', '--output must name a .gif file'),
    ('--output=file.gif', '--output must name a file'),
    ('--policy=keyboard', '--policy=keyboard needs a terminal'),
  ),
  'record_rollouts': (
    ('--policy=nobody', '--policy must be one of random'),
    ('--policy=torn agent', '--policy: .*agent.json must describe an agent'),
  ),
  'replay_traces': (
    ('--game=go', '--game must be one of pommerman'),
    ('nowhere.npz', '--files: nowhere.npz: No such file'),
    ('file', '--files: file'),
  ),
  'toy_cma_es': (('--sigma=0', '--sigma must be a number from'),),
  'train_controller': (
    ('--world_model=nowhere', '--world_model must be the folder of a finished'),
    ('--features=x', '--features must be one of z, h, c, reads, memory'),
    ('--in=game', '--in=game needs the --world_model .* or an --env to'),
    ('--env=pixel_copter', '--env needs --in=game'),
  ),
  'train_memory_task': (
    ('--test_lengths=0', '--test_lengths must be integers separated by'),
    ('--task=sort', '--task must be one of addition'),
    ('--read_heads=999', '--read_heads must be at most --memory_slots'),
    ('--curriculum=-1', '--curriculum must be auto or a number from 0 to 1'),
    ('--longest=0', '--longest must be auto or an integer of at least 1'),
  ),
  'train_world_model': (
    ('--held_out=9999', '--held_out must be at most --episodes'),
    ('--rollouts=nowhere', '--rollouts: folder must hold spec.json'),
    ('--initial=nowhere', '--initial must be the folder of a finished run'),
    ('--initial_vision=torn', '--initial_vision: torn/config.json is damaged'),
    ('--vision=dense', '--vision must be one of reference, light'),
    ('--read_heads=999', '--read_heads must be at most --memory_slots'),
  ),
}
WITH_A_WORLD_MODEL = {
  'play_dream': (
    ('--policy=nobody', '--policy must be one of random, .*, keyboard, got'),
    ('--agent=torn agent', '--agent: .*agent.json must describe an agent'),
  ),
  'train_controller': (
    ('--features=', '--features must name at least one, got none'),
    ('--features=z,z', '--features must differ'),
    ('--untrained --iterations=2', '--iterations must be 1 with --untrained'),
  ),
}


def wrong_commands():
  """Returns pairs of a command and a pattern of its line."""
  pairs = [(('benchmark', 'gru'), 'the first argument must be one of cma_es')]
  programs = [(name,) for name in BINARIES if name != 'benchmark']
  programs += [('benchmark', name) for name in subjects.SUBJECTS]
  for program in programs:
    pairs += [
      ((*program, '--sede=1'), "Unknown flag 'sede', did you mean --seed"),
      ((*program, '--seed'), 'Missing value for flag --seed'),
      ((*program, '--threads=0'), '--threads must be .*integer'),
      (
        (*program, '--flagfile=nowhere'),
        f'^{program[0]}: Unable to open flagfile',
      ),
    ]
    if program[0] in WRONG:
      for argument, pattern in WRONG[program[0]]:
        pairs.append(((*program, argument), pattern))
    if program[0] in WITH_A_WORLD_MODEL:
      program = (*program, '--world_model=model')
      for arguments, pattern in WITH_A_WORLD_MODEL[program[0]]:
        pairs.append(((*program, *re.split(' (?=--)', arguments)), pattern))
    if program[0] != 'replay_traces':
      pairs += [
        ((*program, f'--run_dir={folder}'), pattern)
        for folder, pattern in RUN_DIRS
        if program[-1] != 'simple_agent'  # Wants the original's package first.
      ]
  return pairs


def is_right(command, pattern, status, out, err, heavy):
  """Whether a command ended in one line of ours, and in nothing else."""
  return (
    status in (1, 2)
    and err.count('\n') == 1
    and err.startswith(f'{command[0]}: ')
    and bool(re.search(pattern, err))
    and (out, heavy) == ('', [])
  )


def test_wrong_commands_end_in_one_line_without_anything_heavy(tmp_path):
  make_folders(tmp_path)
  before = sorted(tmp_path.rglob('*'))
  pairs = wrong_commands()
  commands = [command for command, _ in pairs]
  answers = ask(commands, tmp_path)
  wrong = [
    (command, pattern, answer)
    for (command, pattern), answer in zip(pairs, answers, strict=True)
    if not is_right(command, pattern, *answer)
  ]
  assert not wrong, '\n'.join(map(str, wrong))
  (tmp_path / 'bin').unlink()
  assert sorted(tmp_path.rglob('*')) == before  # Nothing was written.


def test_folder_in_use_is_one_line_without_anything_heavy(tmp_path):
  folder = tmp_path / 'run'
  folder.mkdir()
  config = config_flags.as_dict(subjects.SUBJECTS['cma_es']()[0]())
  (folder / 'config.json').write_text(
    json.dumps({'binary': 'benchmark', 'config': config})
  )
  with (folder / 'run.lock').open('a+') as lock:
    lock.write('4711')
    lock.flush()
    fcntl.flock(lock, fcntl.LOCK_EX)
    command = ('benchmark', 'cma_es', f'--run_dir={folder}')
    ((status, _, err, heavy),) = ask([command], tmp_path)
  line = f'benchmark: {folder} is in use by another process (pid 4711)\n'
  assert (status, err, heavy) == (1, line, [])


SHELLS = {
  'a reader that has seen enough': ('bin/toy_cma_es --help | head -1', {}),
  'a reader that is gone': ('bin/toy_cma_es --help | true', {}),
  'no output': ('bin/toy_cma_es --help >&-', {}),
  'no errors': ('bin/toy_cma_es --help 2>&-', {}),
  'no input': ('bin/toy_cma_es --help <&-', {}),
  'wrong, without errors': ('bin/toy_cma_es --sigma=x 2>&-; test $? = 2', {}),
  'wrong, without output': ('bin/toy_cma_es --sigma=x >&-; test $? = 2', {}),
  'full disk': ('bin/toy_cma_es --help >/dev/full; test $? = 1', {}),
  'narrow': ('bin/toy_cma_es --help', {'COLUMNS': '20'}),
  'dumb': ('bin/toy_cma_es --help', {'TERM': 'dumb', 'NO_COLOR': '1'}),
  'ASCII': ('bin/toy_cma_es --help', {'PYTHONIOENCODING': 'ascii'}),
  'C': ('bin/toy_cma_es --help', {'LC_ALL': 'C', 'PYTHONUTF8': '0'}),
  'letters': ('bin/toy_cma_es --sigma=5\u00d72; test $? = 2', {'LC_ALL': 'C'}),
  'no letters': (
    "bin/toy_cma_es --sigma=$(printf '\\377'); test $? = 2",
    {'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'},
  ),
}


@pytest.mark.parametrize('name', SHELLS)
def test_screens_and_pipes_of_all_kinds(name, tmp_path):
  shell, variables = SHELLS[name]
  done = subprocess.run(
    ['bash', '-c', shell.replace('bin/', f'{sys.executable} {ROOT}/bin/')],
    cwd=tmp_path,
    env={**os.environ, 'PYTHONPATH': str(ROOT), **variables},
    capture_output=True,
    text=True,
  )
  lines = done.stderr.splitlines()
  assert done.returncode == 0, done.stderr
  assert len(lines) <= 1
  assert all(line.startswith('toy_cma_es: ') for line in lines), lines


def write_agent(folder):
  """Makes what an agent says of itself, without its network."""
  info = {'env': 'vizdoom', 'action_kind': 'discrete', 'frame_skip': 1}
  folder.mkdir(parents=True)
  (folder / 'agent.json').write_text(json.dumps({**info, 'digest': 'abc'}))


# Binary: settings of a finished run, and where its command looks.
NEXT = {
  'compare_cells': (cells, ('--preset=smoke', '--settings=dnc'), 'evaluate'),
  'compare_predictions': (predictions, ('--seeds=3', '--games=9'), ''),
  'train_controller': (controller, ('--seed=2', '--popsize=9'), 'evaluate'),
  'train_memory_task': (memory_tasks, ('--cell=both', '--curriculum=0.5'), ''),
  'train_world_model': (
    world_model_settings,
    ('--cell=lstm', '--preset=smoke', '--threads=1'),
    'train_controller',
  ),
}
SETTINGS = {
  'compare_predictions': predictions.Config,
  'evaluate': evaluate.Config,
  'train_controller': controller.Config,
  'train_memory_task': memory_tasks.Config,
}


@pytest.mark.parametrize('binary', NEXT)
@pytest.mark.parametrize('name', ['run', "a run's"])
def test_command_that_comes_next_runs_as_it_is_printed(
  binary, name, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(sys, 'argv', [str(ROOT / 'bin' / binary)])
  settings, argv, following = NEXT[binary]
  folder = pathlib.Path(name)
  if following == 'train_controller':
    write_world_model(folder, cell='lstm')
  elif binary == 'compare_cells':
    write_agent(folder / 'seed-0' / 'controller-dnc-1')
  elif following == 'evaluate':
    write_world_model(tmp_path / 'model')
    write_agent(folder / 'export' / 'agent')
    argv = (*argv, '--world_model=model')
  config = config_flags.resolve(settings.Config, argv)
  program, *argv = shlex.split(config.next_command(folder))
  assert pathlib.Path(program).is_file()
  assert pathlib.Path(program).name == (following or binary)
  found = config_flags.resolve(SETTINGS[following or binary], argv)
  assert found.preset == config.preset
  if following:
    assert (found.seed, found.threads) == (config.seed, config.threads)
    found.check_folder()
  else:  # The same with more of it.
    changed = {'run_dir', 'seeds'}
    before, after = map(config_flags.as_dict, (config, found))
    assert {k for k in before if before[k] != after[k]} == changed


def test_first_run_of_a_task_is_followed_by_a_comparison(tmp_path):
  argv = ['--task=addition', '--units=9', f'--run_dir={tmp_path}']
  config = config_flags.resolve(memory_tasks.Config, argv)
  _, *argv = shlex.split(config.next_command(tmp_path))
  assert sorted(argv) == [
    '--cell=both',
    '--seeds=3',
    '--task=addition',
    '--units=9',
  ]


def test_commands_name_programs_that_are_there(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'evaluate').touch()
  for beside, program in (
    (tmp_path / 'train_controller', str(tmp_path / 'evaluate')),
    (tmp_path / 'a' / 'train_controller', 'bin/evaluate'),
    ('train_controller', './evaluate'),
  ):
    monkeypatch.setattr(sys, 'argv', [str(beside)])
    line = commands.line('evaluate', '--agent=a b', '--record=a.gif')
    assert line == f"{program} '--agent=a b' --record=a.gif"
  program, flag = shlex.split(commands.tensorboard('a b/tensorboard'))
  assert pathlib.Path(program).is_file()
  assert flag == '--logdir=a b/tensorboard'
