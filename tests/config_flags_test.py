"""Tests of command lines generated from dataclasses."""

import dataclasses
import os
import subprocess
import sys
import types
from typing import ClassVar

import pytest

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults


@dataclasses.dataclass(frozen=True)
class Config(config_flags.Common):
  env: str = config_flags.option('game', 'Game.', choices=('game', 'other'))
  episodes: int = config_flags.option(400, 'Episodes to play.', minimum=1)
  rate: float = config_flags.option(0.5, 'Rate.', minimum=0, maximum=1)
  sizes: tuple[int, ...] = config_flags.option((3, 4), 'Sizes.', minimum=1)
  record: bool = config_flags.option(True, 'Record?', identity=False)
  parts: tuple[str, ...] = config_flags.option(
    ('one', 'two'), 'Parts.', choices=('one', 'two', 'three')
  )

  PRESETS: ClassVar = {
    'smoke': {'episodes': 6, 'sizes': (2,), 'record': False},
    'paper': {'episodes': 10000},
  }

  def validate(self):
    if self.env == 'other' and self.record:
      raise faults.UsageError('--record must be false with --env=other')


def test_default_then_preset_then_flag():
  assert config_flags.resolve(Config).episodes == 400
  assert config_flags.resolve(Config, ['--preset=smoke']).episodes == 6
  config = config_flags.resolve(Config, ['--episodes=400', '--preset=smoke'])
  assert (config.episodes, config.sizes) == (400, (2,))


def test_types():
  config = config_flags.resolve(
    Config, ['--sizes=5,6,7', '--norecord', '--rate', '1', '--seed=7']
  )
  assert config.sizes == (5, 6, 7)
  assert config.record is False
  assert config.rate == 1.0
  assert isinstance(config.rate, float)
  assert config.seed == 7
  assert config_flags.resolve(Config, ['--record=false']).record is False
  assert config_flags.resolve(Config, ['--sizes=']).sizes == ()
  assert config_flags.resolve(Config, ['--parts=three']).parts == ('three',)


def test_flagfile(tmp_path):
  (tmp_path / 'all.flags').write_text('# Few.\n--episodes=3\n--preset=smoke\n')
  flagfile = f'--flagfile={tmp_path / "all.flags"}'
  config = config_flags.resolve(Config, [flagfile, '--rate=0.25'])
  assert (config.episodes, config.rate, config.sizes) == (3, 0.25, (2,))


def test_binary_flagfile_is_refused(tmp_path):
  (tmp_path / 'all.flags').write_bytes(b'\xff\xfe\x00')
  with pytest.raises(faults.UsageError, match='--flagfile must be a text'):
    config_flags.resolve(Config, [f'--flagfile={tmp_path / "all.flags"}'])


@pytest.mark.parametrize(
  'argument, message',
  [
    ('--episodes=0', r"--episodes must be an integer of at least 1, got '0'"),
    ('--episodes=x', r"--episodes must be an integer of at least 1, got 'x'"),
    ('--episodes=', r"--episodes must be an integer of at least 1, got ''"),
    ('--episodes=1.5', r"--episodes must be an integer .*, got '1.5'"),
    ('--rate=2', r"--rate must be a number from 0 to 1, got '2'"),
    ('--rate=nan', r"--rate must be .*, got 'nan'"),
    ('--sizes=1,0', r"--sizes must be integers .* at least 1, got '1,0'"),
    ('--sizes=1,x', r"--sizes must be integers .*, got '1,x'"),
    ('--parts=one,x', r"--parts must be one of one, two, .*, got 'one,x'"),
    ('--env=doom', r"--env must be one of game, other, got 'doom'"),
    ('--preset=big', r"--preset must be one of smoke, .*, got 'big'"),
    ('--record=maybe', r"--record must be true or false, got 'maybe'"),
    ('--norecord=1', r'--norecord=1 does not take an argument'),
    ('--seed=-1', r"--seed must be an integer from 0 to .*, got '-1'"),
    ('--jit=yes', r"--jit must be one of auto, on, off, got 'yes'"),
    ('--episods=1', r"Unknown .*'episods'.*episodes.*--help"),
    ('--episodes', r'Missing value for flag --episodes'),
    ('extra', r"arguments must be flags like --seed=0, got 'extra'"),
    ('--flagfile=/no/such', r'Unable to open flagfile.*/no/such'),
    ('--env=a\nb', r'--env must be one of game, other'),
    ('--env=other', r'--record must be false with --env=other'),
  ],
)
def test_wrong_argument_is_one_line_that_names_it(argument, message):
  with pytest.raises(faults.UsageError, match=message) as caught:
    config_flags.resolve(Config, [argument])
  assert '\n' not in str(caught.value)


def test_help_lists_own_flags_with_sentence_default_and_presets(capsys):
  config_flags.main('What it is.', Config, None, ['bin/play', '--help'])
  text = capsys.readouterr().out
  assert text.startswith('What it is.')
  words = ' '.join(text.split())
  assert (
    '--episodes: Episodes to play. (an integer of at least 1; default: 400; '
    'smoke: 6; paper: 10000)' in words
  )
  assert (
    '--[no]record: Record? (true or false; default: true; smoke: false)'
    in (words)
  )
  for field in dataclasses.fields(Config):
    assert f'{field.name}: {field.metadata["help"].split()[0]}' in words
  assert 'verbosity' not in text  # Another module's flag.


def test_identity_leaves_out_what_does_not_change_the_result():
  config = config_flags.resolve(Config, ['--sizes=8'])
  assert config_flags.identity(config) == {
    'env': 'game',
    'episodes': 400,
    'parts': ['one', 'two'],
    'precision': 'float32',
    'rate': 0.5,
    'seed': 0,
    'sizes': [8],
  }
  assert set(config_flags.as_dict(config)) == {
    field.name for field in dataclasses.fields(Config)
  }


def test_wrong_preset_is_a_programming_error():
  @dataclasses.dataclass(frozen=True)
  class Wrong(config_flags.Common):
    PRESETS: ClassVar = {'smoke': {'sede': 1}}

  with pytest.raises(ValueError, match='PRESETS.*sede'):
    config_flags.resolve(Wrong)


def test_unsupported_type_is_a_programming_error():
  @dataclasses.dataclass(frozen=True)
  class Wrong(config_flags.Common):
    settings: dict = config_flags.option(None, 'Settings.')

  with pytest.raises(ValueError, match='settings must be bool, float'):
    config_flags.resolve(Wrong)


def run_main(run, capsys, *argv):
  """Returns the exit status and what `main` wrote to stderr."""
  with pytest.raises(SystemExit) as caught:
    config_flags.main('Doc.', Config, run, ['bin/play', *argv])
  return caught.value.code, capsys.readouterr().err


def raising(error):
  def run(config):
    raise error

  return run


@pytest.mark.parametrize(
  'error, status, line',
  [
    (faults.UsageError('--env must\nbe'), 2, 'play: --env must be\n'),
    (faults.Fault('damaged'), 1, 'play: damaged\n'),
    (
      OSError(28, 'No space left on device', 'a/b'),
      1,
      'play: No space left on device: a/b; free some space; the same command '
      'resumes\n',
    ),
    (
      KeyboardInterrupt(),
      130,
      'play: interrupted; the same command resumes\n',
    ),
  ],
)
def test_errors_end_in_one_line(error, status, line, capsys):
  assert run_main(raising(error), capsys) == (status, line)


def test_wrong_flag_does_not_run(capsys):
  status, text = run_main(raising(AssertionError()), capsys, '--seed=x')
  assert status == 2
  assert text.startswith('play: --seed must be')


def run_subject(capsys, *argv):
  """Returns the configuration that ran or the exit status, and the output."""
  ran = []
  subjects = {'play': lambda: (Config, ran.append), 'dream': None}
  status = None
  try:
    config_flags.main_of('Doc.', subjects, ['bin/measure', *argv])
  except SystemExit as error:
    status = error.code
  return ran, status, ''.join(capsys.readouterr())


def test_subject_has_its_own_flags(capsys):
  ran, _, _ = run_subject(capsys, 'play', '--episodes=3')
  assert [config.episodes for config in ran] == [3]
  assert '--episodes: ' in run_subject(capsys, 'play', '--help')[2]
  ran, status, text = run_subject(capsys, 'play', '--episodes=x')
  assert (ran, status) == ([], 2)
  assert text.startswith('measure: --episodes must be')


def test_help_of_a_binary_with_subjects_lists_them(capsys):
  ran, status, text = run_subject(capsys, '--help')
  assert (ran, status) == ([], None)
  assert text.startswith('Doc.\n')
  assert '\n  play\n  dream\n' in text


@pytest.mark.parametrize(
  'argv, got', [((), 'nothing'), (('--seed=1', 'play'), '--seed=1')]
)
def test_missing_subject_is_one_line(argv, got, capsys):
  line = f"measure: the first argument must be one of play, dream, got '{got}'"
  assert run_subject(capsys, *argv) == ([], 2, line + '\n')


def test_bug_keeps_its_traceback():
  with pytest.raises(ZeroDivisionError):
    config_flags.main('Doc.', Config, raising(ZeroDivisionError()), ['play'])


def fake_tensorflow(monkeypatch):
  """Stands for TensorFlow, whose import takes seconds."""
  op_error = type('OpError', (Exception,), {})
  names = (
    'InternalError',
    'InvalidArgumentError',
    'OutOfRangeError',
    'ResourceExhaustedError',
    'UnimplementedError',
  )
  errors = {name: type(name, (op_error,), {}) for name in names}
  tf = types.SimpleNamespace(
    errors=types.SimpleNamespace(OpError=op_error, **errors)
  )
  monkeypatch.setitem(sys.modules, 'tensorflow', tf)
  return tf.errors


def test_failed_write_of_tensorflow_ends_in_one_line(monkeypatch, capsys):
  errors = fake_tensorflow(monkeypatch)
  full = errors.ResourceExhaustedError('{{node Save}} No space [Op:SaveV2]')
  assert run_main(raising(full), capsys) == (1, 'play: No space\n')
  large = errors.OutOfRangeError('a; File too large')
  assert run_main(raising(large), capsys) == (1, 'play: a; File too large\n')


def test_wrong_shape_in_tensorflow_keeps_its_traceback(monkeypatch):
  errors = fake_tensorflow(monkeypatch)
  run = raising(errors.InvalidArgumentError('shape'))
  with pytest.raises(errors.InvalidArgumentError):
    config_flags.main('Doc.', Config, run, ['play'])


def test_threads_reach_tensorflow(monkeypatch):
  names = (
    'OMP_NUM_THREADS',
    'TF_NUM_INTEROP_THREADS',
    'TF_NUM_INTRAOP_THREADS',
  )
  for name in names:
    monkeypatch.setenv(name, '8')
  seen = []
  monkeypatch.delitem(sys.modules, 'tensorflow', raising=False)
  config_flags.main(
    'Doc.',
    Config,
    lambda config: seen.extend(os.environ[name] for name in names),
    ['play', '--threads=3'],
  )
  assert seen == ['3', '3', '3']


def test_answers_before_tensorflow_is_imported():
  program = (
    'import sys; from nca_tf.command_line import config_flags as c\n'
    'try: c.main("", c.Common, None, ["play", "--seed=x"])\n'
    'finally: print("tensorflow" in sys.modules)'
  )
  done = subprocess.run(
    [sys.executable, '-c', program], capture_output=True, text=True
  )
  assert (done.returncode, done.stdout) == (2, 'False\n')


@dataclasses.dataclass(frozen=True)
class Keyword(config_flags.Common):
  """A setting whose flag is a word that Python keeps to itself."""

  in_: str = config_flags.option('dream', 'Where.', choices=('dream', 'game'))


def test_a_field_may_be_a_flag_with_a_word_of_python():
  assert config_flags.resolve(Keyword, ['--in=game']).in_ == 'game'
  assert '--in: Where.' in config_flags.help_text('', Keyword)
  with pytest.raises(faults.UsageError, match='--in must be'):
    config_flags.resolve(Keyword, ['--in=street'])


GAMES = {'copter': 1}


@dataclasses.dataclass(frozen=True)
class Play(config_flags.Common):
  """Choices from a registry, and two fields that other binaries share."""

  game: str = config_flags.option(
    'copter', 'Game.', choices=lambda: sorted(GAMES), identity=False
  )
  games: tuple[str, ...] = config_flags.option(
    (), 'Games.', choices=lambda: sorted(GAMES)
  )
  episodes: int = config_flags.option(400, 'Episodes to play.', minimum=1)


@dataclasses.dataclass(frozen=True)
class Train(Play):
  """Inherits all flags, one of them with another default."""

  episodes: int = config_flags.changed(Play, 'episodes', 16)
  steps: int = config_flags.option(3, 'Steps.')


def test_choices_of_a_registry_are_those_of_the_moment(monkeypatch):
  with pytest.raises(faults.UsageError, match='--game must be copter, got'):
    config_flags.resolve(Play, ['--game=toy'])
  monkeypatch.setitem(GAMES, 'toy', 2)
  assert config_flags.resolve(Play, ['--game=toy']).game == 'toy'
  assert config_flags.resolve(Play, ['--games=toy,copter']).games == (
    'toy',
    'copter',
  )
  assert 'Game. (one of copter, toy;' in ' '.join(
    config_flags.help_text('', Play).split()
  )
  with pytest.raises(faults.UsageError, match='--games must be one of copter'):
    config_flags.resolve(Play, ['--games=toy,pong'])


def test_changed_default_keeps_limits_help_and_place():
  assert config_flags.resolve(Train).episodes == 16
  assert config_flags.resolve(Play).episodes == 400
  with pytest.raises(faults.UsageError, match='--episodes must be an integer'):
    config_flags.resolve(Train, ['--episodes=0'])
  words = ' '.join(config_flags.help_text('', Train).split())
  assert 'Episodes to play. (an integer of at least 1; default: 16)' in words
  names = [field.name for field in dataclasses.fields(Train)]
  assert names[-3:] == ['games', 'episodes', 'steps']
  assert 'game' not in config_flags.identity(Train())


def test_convert_takes_what_both_have():
  train = Train(seed=7, episodes=5, steps=9, run_dir='a')
  play = config_flags.convert(train, Play, run_dir='b')
  assert play == Play(seed=7, episodes=5, run_dir='b')
  assert type(play) is Play
  back = config_flags.convert(Play(seed=1), Train, steps=2)
  assert back == Train(seed=1, episodes=400, steps=2)
  with pytest.raises(TypeError, match='pace'):
    config_flags.convert(train, Play, pace=1)
