"""bin/play_dream: who plays, the film, the terminal, and wrong commands."""

import contextlib
import fcntl
import io
import json
import os
import pathlib
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import types

import numpy as np
import pytest
import tensorflow as tf
import tiny_world_models
from PIL import Image

from nca_tf import environments
from nca_tf.analysis import animation
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.controller import settings as controller_settings
from nca_tf.experiments.dream import film as film_lib
from nca_tf.experiments.dream import keyboard
from nca_tf.experiments.dream import run
from nca_tf.experiments.dream import session as session_lib
from nca_tf.experiments.dream import settings
from nca_tf.experiments.dream import terminal
from nca_tf.saved_models import signature as signature_lib
from nca_tf.world_model import world_model as world_model_lib

ROOT = pathlib.Path(environments.__file__).parents[2]
STEPS, LATENTS = 12, 8


@pytest.fixture(scope='module')
def world_model(tmp_path_factory):
  folder = tmp_path_factory.mktemp('tiny') / 'model'
  return tiny_world_models.train(folder, 'lstm', '--time_limit=400')


@pytest.fixture
def agent(world_model, tmp_path):
  return write_agent(tmp_path / 'agent-run', world_model)


def write_agent(folder, world_model, parameters=LATENTS + 1, **info):
  """A run folder of an agent whose bias always says right."""
  module = tf.Module()
  module.own = tf.Variable([0.0] * (parameters - 1) + [5.0], trainable=False)
  first = tf.TensorSpec([None], tf.bool, name='is_first')
  taken = tf.TensorSpec([None, parameters], tf.float32, name='parameters')
  frames = tf.TensorSpec([None, 64, 64, 3], tf.uint8, name='frames')
  signatures = {
    'parameters': signature_lib.make(lambda: {'parameters': module.own + 0}),
    'initial_state': signature_lib.make(
      lambda batch: {'is_first': tf.ones([batch], tf.bool)},
      batch=tf.TensorSpec([], tf.int32, name='batch'),
    ),
    'act_as': signature_lib.make(
      lambda frames, parameters, is_first: {
        'action': tf.fill(tf.shape(is_first), 2),
        'next_is_first': is_first,
      },
      frames=frames,
      parameters=taken,
      is_first=first,
    ),
  }
  export = folder / 'export' / 'agent'
  tf.saved_model.save(module, str(export), signatures=signatures)
  whole = {
    'env': 'vizdoom',
    'action_kind': 'discrete',
    'frame_skip': 4,
    'features': ['z'],
    'parameters': parameters,
    'digest': 'abc',
    'iteration': 1,
    **info,
  }
  (export / 'agent.json').write_text(json.dumps(whole))
  write_settings(folder, {'world_model': str(world_model), 'untrained': False})
  return folder


def write_settings(folder, values):
  whole = {'binary': controller_settings.NAME, 'config': values}
  (folder / 'config.json').write_text(json.dumps(whole))


def resolve(*flags):
  return config_flags.resolve(
    settings.Config, ['--lanes=2', f'--steps={STEPS}', *flags]
  )


def latents(session):
  return np.stack([step.z for step in session.history])


@pytest.fixture(scope='module')
def played(world_model, tmp_path_factory):
  """always_right, with its run folder."""
  folder = tmp_path_factory.mktemp('played') / 'run'
  config = resolve(
    f'--world_model={world_model}',
    '--policy=always_right',
    f'--run_dir={folder}',
  )
  return run.run(config), folder


def test_the_run_folder_has_a_film_of_the_dream(played):
  session, folder = played
  assert session.steps == STEPS
  with Image.open(folder / 'dream.gif') as film:
    assert film.n_frames >= STEPS
    assert film.width > 2 * 4 * 64
    # Half of 35 tics per second, 4 tics per step.
    assert film.info['duration'] == pytest.approx(1000 * 8 / 35, abs=10)
  stages = json.loads((folder / 'stages.json').read_text())
  np.testing.assert_allclose(stages['play']['tics'], session.tics(), rtol=1e-5)


def test_lives_are_sums_of_survival(played):
  session, _ = played
  steps = session.history[1:]
  for lane in range(2):
    alive, total = 1.0, 0.0
    for step in steps:
      alive *= 1 - step.done[lane]
      assert step.survival[lane] == pytest.approx(alive, rel=1e-4)
      total += alive
    assert session.tics()[lane] == pytest.approx(4 * total, rel=1e-4)
  assert not np.allclose(steps[0].z[0], steps[0].z[1])


def test_an_agent_plays_with_its_own_parameters(
  agent, played, tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  output = tmp_path / 'films' / 'agent.gif'
  session = run.run(resolve(f'--agent={agent}', f'--output={output}'))
  np.testing.assert_allclose(
    latents(session), latents(played[0]), rtol=1e-4, atol=1e-4
  )
  assert output.exists()
  assert not (tmp_path / 'runs').exists()
  lines = capsys.readouterr().out.splitlines()
  assert [line for line in lines if line.startswith('dream 2: ')]


def test_policies_seeds_and_temperatures_differ(world_model, played):
  first = latents(played[0])
  common = f'--world_model={world_model}', '--output=unused.gif'

  def play(*flags):
    config = resolve(*common, *flags)
    model = world_model_lib.WorldModel.load(world_model)
    session = session_lib.Session(model, config, 2)
    act = session_lib.scripted(config.policy, model.spec, 2, config.seed)
    session.warm_up()
    for _ in range(3):
      session.step(act(session.observation))
    return latents(session)

  right = play('--policy=always_right')
  np.testing.assert_allclose(right, first[:4], rtol=1e-5, atol=1e-5)
  for flags in (
    ('--policy=always_left',),
    ('--policy=always_right', '--seed=1'),
    ('--policy=always_right', '--temperature=0.2'),
  ):
    assert np.abs(play(*flags) - first[:4]).max() > 1e-3


def test_a_later_iteration_has_a_world_model_of_its_own(agent):
  info = agent / 'export' / 'agent' / 'agent.json'
  info.write_text(info.read_text().replace('"iteration": 1', '"iteration": 3'))
  with pytest.raises(faults.UsageError, match='iteration-3/world_model'):
    resolve(f'--agent={agent}')


def make_session(ends, died, steps):
  """What a session says, made up: lane i's frames say the step."""
  lanes = len(ends)
  history = [
    session_lib.LaneStep(
      z=np.full([lanes, 1], step, np.float32),
      survival=np.full(lanes, 0.5),
      done=np.full(lanes, 0.25),
      terminated=np.array([died[i] and step >= ends[i] for i in range(lanes)]),
      truncated=np.zeros(lanes, bool),
    )
    for step in range(steps + 1)
  ]
  return types.SimpleNamespace(
    history=history,
    steps=steps,
    spec=types.SimpleNamespace(frame_skip=4, tics_per_second=35),
    over=np.array(died),
    ends=lambda: np.array(ends),
    died=lambda: np.array(died),
    tics=lambda: np.array([8.0] * lanes),
  )


def decode(z):
  grey = z.astype(np.uint8)[:, :, None, None]
  return np.broadcast_to(grey, [len(z), 64, 64, 1]).repeat(3, -1)


def test_the_film_stops_a_lane_where_it_died():
  session = make_session(ends=[2, 6], died=[True, False], steps=6)
  codec = types.SimpleNamespace(decode=decode)
  film, fps = film_lib.draw(session, codec, 'me')
  assert fps == pytest.approx(35 / 8)
  assert len(film) == 6 + 4  # and the last page stays a second
  middle, half = film.shape[1] // 2, film.shape[2] // 2
  first, second = (film[:, middle, half // 2 + i * half, 0] for i in (0, 1))
  assert first.tolist() == [0, 1, *[2] * 8]
  assert second.tolist() == [0, 1, 2, 3, 4, 5, *[6] * 4]
  edge = film[:, middle, animation.GAP]
  assert (edge[2:] == animation.RED).all()
  assert (edge[:2] != animation.RED).any(-1).all()
  lines = film_lib.describe(session)
  assert lines == [
    'dream 1: 8.0 tics, died in step 2',
    'dream 2: 8.0 tics, survival 0.50 after step 6',
  ]


def test_a_long_film_leaves_steps_out():
  session = make_session(ends=[1500], died=[False], steps=1500)
  codec = types.SimpleNamespace(decode=lambda z: decode(z % 100))
  film, fps = film_lib.draw(session, codec, 'me')
  assert fps == pytest.approx(35 / 8 / 3)
  assert len(film) == 500 + 1


def test_half_blocks_hold_two_pixels_each():
  rng = np.random.default_rng(0)
  frame = rng.integers(0, 2, (6, 5, 3)).astype(np.uint8) * 200
  lines = terminal.half_blocks(frame)
  assert len(lines) == 3
  for row, line in enumerate(lines):
    upper = lower = None
    column = 0
    for part in line.replace('▀', '\x1b▀').split('\x1b')[1:]:
      if part.startswith('[38;2;'):
        upper = [int(x) for x in part[6:-1].split(';')]
      elif part.startswith('[48;2;'):
        lower = [int(x) for x in part[6:-1].split(';')]
      elif part == '▀':
        assert upper == frame[2 * row, column].tolist()
        assert lower == frame[2 * row + 1, column].tolist()
        column += 1
    assert column == 5


def test_a_key_counts_as_held_for_a_while():
  steering = keyboard.Steering(pictures=3)
  assert steering.press([]) == 1
  moves = [steering.press(keys) for keys in (['left'], [], [], [])]
  assert moves == [0, 0, 0, 1]
  assert steering.press(['left', 'D']) == 2
  assert steering.press(['other']) == 1
  assert steering.press(['a', 'q', 'd']) is None
  assert steering.press(['closed']) is None


class Pty:
  """A terminal, and the person before it."""

  def __init__(self, rows=24, columns=80):
    self.person, self.device = os.openpty()
    size = struct.pack('HHHH', rows, columns, 0, 0)
    fcntl.ioctl(self.device, termios.TIOCSWINSZ, size)
    self.before = termios.tcgetattr(self.device)
    self.seen = b''
    self._done = False
    self._reader = threading.Thread(target=self._read)
    self._reader.start()

  def _read(self):
    while not self._done:
      if select.select([self.person], [], [], 0.02)[0]:
        self.seen += os.read(self.person, 65536)

  def wait_for(self, text, after=0, seconds=100):
    end = time.monotonic() + seconds
    while text not in self.seen[after:] and time.monotonic() < end:
      time.sleep(0.02)
    assert text in self.seen[after:], self.seen[-300:]

  def press(self, keys):
    os.write(self.person, keys)

  def is_restored(self):
    return termios.tcgetattr(self.device) == self.before

  def close(self):
    self._done = True
    self._reader.join()
    os.close(self.person)
    os.close(self.device)


@pytest.fixture
def pty():
  with contextlib.closing(Pty()) as made:
    yield made


def test_the_terminal_tells_keys_apart(pty):
  with terminal.open_terminal(pty.device, pty.device) as screen:
    assert not pty.is_restored()
    pty.press(b'\x1b[D\x1bOCx\x1b[1;2Dd\x1b[3~\x1b[A\n')
    keys = screen.read_keys(0.2)
    assert keys == ['left', 'right', 'x', 'left', 'd', 'other', 'up', 'other']
    pty.press(b'\x1b[')
    assert screen.read_keys(0.1) == []
    pty.press(b'C')
    assert screen.read_keys(0.1) == ['right']
    pty.press(b'a')
    time.sleep(0.05)
    assert screen.read_keys(-1) == ['a']
  pty.wait_for(b'\x1b[?25h\x1b[?1049l')
  assert pty.is_restored()


@pytest.mark.parametrize('size', [(40, 100, 64), (24, 80, 44), (10, 30, 16)])
def test_the_picture_fits_the_terminal(size):
  rows, columns, side = size
  with contextlib.closing(Pty(rows, columns)) as pty:
    with terminal.open_terminal(pty.device, pty.device) as screen:
      frame = np.full([64, 64, 3], 7, np.uint8)
      screen.draw(frame, ['x' * 200, 'end of text'])
      pty.wait_for(b'end of text')
      text = pty.seen.decode()
  assert text.count('▀') == side * side // 2
  assert text.count('\r\n') == side // 2 + 1
  assert 'x' * (columns - 1) in text
  assert 'x' * columns not in text


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_the_terminal_as_it_was(pty, number):
  before = signal.getsignal(number)
  with pytest.raises(SystemExit) as stop:
    with terminal.open_terminal(pty.device, pty.device):
      os.kill(os.getpid(), number)
      time.sleep(5)
  assert stop.value.code == 128 + number
  assert pty.is_restored()
  assert signal.getsignal(number) == before


def test_errors_leave_the_terminal_as_it_was(pty):
  with pytest.raises(KeyboardInterrupt):
    with terminal.open_terminal(pty.device, pty.device):
      raise KeyboardInterrupt
  assert pty.is_restored()


def test_a_person_steers_from_a_terminal(world_model):
  with contextlib.closing(Pty(rows=40, columns=100)) as pty:
    game = subprocess.Popen(
      [
        sys.executable,
        str(ROOT / 'bin' / 'play_dream'),
        f'--world_model={world_model}',
        '--policy=keyboard',
      ],
      stdin=pty.device,
      stdout=pty.device,
      stderr=pty.device,
      cwd=world_model.parent,
    )
    try:
      pty.wait_for(b'q ends')
      pty.press(b'\x1b[D')
      pty.wait_for(b'<- left')
      pty.press(b'd')
      pty.wait_for(b'right ->')
      pty.press(b'q')
      assert game.wait(60) == 0
    finally:
      game.kill()
      game.wait()
    pty.wait_for(b'\x1b[?1049l')
    after = pty.seen.index(b'\x1b[?1049l')
    pty.wait_for(b'dream 1: ', after)
    assert pty.is_restored()
    assert pty.seen.count('▀'.encode()) >= 3 * 64 * 32
    assert b'Traceback' not in pty.seen
  assert not (world_model.parent / 'runs').exists()


def test_a_person_needs_a_terminal(world_model, monkeypatch):
  monkeypatch.setattr(sys, 'stdin', io.StringIO())
  with pytest.raises(faults.UsageError, match='needs a terminal'):
    resolve(f'--world_model={world_model}', '--policy=keyboard')


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['--policy=metro'], 'policy must be one of .*metronome.*keyboard, got'),
    (
      ['--world_model=/nowhere'],
      'world_model must be the folder of a finished',
    ),
    (['--output=dream.mp4'], 'output must name a .gif file'),
    (['--agent=/nowhere'], 'agent: folder must hold an agent'),
    (['--agent=x', '--policy=stay'], 'agent plays in place of --policy'),
    (['--lanes=7'], 'lanes must be an integer from 1 to 6'),
  ],
)
def test_wrong_commands_say_what_is_wrong(world_model, flags, message):
  with pytest.raises(faults.UsageError, match=message):
    resolve(f'--world_model={world_model}', *flags)


def test_an_output_must_not_be_a_folder(world_model, tmp_path):
  folder = tmp_path / 'films.gif'
  folder.mkdir()
  with pytest.raises(faults.UsageError, match='must name a file, got folder'):
    resolve(f'--world_model={world_model}', f'--output={folder}')


@pytest.mark.parametrize(
  ('info', 'message'),
  [
    ({'frame_skip': 2}, 'must have frame_skip 2, as the agent'),
    ({'features': ['z', 'reads']}, 'must have a cell with reads, which'),
    ({'features': None}, '--agent must read z or .*, which reads frames'),
  ],
)
def test_a_world_model_must_suit_the_agent(agent, info, message):
  file = agent / 'export' / 'agent' / 'agent.json'
  file.write_text(json.dumps({**json.loads(file.read_text()), **info}))
  with pytest.raises(faults.UsageError, match=message):
    resolve(f'--agent={agent}')


def test_sizes_must_suit_the_agent(world_model, tmp_path):
  other = write_agent(tmp_path / 'other', world_model, LATENTS + 3)
  config = resolve(f'--agent={other}', f'--output={tmp_path / "a.gif"}')
  with pytest.raises(faults.UsageError, match='sizes for 11 .* for 9'):
    run.run(config)


def test_an_agent_without_a_dream_is_refused(agent, world_model):
  write_settings(agent, {'world_model': str(world_model), 'untrained': True})
  with pytest.raises(faults.UsageError, match='made with --untrained'):
    resolve(f'--agent={agent}')
  (agent / 'config.json').unlink()
  with pytest.raises(faults.UsageError, match='or have a --world_model beside'):
    resolve(f'--agent={agent}')
  config = resolve(f'--agent={agent}', f'--world_model={world_model}')
  assert config.model_folder == str(world_model)
